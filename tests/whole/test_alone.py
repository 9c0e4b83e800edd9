"""Turns of several processes' tests: beside each other, or alone."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from alone import Turns
from filelock import FileLock, Timeout


def is_held(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def test_who_is_alone_waits_for_the_others_and_has_them_wait(tmp_path: Path) -> None:
    one, two, three = (Turns(tmp_path, name) for name in ("one", "two", "three"))
    order: list[str] = []
    may_end = threading.Event()

    def be_alone() -> None:
        with two.alone():
            order.append("alone")
            may_end.wait(60)
            order.append("alone no more")

    def come_after() -> None:
        with three.beside_others():
            order.append("after")

    threads = [threading.Thread(target=be_alone), threading.Thread(target=come_after)]
    with one.beside_others():
        with three.beside_others():
            order.append("beside")
        threads[0].start()
        while not is_held(tmp_path / "gate.lock"):
            time.sleep(0.01)
        threads[1].start()
        time.sleep(0.1)
        order.append("still beside")
    while "alone" not in order:
        time.sleep(0.01)
    time.sleep(0.1)
    may_end.set()
    for thread in threads:
        thread.join(60)
    assert order == ["beside", "still beside", "alone", "alone no more", "after"]
