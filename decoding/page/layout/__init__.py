"""Gradio's components, and the events that bind them."""
