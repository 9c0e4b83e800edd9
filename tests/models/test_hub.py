"""The real Hub library against a server that answers as the Hub does: refusals, stops, secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tiny import byte_tokenizer, tiny_model

ROOT = Path(__file__).parents[2]
TOKEN = "hf_" + "secretsecretsecretsecretsecretsecr"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CHUNK = 4096


class Hub(ThreadingHTTPServer):
    """One model, `someone/tiny`; `someone/gated` needs another account's token."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.folder = folder
        self.sent: dict[str, int] = {}
        self.authorizations: set[str] = set()
        self.seconds_a_chunk = 0.0


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        self.server.authorizations.add(self.headers.get("Authorization", ""))
        if "gated" in self.path:
            return self._refuse(403, "GatedRepo", "Access to model someone/gated is restricted")
        if "someone/tiny" not in self.path:
            return self._refuse(404, "RepoNotFound", "Repository not found")
        name = self.path.split("?")[0].rsplit("/", 1)[-1]
        file = self.server.folder / name
        if "/resolve/" in self.path and file.exists():
            return self._send_file(file, with_body)
        return self._send_json(self._listing())

    def _listing(self) -> Any:
        files = sorted(self.server.folder.iterdir())
        if "/tree/" in self.path:
            return [
                {"type": "file", "path": f.name, "oid": f.name, "size": f.stat().st_size}
                for f in files
            ]
        siblings = [{"rfilename": f.name, "size": f.stat().st_size} for f in files]
        return {
            "id": "someone/tiny",
            "modelId": "someone/tiny",
            "sha": COMMIT,
            "siblings": siblings,
            "private": False,
            "tags": [],
        }

    def _refuse(self, status: int, code: str, message: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_json(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_file(self, file: Path, with_body: bool) -> None:
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{file.name}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not with_body:
            return
        for start in range(0, len(content), CHUNK):
            try:
                self.wfile.write(content[start : start + CHUNK])
            except OSError:  # whoever asked has gone
                return
            self.server.sent[file.name] = start + CHUNK
            if file.suffix == ".safetensors":
                time.sleep(self.server.seconds_a_chunk)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("hub") / "tiny"
    tiny_model("llama", hidden_size=256, intermediate_size=1024).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    server = Hub(folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def run(hub: Hub, home: Path, code: str, token: str = TOKEN) -> tuple[str, str]:
    """Output and errors of a process that takes this server for the Hub."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment |= {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(home),
        "HF_TOKEN": token,
        "HF_DEBUG": "1",
        "OMP_NUM_THREADS": "1",
    }
    begin = """
        import logging, traceback
        logging.basicConfig(level=logging.DEBUG)
        from decoding import DecodingError, load_model
        def tell(name, **options):
            try:
                print("loaded", load_model(name, **options).name)
            except DecodingError as error:
                print("refused", error)
                print(traceback.format_exc())
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(begin) + textwrap.dedent(code)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return process.stdout, process.stderr


def test_a_model_is_fetched_and_refusals_keep_the_token(hub: Hub, tmp_path: Path) -> None:
    out, err = run(
        hub,
        tmp_path,
        """
        calls = []
        tell("someone/tiny", progress=lambda *call: calls.append(call))
        fetched = [call for call in calls if call[0] == "download"]
        print("download", fetched[-1][1] == fetched[-1][2] > 0, len({c[1] for c in fetched}) > 3)
        tell("someone/gated")
        tell("someone/missing")
        """,
    )
    assert "loaded someone/tiny" in out
    assert "download True True" in out
    assert "someone/gated is gated: accept its conditions" in out
    assert "HF_TOKEN or run `hf auth login`" in out
    assert "There is no model 'someone/missing'" in out
    assert f"Bearer {TOKEN}" in hub.authorizations, "the token was sent"
    assert TOKEN not in out + err


def test_a_token_that_cannot_be_sent_is_not_quoted(hub: Hub, tmp_path: Path) -> None:
    """Libraries quote a header that they refuse to send, and the header holds the token."""
    token = f"{TOKEN}\u00e9\u4e00"
    out, err = run(hub, tmp_path, 'tell("someone/tiny")', token)
    assert "refused" in out
    assert TOKEN not in out + err


def test_too_large_a_model_is_refused_before_its_weights_are_fetched(
    hub: Hub, tmp_path: Path
) -> None:
    hub.sent.clear()
    out, _ = run(
        hub,
        tmp_path,
        """
        from decoding.models import disk
        from decoding.models.fit import Room
        tell("someone/tiny", room=Room(limit_bytes=1_000_000))
        import shutil
        from types import SimpleNamespace
        shutil.disk_usage = lambda path: SimpleNamespace(free=1_000_000, used=0, total=1)
        tell("someone/tiny")
        """,
    )
    assert "someone/tiny does not fit into memory: in float32 its weights take" in out
    assert "someone/tiny does not fit onto the disk" in out
    assert "config.json" in hub.sent
    assert "model.safetensors" not in hub.sent


def test_a_download_is_stopped_half_way_and_taken_up_again(hub: Hub, tmp_path: Path) -> None:
    hub.sent.clear()
    hub.seconds_a_chunk = 0.0005
    size = (hub.folder / "model.safetensors").stat().st_size
    code = """
        from decoding.live.stream import Stopped
        def stop(stage, done, total):
            if stage == "download" and 3 * done > total:
                raise Stopped
        try:
            load_model("someone/tiny", progress=stop)
        except Stopped:
            print("stopped")
    """
    try:
        out, _ = run(hub, tmp_path, code)
        assert "stopped" in out
        assert hub.sent["model.safetensors"] < size
    finally:
        hub.seconds_a_chunk = 0.0
    out, _ = run(hub, tmp_path, 'tell("someone/tiny")')
    assert "loaded someone/tiny" in out


def test_downloads_go_by_the_way_that_can_be_cancelled() -> None:
    code = """
        import transformers
        import huggingface_hub.constants as constants
        import decoding.models.hub
        print(constants.HF_HUB_DISABLE_XET)
    """
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_DISABLE_XET"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.strip() == "True"
