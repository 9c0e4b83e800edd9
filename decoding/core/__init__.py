"""The loop: prompt, inference, choice, step."""
