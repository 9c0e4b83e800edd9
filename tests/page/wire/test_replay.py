"""A recorded run as one file: what is in it, what it may do, how large it is."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny import byte_tokenizer, tiny_model
from traces import made_trace

from decoding import LanguageModel
from decoding.page.files import PLOTLY
from decoding.page.wire import replay
from decoding.page.wire.replay import bundle, replay_html
from decoding.records.trace import DecodingTrace
from decoding.records.trace_file import read_trace, trace_json
from decoding.session.recording import trace_of
from decoding.session.session import DecodingSession

HOSTILE: list[str] = json.loads((Path(__file__).parents[2] / "data/hostile_text.json").read_text())
SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<body>.*?)</script>", re.DOTALL)


def recorded(lm: LanguageModel, prompt: str, tokens: int = 12) -> DecodingTrace:
    session = DecodingSession(
        lm, prompt, seed=1, do_sample=True, min_new_tokens=tokens, max_new_tokens=tokens
    )
    step = list(session.run())[3]
    session.fork(3, next(c.token_id for c in step.candidates if c.token_id != step.token_id))
    list(session.run(2))
    return trace_of(session)


@pytest.fixture(scope="module")
def trace() -> DecodingTrace:
    model = tiny_model("llama", max_position_embeddings=8192)
    return recorded(LanguageModel(model, byte_tokenizer(), name="tiny"), "".join(HOSTILE))


@pytest.fixture(scope="module")
def html(trace: DecodingTrace) -> str:
    return replay_html(trace)


def scripts(html: str) -> list[str]:
    """The programs in a page; its data are no program."""
    return [m["body"] for m in SCRIPT.finditer(html) if "application/" not in m["attributes"]]


def unpacked(html: str, elem_id: str) -> str:
    found = re.search(rf'<script[^>]* id="{elem_id}">([A-Za-z0-9+/=]*)</script>', html)
    assert found is not None
    return gzip.decompress(base64.b64decode(found[1])).decode()


def test_the_policy_allows_its_own_two_programs_and_no_request(html: str) -> None:
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert found is not None
    rules = dict(rule.strip().split(" ", 1) for rule in found[1].split(";"))
    assert rules["default-src"] == rules["form-action"] == rules["base-uri"] == "'none'"
    assert rules["img-src"] == "data: blob:"
    assert not {"connect-src", "font-src", "frame-src", "worker-src"} & rules.keys()
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts(html)]
    assert len(digests) == 2
    hashes = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    assert rules["script-src"].split() == hashes


def test_nothing_in_it_points_elsewhere(html: str) -> None:
    markup = SCRIPT.sub("", html)
    assert not re.search(r"""(?:src|href|srcset|action)=|url\(|@import|https?:""", markup)


def test_what_was_written_stands_nowhere_as_markup(html: str, trace: DecodingTrace) -> None:
    dangerous = [text for text in HOSTILE if "<" in text and len(text) > 8]
    assert len(dangerous) > 5
    assert all(text in trace.prompt for text in dangerous)
    assert not [text for text in dangerous if text in html]


def test_the_trace_is_in_it_whole(html: str, trace: DecodingTrace) -> None:
    assert unpacked(html, "recorded-trace") == trace_json(trace)
    assert read_trace(unpacked(html, "recorded-trace")) == trace


def test_half_a_character_in_any_fact_is_no_obstacle() -> None:
    half = "</script>\ud800"
    made = replace(made_trace(half), created=half, revision=half, versions={half: half})
    html = replay_html(made).encode().decode()
    facts = re.search(r'id="recorded-facts">(.*?)</script>', html)
    assert facts is not None
    assert json.loads(facts[1]) == {"created": half, "versions": {half: half}, "revision": half}


def test_its_frames_hold_every_branch(html: str, trace: DecodingTrace) -> None:
    frames = [json.loads(line) for line in unpacked(html, "recorded-frames").split("\n")]
    assert [len(frame["steps"]) for frame in frames] == [len(b.steps) for b in trace.branches]
    assert frames[0]["head"]["live"] is False
    assert frames[-1]["state"] == "finished"
    assert [[parent, at] for parent, at, _ in frames[-1]["tree"]] == [[None, 0], [0, 3]]


def test_the_bundle_is_one_program_with_each_module_once() -> None:
    program = bundle()
    assert not re.search(r"^(?:import|export)\b", program, re.MULTILINE)
    wrapped = re.findall(r"^const \$(\w+) = \(\(\) => \{$", program, re.MULTILINE)
    assert len(wrapped) == len(set(wrapped)) > 20
    assert {"run_run", "step_distribution", "run_replay", "text_stream"} <= set(wrapped)


def bundled(monkeypatch: pytest.MonkeyPatch, folder: Path, **modules: str) -> str:
    for name, source in modules.items():
        (folder / f"{name}.js").write_text(source)
    monkeypatch.setattr(replay, "ASSETS", folder)
    return bundle("entry")


def test_names_are_imported_under_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = bundled(
        monkeypatch,
        tmp_path,
        entry='import { one as first, Two } from "./some-names.js";\nfirst();\n',
        **{"some-names": "export const one = () => 1;\nexport class Two {}\n"},
    )
    assert "return { one, Two };" in program
    assert program.endswith("const { one: first, Two } = $some_names;\nfirst();\n")


@pytest.mark.parametrize(
    ("modules", "told"),
    [
        ({"entry": 'import "./a.js";\n', "a": 'import "./entry.js";\n'}, "entry -> a -> entry"),
        ({"entry": "export default 1;\n"}, "export default"),
        ({"entry": 'import all from "./a.js";\n'}, "import all"),
    ],
)
def test_what_cannot_be_bundled_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, modules: dict[str, str], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        bundled(monkeypatch, tmp_path, **modules)


def test_a_program_cannot_end_its_element(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = bundled(monkeypatch, tmp_path, entry='"</script><!-- <script>"')
    assert replay._script(source) == '"<\\/script><\\!-- <script>"'


@pytest.mark.default_model
@pytest.mark.parametrize("tokens", [500])
def test_500_steps_stay_below_2_mb(
    default_lm: LanguageModel, tokens: int, capsys: pytest.CaptureFixture[str]
) -> None:
    session = DecodingSession(
        default_lm,
        "Once upon a time",
        seed=1,
        do_sample=True,
        min_new_tokens=tokens,
        max_new_tokens=tokens,
    )
    assert len(list(session.run())) == tokens
    size = len(replay_html(trace_of(session)).encode()) - PLOTLY.stat().st_size
    with capsys.disabled():
        print(f"\n{tokens} steps: {size:,} bytes without Plotly's script")
    assert size < 2_000_000


def test_a_session_is_played_from_any_model(tiny_lms: Callable[[str], Any]) -> None:
    html = replay_html(recorded(tiny_lms("mamba"), "state"))
    assert unpacked(html, "recorded-frames").count('"i":') >= 14
