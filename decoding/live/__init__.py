"""One thread, one model, many visitors; no Gradio and no JSON."""
