"""What one request has cost, against what the operator allows."""

from __future__ import annotations

from decoding.page.requests.refusals import RequestError
from decoding.page.requests.settings import Limits
from decoding.records.requests import RunHead
from decoding.records.tree import RunStep


class Spent:
    """Seconds of computing, and tokens fed to the model.

    Attributes:
        seconds: of the steps; those in which others had their turn do not count.
        read_tokens: fed for them.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.read_tokens = 0

    def take(self, event: RunHead | RunStep, limits: Limits) -> None:
        """Counts a step.

        Raises:
            RequestError: it was the last that is allowed.
        """
        if not isinstance(event, RunStep) or event.is_late:
            return
        self.seconds += event.step.seconds
        self.read_tokens += event.step.input_tokens
        if self.seconds > limits.seconds:
            raise RequestError(
                f"This run has taken {limits.seconds:,.0f} seconds, which is all this page allows.",
                "limit_seconds",
                seconds=round(limits.seconds),
            )
        if self.read_tokens > limits.read_tokens:
            raise RequestError(
                f"This run has fed {limits.read_tokens:,} tokens to the model, which is all this "
                "page allows: a KV cache feeds each of them once.",
                "limit_tokens",
                tokens=limits.read_tokens,
            )
