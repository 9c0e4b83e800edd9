"""Where a clone and a Space start the page; what it does is in `decoding/page/app.py`."""

from decoding.page.app import build_app, launch_options, main

__all__ = ["build_app", "launch_options", "main"]

if __name__ == "__main__":
    main()
