"""What a run costs: forecasts, and comparisons that are measured."""
