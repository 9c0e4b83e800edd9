"""What a model and its cache hold in memory: measured, or from shapes alone."""
