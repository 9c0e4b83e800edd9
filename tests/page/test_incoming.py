"""What is looked at before Gradio reads it: origins, what proxies say, how much is taken."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.datastructures import Headers

from decoding.page.incoming.bodies import counted, json_bytes, refuse_declared, whole
from decoding.page.incoming.hosts import Hosts
from decoding.page.incoming.refused import Refused, address, answer

OWN = ("127.0.0.1", "localhost", "[::1]", "demo.example", "*.lab.example")
NAMED = ("demo.example", "*.lab.example")


def scope(method="POST", path="/gradio_api/queue/join", **headers):
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    client = ("10.1.2.3", 5000)
    return {"type": "http", "method": method, "path": path, "headers": lines, "client": client}


def is_refused(hosts, asked):
    try:
        hosts.refuse_foreign(asked)
    except Refused as refused:
        return refused.status == 403
    return False


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "127.0.0.1:7860"),
        ("http://127.0.0.1:7860", "127.0.0.1:7860"),
        ("http://[::1]:7860", "[::1]:7860"),
        ("https://demo.example", "demo.example"),
        ("https://demo.example", "demo.example:443"),
        # Behind a proxy that asks by another name than the visitor did.
        ("https://demo.example", "127.0.0.1:7860"),
        ("https://a.lab.example:8443", "127.0.0.1:7860"),
    ],
)
def test_the_pages_own_origin_may_send(origin, host):
    given = {} if origin is None else {"origin": origin, "sec_fetch_site": "same-origin"}
    assert not is_refused(Hosts(OWN, NAMED), scope(host=host, **given))


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://127.0.0.1:3000",
        "http://localhost:7860",
        "https://evil.example",
        "https://demo.example.evil.example",
        "https://evildemo.example",
        "http://[",
        "https://lab.example",
    ],
)
def test_a_foreign_origin_may_ask_and_not_send(origin):
    given = {"host": "127.0.0.1:7860", "origin": origin}
    assert is_refused(Hosts(OWN, NAMED), scope(**given))
    assert not is_refused(Hosts(OWN, NAMED), scope(method="GET", **given))
    assert is_refused(Hosts(("*",), ()), scope(**given))


def test_what_a_browser_calls_foreign_is_so_without_an_origin():
    hosts = Hosts(OWN, NAMED)
    assert is_refused(hosts, scope(host="demo.example", sec_fetch_site="cross-site"))
    assert not is_refused(hosts, scope(host="demo.example", sec_fetch_site="same-origin"))
    allowed = {"origin": "https://a.lab.example", "sec_fetch_site": "cross-site"}
    assert not is_refused(hosts, scope(host="demo.example", **allowed))


FORWARDED = {
    "host": "127.0.0.1:7860",
    "x_forwarded_host": "demo.example",
    "x_forwarded_proto": "https",
    "x_forwarded_for": "198.51.100.7, 203.0.113.9, 8.8.4.4, 10.0.0.1",
    "x_gradio_server": "http://evil.example",
}


def test_nobody_but_a_trusted_proxy_says_where_the_page_is_asked_from():
    asked = scope(**FORWARDED)
    Hosts(OWN, NAMED).read_forwarded(asked)
    assert Headers(scope=asked).keys() == ["host"]
    assert address(asked) == "10.1.2.3"


def test_a_trusted_proxy_is_believed_as_far_as_names_are_the_pages_own():
    hosts = Hosts(OWN, NAMED, trusts_proxy=True)
    asked = scope(**FORWARDED)
    hosts.read_forwarded(asked)
    headers = Headers(scope=asked)
    assert headers["x-forwarded-host"] == "demo.example"
    assert headers["x-forwarded-proto"] == "https"
    assert "x-gradio-server" not in headers
    assert address(asked) == "8.8.4.4", "the last that is no private address"
    assert not is_refused(
        hosts, {**asked, "headers": [*asked["headers"], (b"origin", b"https://demo.example")]}
    )
    foreign = scope(**{**FORWARDED, "x_forwarded_host": "evil.example, demo.example"})
    hosts.read_forwarded(foreign)
    assert "x-forwarded-host" not in Headers(scope=foreign)


@pytest.mark.parametrize(
    ("told", "visitor"),
    [("192.168.1.5", "192.168.1.5"), ("", "10.1.2.3"), ("nonsense", "10.1.2.3")],
)
def test_addresses_of_a_private_network_are_visitors_too(told, visitor):
    asked = scope(x_forwarded_for=told)
    Hosts(OWN, trusts_proxy=True).read_forwarded(asked)
    assert address(asked) == visitor


def awaited(coroutine):
    """In a thread of its own: in this one the browser's tests may have a loop that runs."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def arriving(*parts):
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    waiting = iter([*messages, {"type": "http.request", "body": b"", "more_body": False}])

    async def receive():
        return next(waiting)

    return receive


def test_a_body_is_counted_as_it_arrives():
    assert awaited(whole(arriving(b"abc", b"de"), 5)) == b"abcde"
    with pytest.raises(Refused, match="5 bytes") as refused:
        awaited(whole(arriving(b"abc", b"def"), 5))
    assert refused.value.status == 413
    with pytest.raises(Refused):
        awaited(counted(arriving(b"abcdef"), 5)())


@pytest.mark.parametrize("told", ["6", "-1", "1e3", "9" * 400, "many"])
def test_a_length_that_is_too_much_or_none_is_refused_at_once(told):
    with pytest.raises(Refused):
        refuse_declared(scope(content_length=told), 5)


def test_any_prompt_that_is_allowed_can_be_sent():
    assert json_bytes(32_000) == 1_000_000
    longest = json.dumps({"data": ["\N{GRINNING FACE}" * 200_000]})
    assert len(longest) < json_bytes(200_000)


def test_a_refusal_is_one_line_in_the_log(caplog):
    answer(Refused(400, "no\nno"), scope(path="/a\nb" + "c" * 1_000))
    (record,) = caplog.records
    text = record.getMessage()
    assert "\n" not in text
    assert len(text) < 300
    assert text.endswith("from 10.1.2.3: 400 no\\nno")
