"""What a run has produced: each step encoded once, to be sent and sent again."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from decoding.page.wire.branch_log import BranchLog, plain_settings
from decoding.page.wire.frames import Message, head_fields, to_json
from decoding.records.model_facts import ModelFacts
from decoding.records.requests import RunHead
from decoding.records.step import DecodingStep
from decoding.records.tree import RunStep, given_tokens

if TYPE_CHECKING:
    from decoding.records.trace import DecodingTrace

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunTokens:
    """A run as later comparisons need it.

    Attributes:
        prompt_ids: the prompt as it was fed.
        tokens: (token id, printable text) of each new token.
        model: name of the model that made them.
        dtype: its number format.
        vocab_size: entries of its vocabulary.
    """

    prompt_ids: list[int]
    tokens: list[tuple[int, str]]
    model: str
    dtype: str
    vocab_size: int


class RunLog:
    """What one run has produced so far, each step encoded once.

    Attributes:
        log_id: cannot be guessed, so that knowing it is the right to read the run.
        state: of the run, as the frames name it.
        progress: (tokens fed, prompt tokens) while the prompt is read.
        branch: number of the one that is written now.
        is_live: it can go on after a pause.
    """

    def __init__(self, is_live: bool = True) -> None:
        """Nothing is known yet."""
        self.log_id = secrets.token_urlsafe(12)
        self.state = "prefill"
        self.progress: tuple[int, int] | None = None
        self.branch = 0
        self.is_live = is_live
        self._head: str | None = None
        self._model: ModelFacts | None = None
        self._prompt_ids: list[int] = []
        self._prompt = ""
        self._branches = [BranchLog()]
        self._sent_recorded = 0
        self._head_sent = self._tree_due = False

    @classmethod
    def from_trace(cls, trace: DecodingTrace, log_id: str | None = None) -> RunLog:
        """A run as it was recorded.

        Args:
            trace: of it.
            log_id: of one that can go on, whose steps were shown before; without it it cannot,
                as it was kept in a file.
        """
        run = cls(is_live=log_id is not None)
        run.log_id = log_id or run.log_id
        first = next((change.settings for change in trace.branches[0].changes), {})
        config = plain_settings({**first, "seed": trace.seed})
        if given_tokens(trace.branches[0].steps):
            config["scored"] = True
        run.add(RunHead(trace.prompt_tokens, trace.model, config))
        for branch in trace.branches:
            own = run._branch(branch.number, branch.parent, branch.at)
            own.note(branch.changes, branch.restorations)
            for step in branch.steps:
                own.add(step)
        run.branch = len(run._branches) - 1
        if log_id is None:
            run.state = "finished"
            return run
        last = trace.branches[-1].steps[-1:]
        run.state = "finished" if last and last[0].finish_reason else "paused"
        for own in run._branches:
            own.sent = own.length
        return run

    @property
    def total(self) -> int:
        """Steps so far on the way to the end of the branch that is written."""
        return self._branches[self.branch].length

    @property
    def has_head(self) -> bool:
        """Whether the prompt is known in tokens."""
        return self._head is not None

    def on_prefill(self, done: int, total: int) -> None:
        """Takes how far the prompt is read."""
        self.progress = (done, total)

    def go_on(self, branch: int) -> None:
        """From here on this branch is written, or one that leaves it."""
        self.branch, self.state, self.progress = branch, "prefill", None
        self._tree_due = True

    @property
    def branches(self) -> int:
        """How many there are."""
        return len(self._branches)

    def has_branch(self, branch: int) -> bool:
        """Whether there is one of this number."""
        return branch < len(self._branches)

    @property
    def known(self) -> tuple[int, ...]:
        """How many steps of each branch's own it has taken."""
        return tuple(len(branch.steps) for branch in self._branches)

    def add(self, event: RunHead | RunStep) -> None:
        """Takes the head, or a step with what was recorded before it.

        The branch that is written is the one that the last step of the newest stream is in.
        """
        if isinstance(event, RunHead):
            self._begin(event)
            return
        branch = self._branch(event.branch, event.parent, event.at)
        branch.note(event.changes, event.restorations)
        branch.add(event.step)
        if not event.is_late:
            self._write(event.branch, event.step)

    def _begin(self, head: RunHead) -> None:
        self._head = to_json({**head_fields(head), "live": self.is_live})
        self._model = head.model
        self._prompt_ids = [token.token_id for token in head.prompt]
        self._prompt = "".join(token.text for token in head.prompt)
        self._branches[0] = BranchLog(prompt=self._prompt)

    def _branch(self, number: int, parent: int | None, at: int) -> BranchLog:
        """One that is known, or the next one, which begins there."""
        if number == len(self._branches):
            before = [] if parent is None else self._on_path(parent, at, lambda log: log.read)
            self._branches.append(BranchLog(parent, at, self._prompt, before))
        return self._branches[number]

    @property
    def tokens(self) -> RunTokens:
        """The prompt's tokens and those of the branch that is written."""
        made = self._model
        facts = ("", "", 0) if made is None else (made.name, made.dtype, made.vocab_size)
        tokens = self._on_path(self.branch, self.total, lambda log: log.tokens)
        return RunTokens(list(self._prompt_ids), tokens, *facts)

    def next_frame(self, message: Message | None = None) -> str:
        """What no frame has carried yet: the head, once, and the newest steps."""
        written, recorded = self._branches[self.branch], self._recorded
        start, written.sent = written.sent, written.length
        with_head, self._head_sent = not self._head_sent, self.has_head
        with_tree, self._tree_due = self._tree_due or len(self._branches) > 1, False
        with_news, self._sent_recorded = recorded != self._sent_recorded, recorded
        return self._frame(self.branch, start, with_head, with_tree, with_news, message)

    def frame_from(self, start: int, branch: int | None = None) -> str:
        """A branch's own steps from `start` on; the head when that is the first of all."""
        shown = self.branch if branch is None else min(branch, len(self._branches) - 1)
        log = self._branches[shown]
        return self._frame(shown, min(max(start, log.at), log.length), start <= 0, True, True)

    def frames(self) -> Iterator[str]:
        """All of it, one frame for each branch."""
        last = len(self._branches) - 1
        for number in range(last + 1):
            self.branch, self.state = number, "finished" if number == last else "decoding"
            yield self.next_frame()

    def _write(self, branch: int, step: DecodingStep) -> None:
        under_way = "prefill" if step.phase == "score" else "decoding"
        self.branch, self.state = branch, "finished" if step.finish_reason else under_way

    @property
    def _recorded(self) -> int:
        """How many changes and notes there are."""
        return sum(len(branch.changes) + len(branch.notes) for branch in self._branches)

    def _on_path(self, number: int, end: int, own: Callable[[BranchLog], list[T]]) -> list[T]:
        """What the branches on the way hold, from the prompt to before a place of one of them."""
        found: list[T] = []
        following: int | None = number
        while following is not None:
            branch = self._branches[following]
            found[:0] = own(branch)[: max(0, end - branch.at)]
            following, end = branch.parent, min(end, branch.at)
        return found

    def _frame(
        self,
        branch: int,
        start: int,
        with_head: bool,
        with_tree: bool,
        with_news: bool,
        message: Message | None = None,
    ) -> str:
        known: dict[str, Any] = {
            "run": self.log_id,
            "state": self.state,
            "message": message,
            "progress": self.progress if self.state == "prefill" else None,
            "b": branch,
        }
        if with_tree:
            known["tree"] = [[log.parent, log.at, log.length] for log in self._branches]
        if with_news:
            known |= {
                "notes": self._numbered(lambda log: log.notes),
                "changes": self._numbered(lambda log: log.changes),
            }
        head = f',"head":{self._head}' if with_head and self._head else ""
        log = self._branches[branch]
        steps = log.steps[start - log.at :]
        return (
            f'{to_json(known)[:-1]}{head},"start":{start},"total":{start + len(steps)},'
            f'"steps":[{",".join(steps)}]}}'
        )

    def _numbered(self, own: Callable[[BranchLog], list[list[Any]]]) -> list[list[Any]]:
        return [[number, *row] for number, log in enumerate(self._branches) for row in own(log)]
