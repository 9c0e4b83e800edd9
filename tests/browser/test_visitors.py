"""The tests' own visitors: whoever comes next finds nothing of the one before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browser_page import BROWSER_MARKS, Served

pytestmark = BROWSER_MARKS


@pytest.mark.parametrize("_visitor", [1, 2])
def test_the_browser_remembers_nothing_of_an_earlier_visitor(
    visit: Callable[..., Any], served: Callable[[str], Served], _visitor: int
) -> None:
    page = visit(served("tiny").address)
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    page.evaluate("localStorage.setItem('seen', 'yes'); document.cookie = 'seen=yes'")
    assert page.evaluate("localStorage.length") == 1
