"""Where code that came with a model runs apart: a process of its own that can be ended.

A chat template is a program, and so, nearly, is a tokenizer with regular expressions: either may
never end, or make gigabytes of a word. This room knows questions and answers, and neither of them.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decoding.records.units import bytes_in_words

Arguments = dict[str, Any]

PROGRAM = Path(__file__).with_name("apart_process.py")
SECONDS_TO_START = 60.0  # a third of one on a machine that has nothing else to do
# The processor's time, which a busy machine does not shorten; the clock's is the rest of it.
CLOCK_SECONDS_A_SECOND = 3.0

log = logging.getLogger(__name__)


class RefusedError(Exception):
    """What was asked for failed by itself; the message is its own."""


class OverrunError(Exception):
    """It took, or made, more than it may: what follows the subject of a sentence."""


class NotApartError(Exception):
    """On this machine no other process can be started."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one question may take.

    Attributes:
        seconds: of the processor.
        memory_bytes: beside what the process has before.
        most_bytes: of the answer.
    """

    seconds: int
    memory_bytes: int
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Once:
    """Arguments that are long, and the same for many questions.

    Attributes:
        name: the same as long as they are.
        made: what they are.
    """

    name: str
    made: Callable[[], Arguments]


class Apart:
    """A process that is started when it is first asked, and kept; for any thread."""

    def __init__(self, command: list[str] | None = None) -> None:
        """Nothing is started yet.

        Args:
            command: what is started instead, in tests.
        """
        self._command = command or [sys.executable, "-I", str(PROGRAM), json.dumps(sys.path)]
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._kept: str | None = None
        self._is_possible = True

    def ask(self, work: str, arguments: Arguments, bounds: Bounds, once: Once | None = None) -> Any:
        """The answer.

        Args:
            work: a name of `apart_process.WORK`.
            arguments: what it takes, as JSON knows it.
            bounds: of the work and of its answer.
            once: further arguments that the process keeps until others of the kind come.

        Raises:
            RefusedError: what was asked for raised an error.
            OverrunError: it needed more time or memory, or its answer was longer.
            NotApartError: there is no such process.
        """
        with self._lock:
            child = self._started()
            if once is not None and self._kept != once.name:
                arguments = {**arguments, **once.made()}
            self._kept = None
            asked = {
                "work": work,
                "arguments": arguments,
                "seconds": bounds.seconds,
                "memory_bytes": bounds.memory_bytes,
            }
            clock = bounds.seconds * CLOCK_SECONDS_A_SECOND
            line = self._exchange(child, json.dumps(asked).encode(), clock, bounds.most_bytes)
            value = self._value(line, bounds)
            self._kept = None if once is None else once.name
            return value

    def end(self) -> None:
        """Ends the process; the next question starts another one."""
        with self._lock:
            self._end()

    def _value(self, line: bytes, bounds: Bounds) -> Any:
        try:
            found = json.loads(line)
        except ValueError:  # it was ended, or ended itself, before there was an answer
            self._end()
            limits = f"{bounds.seconds} seconds, or {bytes_in_words(bounds.memory_bytes)}"
            raise OverrunError(f"took more than {limits}") from None
        if "overrun" in found:
            self._end()  # whatever it holds by now
            raise OverrunError(str(found["overrun"]))
        if "refused" in found:
            raise RefusedError(str(found["refused"]))
        return found["value"]

    def _exchange(
        self, child: subprocess.Popen[bytes], asked: bytes, seconds: float, most: int
    ) -> bytes:
        """What it says to that; as much as there is when its time is over."""
        assert child.stdin
        assert child.stdout
        clock = threading.Timer(seconds, child.kill)
        clock.daemon = True
        clock.start()
        try:
            if asked:
                child.stdin.write(asked + b"\n")
                child.stdin.flush()
            return child.stdout.readline(most)
        except OSError:  # it ended before it had read all
            return b""
        except BaseException:  # an answer that nobody has read would be the next question's
            self._end()
            raise
        finally:
            clock.cancel()

    def _is_there(self) -> bool:
        # One that was started before a fork is the other process's.
        is_ours = self._owner == os.getpid()
        return self._child is not None and is_ours and self._child.poll() is None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._is_there():
            return self._child
        if not self._is_possible:
            raise NotApartError
        self._end()
        self._kept = None
        try:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise self._impossible(error) from error
        self._owner = os.getpid()
        atexit.register(self._end)
        if b"ready" not in self._exchange(self._child, b"", SECONDS_TO_START, 1_000):
            self._end()
            raise self._impossible("it does not start")
        return self._child

    def _impossible(self, why: object) -> NotApartError:
        self._is_possible = False
        log.warning(
            "Chat templates and tokenizers cannot run in a process of their own here (%s): what "
            "one of a hostile model does cannot be ended.",
            why,
        )
        return NotApartError(str(why))

    def _end(self) -> None:
        atexit.unregister(self._end)
        child, self._child = self._child, None
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was not written yet cannot be any more
                    pipe.close()
        if self._owner == os.getpid():
            child.kill()
            child.wait()


apart = Apart()
