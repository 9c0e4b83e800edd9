"""A visit of the page that `space.sh` has started: who is let in, an answer, and a quiet log."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import httpx

HOST = os.environ["SPACE_HOST"]
FOREIGN = "evil.example"
# What a Space's proxy adds to a visitor's request.
PROXIED = {"Host": HOST, "X-Forwarded-Host": HOST, "X-Forwarded-Proto": "https"}
NOISE = re.compile(r"Traceback|Exception|Error\b|Warning|GRADIO_HOT_RELOAD|Invalid file descriptor")
SECONDS_TO_START, SECONDS_TO_ANSWER = 180, 600


def until_served(client: httpx.Client, server: int) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end:
        os.kill(server, 0)  # raises where it has ended
        try:
            if client.get("/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError("the page is not served")


def check_hosts(client: httpx.Client) -> None:
    assert client.get("/", headers={"Host": FOREIGN}).status_code == 400
    config = client.get("/config", headers=PROXIED).json()
    assert config["root"] == f"https://{HOST}", config["root"]
    named = [part for part in config["components"] if part["props"].get("elem_id") == "model-name"]
    assert [part["props"]["visible"] for part in named] == [False], "any model may be loaded"


def asked(client: httpx.Client, origin: str) -> httpx.Response:
    settings = {"max_new_tokens": 8, "do_sample": False}
    body = {"data": ["What is the capital of France?", True, "", settings]}
    headers = {**PROXIED, "Origin": origin}
    return client.post("/gradio_api/call/decode", json=body, headers=headers)


def steps_of(client: httpx.Client, event: str) -> list[dict[str, Any]]:
    """The steps of an answer, as they come."""
    address = f"/gradio_api/call/decode/{event}"
    kind, steps = "", []
    with client.stream("GET", address, timeout=SECONDS_TO_ANSWER) as answers:
        for line in answers.iter_lines():
            name, _, value = line.partition(": ")
            kind = value if name == "event" else kind
            assert kind != "error", value
            if name == "data" and kind == "generating":
                steps += json.loads(value)
    return steps


def main(port: str, log: str, server: str) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Host": HOST}) as client:
        try:
            until_served(client, int(server))
            check_hosts(client)
            assert asked(client, f"https://{FOREIGN}").status_code == 403
            event = asked(client, f"https://{HOST}").raise_for_status().json()["event_id"]
            text = "".join(step["text"] for step in steps_of(client, event))
            assert "Paris" in text, text
        finally:
            print(Path(log).read_text())
    noise = [line for line in Path(log).read_text().splitlines() if NOISE.search(line)]
    assert noise == [], noise
    print(f"Decoded as a Space: {text!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
