"""What travels between the rooms, and what a file of it holds: plain Python, no tensors."""
