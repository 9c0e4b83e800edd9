"""The library on a terminal, and in a notebook."""
