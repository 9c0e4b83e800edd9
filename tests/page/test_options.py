"""The page's command line and its environment variables."""

import socket

import pytest

from decoding.page.app import main
from decoding.page.options import read_options


def test_options_come_from_the_command_line_then_the_environment(monkeypatch):
    assert read_options([], "").max_new_tokens == 2_048
    assert read_options([], "").host == "127.0.0.1"
    monkeypatch.setenv("DECODING_LIVE_MAX_NEW_TOKENS", "64")
    monkeypatch.setenv("DECODING_LIVE_MODEL", "some/model")
    assert read_options([], "").max_new_tokens == 64
    assert read_options(["--max-new-tokens", "32"], "").max_new_tokens == 32
    assert read_options([], "").model == "some/model"
    monkeypatch.setenv("SPACE_HOST", "me-decoding.hf.space")
    assert read_options([], "").host == "0.0.0.0"
    assert read_options([], "").allowed_hosts == ["me-decoding.hf.space"]
    assert read_options([], "").trust_proxy is True
    named = ["demo.example", "me-decoding.hf.space"]
    assert read_options(["--allowed-hosts", " demo.example, "], "").allowed_hosts == named


def test_help_lists_every_option(capsys):
    with pytest.raises(SystemExit):
        read_options(["--help"], "")
    told = capsys.readouterr().out
    for option in (
        "--model",
        "--quantization",
        "--max-new-tokens",
        "--max-queue",
        "DECODING_LIVE_",
    ):
        assert option in told


def test_a_limit_below_one_is_refused(capsys):
    with pytest.raises(SystemExit):
        read_options(["--max-new-tokens", "0"], "")
    assert "must be 1 or more, got 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GB", 8 * 10**9), ("512mb", 512 * 10**6), ("1.5 GiB", 3 * 2**29), ("4096", 4096)],
)
def test_a_memory_budget_is_a_size_in_words_or_in_bytes(text, size, monkeypatch):
    assert read_options(["--memory-budget", text], "").memory_budget == size
    monkeypatch.setenv("DECODING_LIVE_MEMORY_BUDGET", text)
    assert read_options([], "").memory_budget == size


@pytest.mark.parametrize("text", ["much", "8XB", "=1GB", "", "GB"])
def test_what_is_no_size_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        read_options(["--memory-budget", text], "")
    assert "must be a size such as 8GB or 512MB" in capsys.readouterr().err


def test_any_model_may_be_typed_locally_and_not_on_a_space(monkeypatch, capsys):
    assert read_options([], "").any_model is True
    assert read_options(["--no-any-model"], "").any_model is False
    for host, default in (
        ("localhost", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.7", False),
    ):
        assert read_options(["--host", host], "").any_model is default
        assert read_options(["--host", host, "--any-model"], "").any_model is True
    for reached in (["--allowed-hosts", "demo.example"], ["--trust-proxy"]):
        assert read_options(reached, "").any_model is False
        assert read_options([*reached, "--any-model"], "").any_model is True
    monkeypatch.setenv("SPACE_HOST", "me-decoding.hf.space")
    assert read_options([], "").any_model is False
    monkeypatch.setenv("DECODING_LIVE_ANY_MODEL", "true")
    assert read_options([], "").any_model is True
    assert read_options(["--no-any-model"], "").any_model is False
    monkeypatch.setenv("DECODING_LIVE_ANY_MODEL", "perhaps")
    with pytest.raises(SystemExit):
        read_options([], "")
    assert "DECODING_LIVE_ANY_MODEL must be one of" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [("DTYPE", "int3"), ("QUANTIZATION", "2bit")])
def test_the_environment_is_checked_as_the_command_line_is(name, value, monkeypatch, capsys):
    monkeypatch.setenv(f"DECODING_LIVE_{name}", value)
    with pytest.raises(SystemExit):
        read_options([], "")
    assert f"got '{value}'" in capsys.readouterr().err


def test_gradios_own_variables_come_after_those_of_the_page(monkeypatch):
    monkeypatch.setenv("GRADIO_SERVER_PORT", "8001")
    monkeypatch.setenv("GRADIO_SERVER_NAME", "192.168.1.7")
    options = read_options([], "")
    assert (options.host, options.port, options.any_model) == ("192.168.1.7", 8001, False)
    monkeypatch.setenv("DECODING_LIVE_PORT", "8002")
    assert read_options([], "").port == 8002
    assert read_options(["--port", "8003", "--host", "::1"], "").port == 8003
    monkeypatch.setenv("SPACE_HOST", "me-decoding.hf.space")
    assert read_options([], "").host == "192.168.1.7"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--port", "0"], "must be from 1 to 65535, got 0"),
        (["--port", "65536"], "must be from 1 to 65535, got 65536"),
        (["--allowed-hosts", "https://demo.example"], "must be names such as"),
        (["--allowed-hosts", "demo.example:80"], "must be names such as"),
        (["--allowed-hosts", "a.*.example"], "must be names such as"),
    ],
)
def test_what_is_no_port_and_no_name_is_refused(given, message, capsys):
    with pytest.raises(SystemExit):
        read_options(given, "")
    assert message in capsys.readouterr().err


def test_a_port_that_cannot_be_used_is_refused_with_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(SystemExit) as refused:
                main(["--host", host, "--port", str(port)])
            assert str(refused.value) == (
                f"Port {port} of {host} is in use: choose another one, such as --port {port + 1}."
            )
    with pytest.raises(SystemExit, match=r"192\.0\.2\.1 is no address of this machine"):
        main(["--host", "192.0.2.1"])


def test_no_memory_budget_means_one_model():
    assert read_options([], "").memory_budget is None
