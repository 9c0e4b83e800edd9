"""Other ways through a model than one token after another."""
