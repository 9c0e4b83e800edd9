"""A port for a server of the tests: never the page's own, which may be in use."""

from __future__ import annotations

import socket


def free_port() -> int:
    """A port that the system has just found free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    print(free_port())
