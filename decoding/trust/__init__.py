"""How sure a model was, and how far that can be trusted."""
