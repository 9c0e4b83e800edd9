"""A session in a notebook: shown where it is displayed, and drawn anew as it goes on."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from importlib import import_module
from typing import Any

from decoding.console.notebook_html import session_html
from decoding.session.session import DecodingSession

SECONDS_APART = 0.25
TIMES_APART = 10  # drawing takes a tenth of the time at most, however long the text is
Show = Callable[[str], None]


class Screen:
    """The place in which one session is shown; the session may end and be forgotten."""

    def __init__(
        self, session: DecodingSession, show: Show, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Has `show` called with new HTML, not more often than it can be followed."""
        self._session = weakref.ref(session)
        self._show = show
        self._clock = clock
        self._shown = _state(session)
        self._due = clock() + SECONDS_APART
        self._is_left = False
        session.watch(self._changed)  # what ends that would hold the session, so it is not kept

    def leave(self) -> None:
        """Lets the place stay as it is from now on."""
        self.catch_up()
        self._is_left = True

    def catch_up(self) -> None:
        """Shows the session as it is, where that is not what is shown."""
        session = self._session()
        if self._is_left or session is None or _state(session) == self._shown:
            return
        started = self._clock()
        self._shown = _state(session)
        self._show(session_html(session))
        now = self._clock()
        self._due = now + max(SECONDS_APART, TIMES_APART * (now - started))

    def _changed(self) -> None:
        session = self._session()
        if self._clock() >= self._due or (session is not None and session.is_finished):
            self.catch_up()


def _state(session: DecodingSession) -> tuple[int, int, int]:
    """What tells one picture of a session from another: steps are added and never changed."""
    return session.branch, session.position, len(session.tree.branches)


_screens: weakref.WeakKeyDictionary[DecodingSession, Screen] = weakref.WeakKeyDictionary()


def show_session(session: DecodingSession) -> None:
    """Displays a session in the notebook's cell; an earlier display of it stays as it is now."""
    # Only a notebook comes here, and it has brought IPython.
    ipython: Any = import_module("IPython")
    shown: Any = import_module("IPython.display")
    if session in _screens:
        _screens[session].leave()
    handle = shown.display(shown.HTML(session_html(session)), display_id=True)
    shell = ipython.get_ipython()
    if handle is None or shell is None:
        return
    _screens[session] = Screen(session, lambda html: handle.update(shown.HTML(html)))
    if catch_up_all not in shell.events.callbacks["post_run_cell"]:
        shell.events.register("post_run_cell", catch_up_all)


def catch_up_all(_result: object = None) -> None:
    """At the end of a cell: what was left out for speed is shown before the notebook goes on."""
    for screen in list(_screens.values()):
        screen.catch_up()


DecodingSession.displayed_by = show_session
