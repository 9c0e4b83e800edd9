"""A session -> HTML for a notebook: its text, coloured, and its numbers as small charts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from decoding.console.colours import LEVELS, doubt, safe_text
from decoding.records.errors import SessionError
from decoding.records.step import DecodingStep
from decoding.records.svg import Line, small_chart
from decoding.records.units import bytes_in_words

if TYPE_CHECKING:
    from decoding.session.session import DecodingSession

MOST_TOKENS = 2_000
MOST_BYTES = 500_000  # of the text's HTML
MOST_PROMPT_CHARACTERS = 2_000
LONGEST_TOKEN = 200
ALPHAS = [round(0.07 * level, 2) for level in range(1, LEVELS + 1)]
STYLE = (
    ".decoding-session{font-family:system-ui,sans-serif;font-size:13px;max-width:980px}"
    ".decoding-session pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:6px 0;"
    "font:16px/1.8 system-ui,sans-serif;unicode-bidi:plaintext;background:none;color:inherit;"
    "max-height:24em;overflow:auto}"
    ".decoding-session pre.prompt{font-size:13px;opacity:.7;max-height:8em}"
    ".decoding-session i{font-style:normal;border-radius:3px;unicode-bidi:isolate}"
    ".decoding-session i.special{font-size:11px;border:1px dashed;opacity:.7}"
    ".decoding-session i.forced{outline:2px solid #1f8f96}"
    ".decoding-session div.charts{display:flex;flex-wrap:wrap;gap:12px}"
    ".decoding-session figure{margin:0;flex:1 1 240px}"
    + "".join(
        f".decoding-session i.d{level}{{background:rgb(200 80 20/{alpha});"
        f"border-bottom:{0.4 * level:.1f}px solid rgb(200 80 20)}}"
        for level, alpha in enumerate(ALPHAS, 1)
    )
)


def session_html(session: DecodingSession) -> str:
    """The session as it is now, up to its cursor; of bounded size, and all text as text."""
    steps = session.path()
    parts = [f"<style>{STYLE}</style>", _facts(session, steps), _prompt(session)]
    if steps:
        parts += [_text(steps), f'<div class="charts">{"".join(_charts(steps))}</div>']
    return f'<div class="decoding-session">{"".join(parts)}</div>'


def _facts(session: DecodingSession, steps: Sequence[DecodingStep]) -> str:
    branches = len(session.tree.branches)
    facts = [_name(session), f"{len(steps):,} token{'s' * (len(steps) != 1)}"]
    if branches > 1:
        facts.append(f"branch {session.branch + 1} of {branches}")
    if steps:
        seconds = math.fsum(step.seconds for step in steps)
        facts += [f"{len(steps) / seconds:.1f} tokens/s", *_cache_facts(steps[-1])]
        facts += [f"finished: {steps[-1].finish_reason}"] * (steps[-1].finish_reason is not None)
    return f"<p>{' · '.join(escape(fact) for fact in facts)}</p>"


def _name(session: DecodingSession) -> str:
    try:
        return safe_text(session.lm.name)
    except SessionError:  # the model was let go
        return safe_text(session.origin.model.name)


def _cache_facts(step: DecodingStep) -> list[str]:
    cache = step.kv_cache
    return (
        []
        if cache is None
        else [f"{cache.tokens:,} positions, {bytes_in_words(cache.bytes)} cached"]
    )


def _prompt(session: DecodingSession) -> str:
    prompt = session.prompt
    if isinstance(prompt, str):
        text = prompt
    elif all(isinstance(message, dict) for message in prompt):
        text = "\n".join(f"{m.get('role')}: {m.get('content')}" for m in prompt)  # type: ignore[union-attr]
    else:
        text = f"{len(prompt):,} token ids"
    if len(text) > MOST_PROMPT_CHARACTERS:
        half = MOST_PROMPT_CHARACTERS // 2
        left_out = f"\n… {len(text) - 2 * half:,} characters …\n"
        text = text[:half] + left_out + text[-half:]
    return f'<pre class="prompt">{escape(safe_text(text))}</pre>'


def _text(steps: Sequence[DecodingStep]) -> str:
    """The tokens; of a long text the last ones, with a word on the rest."""
    tokens: list[str] = []
    room = MOST_BYTES
    for step in reversed(steps[-MOST_TOKENS:]):
        token = _token(step)
        room -= len(token.encode())
        if room < 0:
            break
        tokens.append(token)
    hidden = len(steps) - len(tokens)
    told = f"… {hidden:,} tokens before these …\n" if hidden else ""
    return f"<pre>{told}{''.join(reversed(tokens))}</pre>"


def _token(step: DecodingStep) -> str:
    surprisal = -step.logprob / math.log(2)
    level = 0 if step.is_special else doubt(surprisal)
    kinds = [f"d{level}"] * (level > 0) + ["special"] * step.is_special
    kinds += ["forced"] * step.is_forced
    told = f"p {step.probability:.3g}, rank {step.rank}, {surprisal:.2f} bits"
    text = step.text if len(step.text) <= LONGEST_TOKEN else step.text[:LONGEST_TOKEN] + "…"
    named = f' class="{" ".join(kinds)}"' if kinds else ""
    return f'<i{named} title="{told}">{escape(safe_text(text))}</i>'


def _charts(steps: Sequence[DecodingStep]) -> list[str]:
    surprisal = [-step.logprob / math.log(2) for step in steps]
    entropy = [step.entropy_bits for step in steps]
    held = [step.kv_cache.bytes for step in steps if step.kv_cache]
    milliseconds = [math.nan, *(1000 * step.seconds for step in steps[1:])]
    bits = max((b for b in surprisal + entropy if math.isfinite(b)), default=0.0)
    slowest = max(milliseconds[1:], default=0.0)
    first = f"first token after {steps[0].seconds:.2f} s"
    charts = [
        small_chart(
            "Confidence, bits",
            (Line("surprisal", surprisal), Line("entropy", entropy)),
            f"{bits:.1f} bits",
        ),
        small_chart("Time of an inference, ms", (Line(first, milliseconds),), f"{slowest:.0f} ms"),
    ]
    if held:
        chart = small_chart("KV cache, bytes", (Line("measured", held),), bytes_in_words(max(held)))
        charts.insert(1, chart)
    return charts
