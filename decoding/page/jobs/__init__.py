"""The longer jobs: what each asks of the model, and its rows."""
