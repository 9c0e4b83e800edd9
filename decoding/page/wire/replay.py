"""A recorded run as one HTML file: the page's own scripts, with no server and no request."""

from __future__ import annotations

import base64
import gzip
import hashlib
import posixpath
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from decoding.page.files import ASSETS, PLOTLY
from decoding.page.texts import evaluation, texts
from decoding.page.wire.frames import to_json
from decoding.page.wire.run_log import RunLog
from decoding.records.trace_file import trace_json

if TYPE_CHECKING:
    from decoding.records.trace import DecodingTrace

ENTRY = "offline"
STYLES = ("page", "memory", "wheel", "keys", "inspector", "trace", "marks")
ROWS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("", (("header", "page-header"), ("summary", "summary"))),
    ("", (("status", "status"), ("wheel", "wheel"))),
    ("panels", (("text", "text-panel"), ("distribution", "distribution-panel"))),
    ("", (("inspector", "inspector-panel"), ("branches", "branches-panel"))),
    (
        "charts",
        (
            ("confidence", "confidence-panel"),
            ("kv-cache", "kv-cache-panel"),
            ("latency", "latency-panel"),
        ),
    ),
    ("memory", (("layers", "layers-panel"), ("trace", "trace-panel"))),
)

_IMPORT = re.compile(r'^import (?:\{([^}]*)\} from )?"(\.[\w./-]+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function|const|class) (\w+))", re.MULTILINE)
_OTHER_MODULE_WORD = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def replay_html(trace: DecodingTrace) -> str:
    """A page that shows a run again, offline, in the views of the live one.

    Its Content-Security-Policy forbids every request and every script but the two that are in
    it. What models and people wrote is in it packed, so that none of it stands there as markup.
    """
    plotly, page = _script(PLOTLY.read_text(encoding="utf-8")), _script(bundle())
    frames = "\n".join(RunLog.from_trace(trace).frames())
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(plotly, page)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            "<title>Decoding Live: a recorded run</title>",
            f"<style>{_styles()}</style></head>",
            '<body class="offline"><div class="gradio-container"><main class="main fillable">',
            *(_row(elem_id, views) for elem_id, views in ROWS),
            "</main></div>",
            _data("decoding-live-texts", texts()),
            _data("decoding-live-evaluation", evaluation()),
            _data("recorded-facts", _facts(trace)),
            _packed("recorded-frames", frames),
            _packed("recorded-trace", trace_json(trace)),
            f"<script>{plotly}</script>",
            f'<script type="module">{page}</script>',
            "</body></html>",
        ]
    )


def bundle(entry: str = ENTRY) -> str:
    """One script of a module in `assets` and all that it imports, each in a function of its own.

    Raises:
        ValueError: a module imports in a circle, or in a way that this does not know.
    """
    done: dict[str, str] = {}
    _add_module(entry, done, ())
    return "\n".join(done.values())


def _add_module(name: str, done: dict[str, str], above: tuple[str, ...]) -> None:
    if name in above:
        raise ValueError(f"{' -> '.join([*above, name])}: these modules import in a circle")
    if name in done:
        return
    source = (ASSETS / f"{name}.js").read_text(encoding="utf-8")
    for _names, address in _IMPORT.findall(source):
        _add_module(_beside(name, address), done, (*above, name))
    exported = _EXPORT.findall(source)
    body = _EXPORT.sub("", _IMPORT.sub(partial(_imported, name), source))
    if left := _OTHER_MODULE_WORD.search(body):
        raise ValueError(f"{name}.js: cannot be bundled: {left.group()}")
    done[name] = _wrapped(name, body, exported) if above else body


def _wrapped(name: str, body: str, exported: list[str]) -> str:
    given = f"return {{ {', '.join(exported)} }};"
    return f"const {_variable(name)} = (() => {{\n{body}\n{given}\n}})();"


def _imported(by: str, found: re.Match[str]) -> str:
    names, address = found.groups()
    if names is None:
        return ""
    return f"const {{{names.replace(' as ', ': ')}}} = {_variable(_beside(by, address))};\n"


def _beside(name: str, address: str) -> str:
    """A module of `assets` by its folder and name, from its address in another one."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), address))


def _variable(module: str) -> str:
    return "$" + re.sub(r"\W", "_", module)


def _policy(*scripts: str) -> str:
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _script(text: str) -> str:
    """The same program, with nothing in it that would end or change an inline script."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--").strip()


def _styles() -> str:
    sheets = ((ASSETS / "styles" / f"{name}.css").read_text(encoding="utf-8") for name in STYLES)
    return "\n".join(sheets).replace("</", "<\\/")


def _row(elem_id: str, views: tuple[tuple[str, str], ...]) -> str:
    cells = "".join(
        f'<div id="{id_}" data-view="{name}"><div class="view"></div></div>' for name, id_ in views
    )
    return f'<div id="{elem_id}">{cells}</div>' if elem_id else cells


def _facts(trace: DecodingTrace) -> dict[str, Any]:
    return {"created": trace.created, "versions": trace.versions, "revision": trace.revision}


def _data(elem_id: str, value: object) -> str:
    data = to_json(value).replace("<", "\\u003c")
    return f'<script type="application/json" id="{elem_id}">{data}</script>'


def _packed(elem_id: str, text: str) -> str:
    packed = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
    return f'<script type="application/octet-stream" id="{elem_id}">{packed}</script>'
