"""Records -> the JSON that the page's scripts draw from."""
