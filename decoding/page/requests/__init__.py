"""What visitors ask for, strictly checked."""
