"""How a model gets onto this machine and into memory."""
