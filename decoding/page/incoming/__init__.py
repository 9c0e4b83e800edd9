"""What arrives from outside, looked at before Gradio reads it."""
