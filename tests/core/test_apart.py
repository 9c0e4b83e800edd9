"""A process of its own: asked, ended and begun again; templates and tokenizers within bounds."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tiny import byte_tokenizer
from tokenizers import Regex, decoders, normalizers, pre_tokenizers, processors

from decoding import PromptError
from decoding.core import apart as room
from decoding.core import templates
from decoding.core import tokenize as tokenize_room
from decoding.core.apart import Apart, Bounds, NotApartError, Once, OverrunError, RefusedError
from decoding.core.apart_process import answer
from decoding.core.templates import render_chat
from decoding.core.tokenize import tokenize, tokenized
from decoding.core.tokenizer_parts import PATTERNS, decodes_in_time, encodes_in_time

BOUNDS = Bounds(1, 200_000_000, 1_000_000)
HI = [{"role": "user", "content": "Hi"}]
# Each takes the square or the cube of some text where it is written badly.
RUNS = [
    *(run * 50_000 for run in ("a", "A", " ", "\n", "\t", ".", "1", "一", "é", "ǅ", "ʰ", "'", "▁")),
    *(run * 50_000 + "x" for run in (" ", "\n ", " \t", "A")),
    "Aa" * 25_000,
    "a'" * 25_000,
    "!a" * 25_000,
]


@pytest.fixture
def apart() -> Iterator[Apart]:
    made = Apart()
    yield made
    made.end()


def rendered(apart: Apart, template: str, **bounds: int) -> Any:
    asked = {"arguments": {"conversations": [HI], "chat_template": template}}
    limits = Bounds(**{"seconds": 1, "memory_bytes": 200_000_000, "most_bytes": 10_000, **bounds})
    return apart.ask("render", {**asked, "most_characters": 500}, limits)


# --- the process --------------------------------------------------------------------------


def test_one_process_answers_and_stays(apart: Apart) -> None:
    assert rendered(apart, "{{ messages[0].content }}") == "Hi"
    child = apart._child
    with pytest.raises(RefusedError, match="no system"):
        rendered(apart, "{{ raise_exception('no system') }}")
    with pytest.raises(RefusedError, match="unexpected '}'"):
        rendered(apart, "{{ }")
    assert rendered(apart, "x") == "x"
    assert apart._child is child


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "took"),
        ("{{ 'x' * 9999999999 }}", "memory"),
        ("{% set n = namespace(t='x') %}{% for i in range(99) %}{% set n.t = n.t + n.t %}"
         "{% endfor %}", "memory"),
        ("{{ 'x' * 501 }}", "made 501 characters"),
    ],
)  # fmt: skip
def test_what_never_ends_is_ended_and_the_next_is_answered(
    apart: Apart, template: str, says: str
) -> None:
    began = time.monotonic()
    with pytest.raises(OverrunError, match=says):
        rendered(apart, template)
    assert time.monotonic() - began < 10
    assert rendered(apart, "x") == "x"


def test_an_answer_that_is_cut_is_none(apart: Apart) -> None:
    with pytest.raises(OverrunError):
        rendered(apart, "{{ 'x' * 400 }}", most_bytes=100)
    assert rendered(apart, "x") == "x"


def test_the_clock_ends_what_only_waits() -> None:
    code = "import sys, time; print('ready', flush=True); sys.stdin.readline(); time.sleep(99)"
    waiting = Apart([sys.executable, "-c", code])
    began = time.monotonic()
    with pytest.raises(OverrunError, match="more than 1 seconds"):
        waiting.ask("render", {}, BOUNDS)
    assert room.CLOCK_SECONDS_A_SECOND <= time.monotonic() - began < 30


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_process_that_died_is_begun_again(apart: Apart) -> None:
    assert rendered(apart, "x") == "x"
    assert apart._child is not None
    os.kill(apart._child.pid, signal.SIGKILL)
    apart._child.wait()
    assert rendered(apart, "x") == "x"


def test_threads_get_their_own_answers(apart: Apart) -> None:
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(rendered(apart, f"{n} " * 20)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == sorted(f"{n} " * 20 for n in range(8))


@pytest.mark.parametrize("command", [["/nowhere/python"], [sys.executable, "-c", "pass"]])
def test_where_no_process_can_be_started_that_is_said_once(
    command: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = Apart(command)
    for _ in range(2):
        with pytest.raises(NotApartError):
            without.ask("render", {}, BOUNDS)
    assert len(caplog.records) == 1
    # Then it is done here, as transformers does it.
    monkeypatch.setattr(templates, "apart", without)
    monkeypatch.setattr(tokenize_room, "apart", without)
    tokenizer = byte_tokenizer()
    expected = tokenizer.apply_chat_template(HI, tokenize=False)
    assert render_chat(tokenizer, HI) == expected
    tokenizer.chat_template = "{{ raise_exception('no') }}"
    with pytest.raises(PromptError, match="refused the messages: no"):
        render_chat(tokenizer, HI)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("(a+)+b"), "isolated")
    assert tokenize(tokenizer, "c", add_special_tokens=False) == [99]


def test_an_interrupted_question_leaves_no_answer_behind(
    apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Any, _size: int) -> bytes:
        raise KeyboardInterrupt

    assert rendered(apart, "x") == "x"
    assert apart._child is not None
    stdout = apart._child.stdout
    with monkeypatch.context() as patch:
        patch.setattr(apart._child, "stdout", type("Pipe", (), {"readline": interrupted})())
        patch.setattr(apart._child.stdout, "close", lambda: None, raising=False)
        with pytest.raises(KeyboardInterrupt):
            rendered(apart, "first")
    assert stdout is not None
    stdout.close()
    assert rendered(apart, "second") == "second"


def test_what_is_kept_is_sent_once(apart: Apart) -> None:
    core = byte_tokenizer().backend_tokenizer.to_str()
    sent = []

    def made() -> dict[str, Any]:
        sent.append(core)
        return {"core": core}

    asked: dict[str, Any] = {"name": "a", "core": None, "text": "hi"}
    asked |= {"add_special_tokens": False, "split_special_tokens": False}
    for _ in range(2):
        assert apart.ask("encode", asked, BOUNDS, Once("a", made))["ids"] == [104, 105]
    assert len(sent) == 1
    apart.end()
    assert apart.ask("encode", asked, BOUNDS, Once("a", made))["ids"] == [104, 105]
    assert len(sent) == 2


def test_answers_as_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process's own work, done here."""
    asked = {"arguments": {"conversations": [HI], "chat_template": "{{ messages[0].content }}"}}
    assert answer("render", {**asked, "most_characters": 2}) == {"value": "Hi"}
    assert answer("render", {**asked, "most_characters": 1})["overrun"].startswith("made 2")
    assert answer("nonsense", {}) == {"refused": "'nonsense'"}

    def fail(**_arguments: Any) -> None:
        raise MemoryError

    monkeypatch.setitem(sys.modules[answer.__module__].WORK, "render", fail)  # type: ignore[attr-defined]
    assert answer("render", {}) == {"overrun": "needed more memory than it may"}
    core = byte_tokenizer().backend_tokenizer
    core.enable_padding(length=50)
    asked = {"name": "a", "core": core.to_str(), "text": "hi<eos>", "split_special_tokens": True}
    found = answer("encode", {**asked, "add_special_tokens": False})["value"]
    assert len(found["ids"]) == 7
    assert found["offsets"][1] == (1, 2)


# --- templates ----------------------------------------------------------------------------


def test_a_template_sees_what_transformers_lets_it_see() -> None:
    from dataclasses import dataclass

    import numpy as np

    @dataclass
    class Made:
        name: str
        inner: object

    def weather(city: str) -> str:
        """Tells the weather.

        Args:
            city: where.
        """
        return city

    class Dumped:
        def model_dump(self) -> dict[str, int]:
            return {"a": 1}

    tokenizer = byte_tokenizer()
    tokenizer.chat_template = (
        "{{ bos_token }}{{ tools | tojson }}{{ x }}{{ y | tojson }}{{ z }}{{ w | tojson }}{{ f }}"
        "{{ messages }}"
    )
    messages: list[dict[str, Any]] = [{"role": "user", "content": "中\u2028", "reasoning": "r"}]
    messages.append({"role": "assistant", "content": None, "tool_calls": [{"a": (1, 2)}]})
    choices: dict[str, Any] = {"x": np.float64(1.5), "y": Made("n", Dumped()), "z": object()}
    choices |= {"tools": [weather, {"type": "function"}], "w": [True, None, 1e9], "f": np.ones(2)}
    expected = tokenizer.apply_chat_template(messages, tokenize=False, **choices)
    assert render_chat(tokenizer, messages, **choices) == expected.replace("(1, 2)", "[1, 2]")


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (7, "refused the messages: it is no text but a int"),
        ("x" * 1_000_001, "has 1,000,001 characters, of 1,000,000 at most"),
        ({"a": "x", "b": "y"}, "refused the messages: This model has multiple chat templates"),
        ("{{ raise_exception('no\\n' * 90000) }}", "refused the messages: no no no"),
        ("{{ 1 / 0 }}", "refused the messages: division by zero"),
        ("{% for i in range(99999999) %}{% endfor %}", "refused the messages: Range too big"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "refused the messages: maximum recurs"),
        ("{{ messages.__class__.__mro__ }}", "refused the messages: access to attribute"),
    ],
)
def test_templates_that_cannot_be_used_are_one_bounded_sentence(template: Any, says: str) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(PromptError) as caught:
        render_chat(tokenizer, HI)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_messages_that_no_template_can_see() -> None:
    tokenizer = byte_tokenizer()
    loop: dict[str, Any] = {"role": "user"}
    loop["content"] = loop
    with pytest.raises(PromptError, match="refused the messages"):
        render_chat(tokenizer, [loop])


def test_a_tokenizer_with_a_way_of_its_own_renders_by_it() -> None:
    class Own(type(byte_tokenizer())):  # type: ignore[misc]
        def apply_chat_template(self, messages: Any, **choices: Any) -> str:
            return f"{len(messages)} {sorted(choices)}"

    tokenizer = Own(tokenizer_object=byte_tokenizer().backend_tokenizer)
    assert render_chat(tokenizer, HI, x=1) == "1 ['tokenize', 'x']"


# --- tokenizers ---------------------------------------------------------------------------


def with_parts(**parts: Any) -> Any:
    tokenizer = byte_tokenizer()
    for name, part in parts.items():
        setattr(tokenizer.backend_tokenizer, name, part)
    return tokenizer


def split(pattern: str) -> Any:
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), level])


def bos_before(text: str) -> Any:
    return processors.TemplateProcessing(single=text.strip(), special_tokens=[("<bos>", 257)])


def doubled(times: int) -> Any:
    return normalizers.Sequence([normalizers.Replace("a", "aa")] * times)


def test_published_patterns_end_in_time() -> None:
    for pattern in sorted(PATTERNS):
        assert encodes_in_time(with_parts(pre_tokenizer=split(pattern))), pattern
        began = time.process_time()
        for run in RUNS:
            normalizers.Replace(Regex(pattern), "").normalize_str(run)
        # Some hundredths of a second; the square of a run's length is more than four.
        assert time.process_time() - began < 2, pattern


@pytest.mark.parametrize(
    "parts",
    [
        {"normalizer": normalizers.Sequence([normalizers.NFC(), normalizers.Prepend("▁")])},
        {"normalizer": normalizers.Replace(" ", "▁")},
        {"normalizer": normalizers.Replace(Regex(" {2,}"), " ")},
        {"pre_tokenizer": pre_tokenizers.ByteLevel()},
        {"pre_tokenizer": pre_tokenizers.Split(" ", "isolated")},
        {"post_processor": bos_before("<bos> $A")},
        {"post_processor": processors.Sequence([processors.ByteLevel()])},
    ],
)  # fmt: skip
def test_common_parts_run_here(parts: dict[str, Any]) -> None:
    assert encodes_in_time(with_parts(**parts))


@pytest.mark.parametrize(
    "parts",
    [
        {"normalizer": normalizers.Replace(Regex("(a+)+b"), "")},
        {"normalizer": normalizers.Replace("a", "a" * 17)},
        {"normalizer": doubled(5)},
        {"pre_tokenizer": split("(a+)+b")},
        {"pre_tokenizer": pre_tokenizers.FixedLength(length=1)},
        {"post_processor": bos_before("$A $A")},
        {"post_processor": bos_before("<bos> " * 17 + "$A")},
    ],
)  # fmt: skip
def test_other_parts_run_apart_and_give_the_same(parts: dict[str, Any]) -> None:
    tokenizer = with_parts(**parts)
    assert not encodes_in_time(tokenizer)
    for text in ("ab<bos> é中", ""):
        for special in (True, False):
            expected = tokenizer(
                text, add_special_tokens=special, return_offsets_mapping=True, verbose=False
            )
            found = tokenized(tokenizer, text, add_special_tokens=special, offsets=True)
            assert found == (expected["input_ids"], expected["offset_mapping"])


def test_a_tokenizer_that_gets_a_token_is_another_one() -> None:
    tokenizer = with_parts(pre_tokenizer=split("x(?=y)"))
    assert len(tokenize(tokenizer, "hello", add_special_tokens=False)) == 5
    tokenizer.add_tokens(["ello"])
    assert tokenize(tokenizer, "hello", add_special_tokens=False) == [104, 260]


def test_parts_that_are_somebodys_own_code_run_here() -> None:
    class Own:
        def pre_tokenize(self, text: Any) -> None:
            """Leaves it whole."""

    assert encodes_in_time(with_parts(pre_tokenizer=pre_tokenizers.PreTokenizer.custom(Own())))
    assert encodes_in_time(object())
    assert not encodes_in_time(with_parts(normalizer=normalizers.Replace("", "a")))
    assert decodes_in_time(object())


def test_decoders() -> None:
    assert decodes_in_time(with_parts(decoder=decoders.ByteLevel()))
    assert decodes_in_time(with_parts(decoder=decoders.Replace("▁", " ")))
    for bad in (decoders.Replace(Regex("(a+)+b"), ""), decoders.Replace("a", "b" * 99)):
        assert not decodes_in_time(with_parts(decoder=bad))


@pytest.mark.parametrize(
    ("parts", "text", "says"),
    [
        ({"pre_tokenizer": split("(a+)+$")}, "a" * 40 + "b", "broke down"),  # a panic
        ({"pre_tokenizer": split(r"\w*\w*\w*[^\w]")}, "a" * 350, "took more than"),
        ({"normalizer": doubled(40)}, "a", "took more than"),
        ({"normalizer": normalizers.Replace("a", "a" * 50_000)}, "a", "made 50,000 tokens of 1"),
    ],
)  # fmt: skip
def test_tokenizers_that_do_not_end_are_one_sentence(
    parts: dict[str, Any], text: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenize_room, "SECONDS", 1)
    monkeypatch.setattr(tokenize_room, "MEMORY_BYTES", 500_000_000)
    with pytest.raises(PromptError, match=says) as caught:
        tokenize(with_parts(**parts), text, add_special_tokens=False)
    assert len(str(caught.value)) < 400
