"""`python -m decoding memory`: from a config alone, and one sentence when it cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from decoding.console import main as command
from decoding.console.main import main

ROOT = Path(__file__).parents[2]
CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 1000,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}
PARAMETERS = 1000 * 64 + 4 * (64 * 64 * 2 + 64 * 16 * 2 + 3 * 64 * 128 + 2 * 64) + 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small").mkdir()
    return with_config(tmp_path / "small", CONFIG)


def with_config(folder: Path, config: dict[str, object]) -> Path:
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_numbers_as_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", str(folder), "--device", "cpu", "--dtype", "float32"]) == 0
    told, errors = capsys.readouterr()
    assert errors == ""
    assert told.startswith("small (LlamaForCausalLM)\n")
    for line in (
        f"parameters                      {PARAMETERS:,}",
        "layers of the cache             4 full",
        "a position costs                512 bytes",
        "by the formula                  2 · 4 layers · 2 KV heads · 8 · 4 bytes = 512 bytes",
        "context limit                   4,096 positions",
        " positions        batch 1         batch 8        batch 32",
        "     4,096         2.1 MB         16.8 MB         67.1 MB",
    ):
        assert line in told.splitlines()


def test_the_numbers_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--json", "--batch", "1,3", "--positions", "10,1_000", "--quantization", "8bit"]
    assert main(["memory", str(folder), "--device", "cpu", *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["parameters"], told["quantization"], told["name"]) == (PARAMETERS, "8bit", "small")
    assert told["weights"]["8bit"] == told["weight_bytes"] < told["weights"]["bfloat16"]
    assert told["weights"]["float32"] == 4 * PARAMETERS + 2 * 4 * 4  # two rotary buffers
    sizes = [(row["positions"], row["batch"], row["bytes"]) for row in told["cache_bytes"]]
    assert sizes == [(10, 1, 5120), (10, 3, 15360), (1000, 1, 512_000), (1000, 3, 1_536_000)]
    assert set(told["longest_context"]) == set(told["outgrows_weights_at"]) == {"1", "3"}


def test_kinds_windows_and_states_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mistral = {**CONFIG, "model_type": "mistral", "sliding_window": 101}
    mamba = {"model_type": "mamba", "vocab_size": 1000, "hidden_size": 64, "num_hidden_layers": 2}
    assert main(["memory", str(with_config(tmp_path, mistral)), "--dtype", "float32"]) == 0
    told = capsys.readouterr().out
    assert "4 sliding" in told
    assert "512 bytes, 0 bytes beyond 100 positions" in told
    assert "none: some layers keep only a window" in told
    assert "fits here  any length" in told
    assert main(["memory", str(with_config(tmp_path, mamba)), "--dtype", "float32"]) == 0
    told = capsys.readouterr().out
    assert "2 state_space" in told
    assert "nothing, beside 20,480 bytes of states" in told  # 2 · 128 · (4 + 16) · 4


def test_what_does_not_fit_is_marked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("decoding.costs.forecast.free_memory", lambda _device: 203_000_000)
    assert main(["memory", str(folder), "--dtype", "float32", "--positions", "2048,4096"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].split() == ["2,048", "1.0", "MB", "8.4", "MB*", "33.6", "MB*"]
    monkeypatch.setattr("decoding.costs.forecast.free_memory", lambda _device: 1000)
    assert main(["memory", str(folder), "--dtype", "float32"]) == 0
    assert "none: the weights alone do not fit" in capsys.readouterr().out


def test_published_packed_weights_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_config(folder, {**CONFIG, "quantization_config": {"quant_method": "gptq", "bits": 4}})
    assert main(["memory", str(folder), "--dtype", "float32"]) == 0
    told = capsys.readouterr().out
    unknown = "not known before it is loaded"
    assert f"weights                         {unknown} (published packed as gptq)" in told
    assert f"longest context that fits here  {unknown}" in told
    assert f"cache outgrows the weights at   {unknown}" in told
    assert f"in each format                  {unknown}" in told
    (folder / "model.safetensors").write_bytes(b"x" * 1000)
    assert main(["memory", str(folder), "--dtype", "float32"]) == 0
    told = capsys.readouterr().out
    assert "weights                         1.0 kB (published packed as gptq)" in told
    assert "cache outgrows the weights at   2 positions" in told
    assert main(["memory", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["weights"] == {}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "model_type None"),
        ({**CONFIG, "num_hidden_layers": 10**9}, "num_hidden_layers=1000000000"),
        ({**CONFIG, "hidden_size": 10**18}, "no model that can be made"),
        ({**CONFIG, "model_type": "t5", "is_encoder_decoder": True}, "encoder-decoder"),
        ({"model_type": "mine", "auto_map": {"AutoConfig": "x.Y"}}, "run Python code"),
    ],
    ids=["empty", "layers", "size", "encoder", "code"],
)
def test_one_sentence_and_exit_1(
    folder: Path, config: dict[str, object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["memory", str(with_config(folder, config))]) == 1
    told, error = capsys.readouterr()
    assert told == ""
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["generate"],
        ["memory", "x", "--batch", "0"],
        ["memory", "x", "--positions", "ten"],
        ["memory", "x", "--positions", "1" * 40],
        ["memory", "x", "--quantization", "3bit"],
    ],
)
def test_wrong_options_exit_2(
    options: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    with pytest.raises(SystemExit) as stopped:
        main(options)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_it_runs_as_a_module_and_help_needs_no_torch(folder: Path) -> None:
    run = [sys.executable, "-m", "decoding"]
    done = subprocess.run(
        [*run, "memory", str(folder)], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "longest context that fits here" in done.stdout
    code = (
        "import sys; from decoding.console import main; main.parser().format_help(); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)
    assert command.parser().prog == "python -m decoding"
