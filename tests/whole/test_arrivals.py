"""The served page and what Gradio's own routes are sent: too much, foreign, or of wrong types."""

import http.client
import itertools
import json
import logging
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from served_page import Visitor, block, event, serving, until

from decoding.page.incoming.uploads import LEAST_BYTES, UploadLimits
from decoding.records.errors import ModelLoadError

pytestmark = [
    pytest.mark.slow,
    # Gradio's queue sums up its own work with what pandas has given up.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio.queueing"),
]

API = "gradio_api"
MB = 1_000_000
LARGE = 20 * MB
SESSION = "a-session"
FILE = {"meta": {"_type": "gradio.FileData"}}


class Lines(logging.Handler):
    """What is logged, by whomever."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        self.texts.append(self.format(record))


@pytest.fixture(scope="module")
def served():
    def load(progress):
        raise ModelLoadError("Here is no model.")

    with serving(load) as (demo, url):
        yield demo, url


@pytest.fixture
def log(served, capsys):
    """Lines of the program's and of the server's log; nothing else is written meanwhile."""
    lines = Lines()
    names = ("decoding", "uvicorn")
    for name in names:
        logging.getLogger(name).addHandler(lines)
    yield lines.texts
    for name in names:
        logging.getLogger(name).removeHandler(lines)
    assert "Traceback" not in capsys.readouterr().err + "".join(lines.texts)


@pytest.fixture
def http_client(served):
    with httpx.Client(base_url=served[1], timeout=60) as client:
        yield client


def posts(client):
    """Every address that takes a POST, with something in place of its parameters."""
    paths = client.get("openapi.json").json()["paths"]
    found = [path for path, methods in paths.items() if "post" in methods]
    assert f"/{API}/queue/join" in found
    return [path.replace("{api_name}", "decode").replace("{event_id}", "x") for path in found]


def rubbish(demo):
    """Bodies that no function of the page can take."""
    generate, stop = event(demo, "generate")._id, event(demo, "stop")._id
    feed = block(demo, "feed")._id
    call = {"data": [], "fn_index": stop, "session_hash": SESSION}
    wrong = [
        {},
        [],
        None,
        1,
        "x",
        {"data": 1},
        {"data": {}, "fn_index": stop, "session_hash": SESSION},
        {"data": []},
        {**call, "data": [1]},
        *({**call, "fn_index": index} for index in (9_999, -1, "x", 1e99, True, [], {}, 2**70)),
        *({**call, "session_hash": name} for name in (5, "", "\ud800", "a" * 101, [SESSION])),
        *({**call, "batched": value} for value in (True, [1], "yes")),
        *({**call, name: {"a": [1]}} for name in ("event_id", "trigger_id", "simple_format")),
        {"data": [], "component_id": 10**6, "fn_name": "steps_from", "session_hash": SESSION},
        {"data": [], "component_id": feed, "fn_name": "__init__", "session_hash": SESSION},
        {"data": [], "component_id": "x", "fn_name": ["a"], "session_hash": SESSION},
        {"prompt": "a", "nonsense": 1},
        {"chat": True},
    ]
    file = {"path": str(Path(__file__)), **FILE}
    for value in ({"a": [1]}, "\ud800", [[]], 1e300, file):
        filled = [value] * len(event(demo, "generate").inputs)
        wrong.append({"data": filled, "fn_index": generate, "session_hash": SESSION})
        opened = event(demo, "open_trace")._id
        wrong.append({"data": [value], "fn_index": opened, "session_hash": SESSION})
    texts = [json.dumps(value).encode() for value in wrong]
    deep = b"[" * 500 + b"]" * 500
    return [
        *texts,
        b"",
        b"{",
        b"\xff\xfe",
        b'{"data":[NaN],"fn_index":0,"session_hash":"s"}',
        b'{"data":%s,"fn_index":%d,"session_hash":"s"}' % (deep, stop),
        b"[" * 100_000,
    ]


def test_wrong_types_are_refused_with_one_line_in_the_log(served, http_client, log):
    demo, _ = served
    bodies = rubbish(demo)
    for path, body in itertools.product(posts(http_client), bodies):
        log.clear()
        headers = {"Content-Type": "application/json"}
        answer = http_client.post(path, content=body, headers=headers)
        assert 400 <= answer.status_code < 500, (path, body[:200], answer.text)
        assert len(log) == 1, (path, body[:200], log)
    assert SESSION not in demo.app.state_holder.session_data


def test_what_is_no_json_is_refused(http_client, log):
    join = f"{API}/queue/join"
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = http_client.post(join, content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code == 415
    assert http_client.put(join, json={}).status_code == 400


@pytest.mark.parametrize(
    "place",
    [
        f"{API}/queue/data?session_hash=nobody",
        f"{API}/queue/data",
        f"{API}/call/decode/nothing",
        f"{API}/call/v2/decode/nothing",
        f"{API}/custom_component/a%0Ab/client/x/y",
        f"{API}/proxy=%00",
        f"{API}/proxy=http://127.0.0.1/",
        f"{API}/dev/reload",
        f"{API}/deep_link?session_hash=x",
        f"{API}/heartbeat/x%0Ay",
        f"{API}/vibe-code",
        f"assets/{'a' * 300}",
        "static/%00",
        "?page=nothing",
    ],
)
def test_questions_about_what_is_not_there_are_refused(place, http_client, log):
    answer = http_client.get(place)
    assert answer.status_code == 404, answer.text
    assert len(log) == 1


def test_no_function_answers_past_the_queue(served, http_client, log):
    demo, _ = served
    decode = event(demo, "decode")
    values = {"data": [None] * len(decode.inputs), "fn_index": decode._id}
    assert http_client.post(f"{API}/run/decode", json=values).status_code == 404
    assert http_client.post(f"{API}/run/stop", json={"data": []}).status_code == 200


def test_the_documented_ways_to_call_still_work(served, http_client, log):
    rest = [None] * (len(event(served[0], "decode").inputs) - 3)
    named = http_client.post(f"{API}/call/v2/decode", json={"prompt": "a"})
    listed = http_client.post(f"{API}/call/decode", json={"data": ["a", True, "", *rest]})
    for answer in (named, listed):
        place = f"{API}/call/decode/{answer.json()['event_id']}"
        assert "Here is no model." in http_client.get(place).text


def in_parts(size, beginning=b""):
    """A body that never is in memory as a whole."""
    yield beginning
    part = b"x" * 50_000
    for _ in range(size // len(part)):
        yield part


def test_large_bodies_are_refused_and_fill_no_memory(http_client, log):
    process, paths = psutil.Process(), [*posts(http_client), "/", "/health", "/nothing"]
    form = {"Content-Type": "multipart/form-data; boundary=b"}

    def send(path, how):
        size = 2 * LARGE if path.endswith("/upload") else LARGE
        kind = form if path.endswith("/upload") else {"Content-Type": "application/json"}
        length = {"Content-Length": str(size)} if how == "told" else {}
        beginning = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        parts = in_parts(size) if how == "told" else in_parts(size, beginning)
        answer = http_client.post(path, content=parts, headers={**kind, **length})
        assert answer.status_code == 413, (path, answer.text)

    for how in ("told", "untold"):
        send(paths[0], how)
    before = process.memory_info().rss
    for path, how in itertools.product(paths, ("told", "untold")):
        send(path, how)
    assert process.memory_info().rss - before < 5 * MB
    assert len(log) == 2 + 2 * len(paths)


def test_a_length_is_not_believed(served, log):
    place = urlsplit(served[1])
    told = http.client.HTTPConnection(place.hostname, place.port, timeout=20)
    told.putrequest("POST", f"/{API}/queue/join")
    told.putheader("Content-Length", str(300 * MB))
    told.endheaders()
    assert told.getresponse().status == 413, "nothing of it had to be sent"
    told.close()
    with socket.create_connection((place.hostname, place.port), timeout=20) as raw:
        lines = [f"POST /{API}/queue/join HTTP/1.1", f"Host: {place.netloc}", "Content-Length: 2"]
        raw.sendall("\r\n".join([*lines, "Content-Type: application/json", "", "{}"]).encode())
        raw.sendall(b"x" * 10_000)
        assert b" 400 " in raw.recv(100)


def test_foreign_pages_send_nothing(served, http_client, log):
    own = served[1].rstrip("/")
    body = {"data": []}

    def status(**headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return http_client.post(f"{API}/run/stop", json=body, headers=named).status_code

    assert status() == 200
    assert status(Origin=own, Sec_Fetch_Site="same-origin") == 200
    assert status(Origin="https://evil.example") == 403
    assert status(Origin="http://127.0.0.1:1") == 403
    assert status(Sec_Fetch_Site="cross-site") == 403
    assert len(log) == 3


def test_nobody_says_where_the_page_is(served, http_client):
    headers = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Gradio-Server": "https://evil.example",
    }
    root = http_client.get("config", headers=headers).json()["root"]
    assert root == served[1].rstrip("/")


# Uploads


def upload(client, content, field="files"):
    return client.post(f"{API}/upload", files={field: ("../a\0b.json", content)})


@pytest.fixture
def limits(served):
    """Small ones, of a page on which nobody else sends files."""
    demo, _ = served
    uploads = next(r for r in demo.app.routes if r.path == f"/{API}/upload").endpoint.__self__
    usual, uploads.limits = uploads.limits, UploadLimits(300_000, 550_000, 900_000)
    yield uploads
    uploads.limits = usual


def test_files_of_one_visitor_and_of_all_are_limited_in_total(http_client, limits, log):
    one = b"x" * 200_000
    (first,) = upload(http_client, one).json()
    (second,) = upload(http_client, one).json()
    assert Path(first).read_bytes() == one
    assert upload(http_client, one).status_code == 413
    limits._held["elsewhere"] = ("10.0.0.1", 450_000)
    Path(first).unlink()  # as opening it does
    assert upload(http_client, one).status_code == 413, "too much of all"
    del limits._held["elsewhere"]
    (third,) = upload(http_client, one).json()
    assert upload(http_client, b"x" * 300_001).status_code == 413
    Path(second).unlink()
    Path(third).unlink()
    limits._forget_deleted()
    assert limits._held == {}


def test_an_empty_file_counts_too(http_client, limits):
    most = limits.limits.visitor // LEAST_BYTES
    files = [upload(http_client, b"") for _ in range(most + 1)]
    kept = [file for file in files if file.status_code == 200]
    assert most - 1 <= len(kept) <= most
    assert {file.status_code for file in files[len(kept) :]} == {413}
    for file in kept:
        Path(file.json()[0]).unlink()


def test_what_is_cut_off_or_no_file_leaves_nothing_behind(served, http_client, limits, log):
    demo, url = served
    folder = Path(demo.app.uploaded_file_dir)
    before = sorted(folder.iterdir()) if folder.is_dir() else []
    assert upload(http_client, b"x", field="other").status_code == 400
    assert http_client.post(f"{API}/upload", data={"files": "x"}).status_code == 400
    two = [("files", ("a", b"x")), ("files", ("b", b"y"))]
    assert http_client.post(f"{API}/upload", files=two).status_code == 400
    for kind in ("multipart/form-data", "text/plain", "multipart/form-data; boundary=b"):
        headers = {"Content-Type": kind}
        answer = http_client.post(f"{API}/upload", content=b"--x\r\n", headers=headers)
        assert answer.status_code == 400
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as raw:
        head = f"POST /{API}/upload HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: 200000\r\n"
        raw.sendall(head.encode() + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n")
        raw.sendall(b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nxxx')
        until(lambda: limits._held)
    until(lambda: not limits._held)
    assert (sorted(folder.iterdir()) if folder.is_dir() else []) == before


def test_an_uploaded_file_reaches_the_page_and_no_other_does(served, http_client, log):
    demo, url = served
    ann = Visitor(demo, url, "ann-opening")
    (path,) = upload(http_client, b"{}").json()
    last = ann.last_frame("open_trace", [{"path": path, **FILE}])
    assert last["message"]["key"] == "trace_refused"
    assert not Path(path).exists()
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        ann.press("open_trace", [{"path": str(Path(__file__)), **FILE}])
