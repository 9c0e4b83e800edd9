"""Where a clone and a Space start the page; what it does is in `decoding/page/app.py`."""

from decoding.page.app import build_app, launch_options, ordered_page, serve

__all__ = ["build_app", "launch_options"]

if __name__ == "__main__":
    demo, launching = ordered_page()  # a Space looks for `demo` here, to reload it
    serve(demo, launching)
