"""What fits into memory and onto the disk, and what is said where it does not."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny import byte_tokenizer, tiny_model

from decoding import LanguageModel, ModelLoadError, ModelTooLargeError, load_model
from decoding.models import fit as room_of_fit
from decoding.models import weights as reading_room
from decoding.models.config import read_config
from decoding.models.disk import check_disk, is_disk_full
from decoding.models.fit import ROOM_TO_COMPUTE_BYTES, Room, check_fits, size_of
from decoding.models.placement import Placement
from decoding.records.units import bytes_in_words

CPU = torch.device("cpu")
BYTES = {
    (torch.float32, None): 40_000_000_000,
    (torch.bfloat16, None): 20_000_000_000,
    (torch.float32, "8bit"): 12_000_000_000,
    (torch.float32, "4bit"): 7_000_000_000,
    (torch.bfloat16, "8bit"): 11_000_000_000,
    (torch.bfloat16, "4bit"): 6_000_000_000,
}


def size(dtype: torch.dtype, quantization: str | None) -> int:
    return BYTES[dtype, quantization]


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`free(bytes)`: what the machine has for weights from then on."""

    def set_free(count: int) -> None:
        monkeypatch.setattr(
            room_of_fit, "free_memory", lambda device: count + ROOM_TO_COMPUTE_BYTES
        )

    return set_free


def on_cpu(dtype: torch.dtype, quantization: str | None = None) -> Placement:
    return Placement(CPU, dtype, {"": CPU}, quantization)


def refusal(
    dtype: torch.dtype, quantization: str | None = None, room: Room | None = None
) -> ModelTooLargeError:
    with pytest.raises(ModelTooLargeError) as caught:
        check_fits("some/one", size, on_cpu(dtype, quantization), room or Room())
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    return caught.value


def test_what_fits_is_told_in_bytes(free: Any) -> None:
    free(40_000_000_000)
    assert check_fits("some/one", size, on_cpu(torch.float32), Room()) == 40_000_000_000


@pytest.mark.parametrize(
    ("gigabytes", "fitting"),
    [(39, ("bfloat16", "8bit", "4bit")), (12, ("8bit", "4bit")), (8, ("4bit",)), (6, ())],
)
def test_a_refusal_names_what_would_fit(free: Any, gigabytes: int, fitting: tuple[str]) -> None:
    free(gigabytes * 10**9)
    error = refusal(torch.float32)
    assert error.fitting == fitting
    assert (error.needed_bytes, error.free_bytes) == (40 * 10**9, gigabytes * 10**9)
    assert error.device == "cpu"
    assert "its weights take 40 GB" in str(error)
    assert f"{gigabytes + 0.2:.3g} GB are free on cpu" in str(error)
    assert all(label in str(error) for label in fitting)
    assert ("choose a smaller model" in str(error)) == (not fitting)


def test_what_is_packed_already_is_offered_only_what_is_smaller(free: Any) -> None:
    free(10**9)
    assert refusal(torch.float32, "4bit").fitting == ()
    free(7 * 10**9)
    assert refusal(torch.bfloat16).fitting == ("4bit",)
    assert refusal(torch.float32, "8bit").fitting == ("4bit",)


def test_what_would_make_way_counts_as_free_and_a_budget_binds(free: Any) -> None:
    free(10**9)
    wanted = on_cpu(torch.float32, "4bit")
    assert check_fits("some/one", size, wanted, Room(None, 6 * 10**9)) == 7 * 10**9
    free(100 * 10**9)
    error = refusal(torch.float32, room=Room(limit_bytes=15 * 10**9))
    assert "the operator allows 15 GB" in str(error)
    assert error.fitting == ("8bit", "4bit")


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Two GPUs and the CPU: gigabytes free by device."""
    sizes = {"cuda:0": 10, "cuda:1": 12, "cpu": 20}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        room_of_fit, "free_memory", lambda *devices: sum(sizes[str(d)] * 10**9 for d in devices)
    )
    return sizes


def test_a_model_that_may_be_spread_has_all_accelerators_and_the_cpu(
    gpus: dict[str, int],
) -> None:
    spread = Placement(torch.device("cuda"), torch.float32, "auto", None)
    assert check_fits("some/one", size, spread, Room()) == 40 * 10**9
    gpus["cpu"] = 10
    with pytest.raises(ModelTooLargeError, match="32 GB are free on 2 GPUs and the CPU"):
        check_fits("some/one", size, spread, Room())


def test_packed_weights_are_not_spread_onto_the_cpu(gpus: dict[str, int]) -> None:
    gpus |= {"cuda:0": 4, "cuda:1": 4}
    packed = Placement(torch.device("cuda"), torch.float32, "auto", "8bit")
    with pytest.raises(ModelTooLargeError, match="8 GB are free on 2 GPUs, ") as caught:
        check_fits("some/one", size, packed, Room())
    assert caught.value.fitting == ("4bit",)
    plain = Placement(torch.device("cuda"), torch.float32, "auto", None)
    with pytest.raises(ModelTooLargeError) as caught:
        check_fits("some/one", size, plain, Room())
    assert caught.value.fitting == ("bfloat16", "4bit")


@pytest.mark.parametrize(
    ("count", "words"),
    [(538_060_288, "538 MB"), (4_934_000_000, "4.93 GB"), (2_500_000_000_000, "2.5 TB")],
)
def test_bytes_in_words(count: int, words: str) -> None:
    assert bytes_in_words(count) == words


def test_the_disk_is_looked_at_where_the_folder_will_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5 * 10**9))
    check_disk("some/one", 3 * 10**9, tmp_path / "not" / "yet" / "there")
    with pytest.raises(ModelLoadError, match=r"4 GB are to be fetched .* 5 GB are free.*HF_HOME"):
        check_disk("some/one", 4 * 10**9, tmp_path / "not" / "yet" / "there")


def test_a_full_disk_has_several_names() -> None:
    assert is_disk_full(OSError(errno.ENOSPC, "full"))
    assert is_disk_full(RuntimeError("I/O error: No space left on device (os error 28)"))
    assert not is_disk_full(OSError(errno.EACCES, "denied"))


# --- in loading ---------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_model("llama").save_pretrained(tmp_path / "tiny")
    byte_tokenizer().save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def test_a_model_too_large_is_refused_before_a_weight_or_token_is_read(
    folder: Path, free: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        reading_room.AutoTokenizer, "from_pretrained", lambda *a, **k: pytest.fail("read")
    )
    (folder / "model.safetensors").write_bytes(b"never opened")
    free(1_000)
    asked: list[int] = []
    with pytest.raises(ModelTooLargeError, match="does not fit into memory"):
        load_model(folder, room=Room(make=asked.append))
    assert asked == []


def test_others_make_way_only_once_all_is_checked(folder: Path, free: Any) -> None:
    asked: list[int] = []
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ModelLoadError, match="tokenizer"):
        load_model(folder, room=Room(make=asked.append))
    assert asked == []
    byte_tokenizer().save_pretrained(folder)
    lm = load_model(folder, room=Room(make=asked.append))
    assert asked == [lm.weight_bytes]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_size_of_a_config_is_the_size_of_the_model(folder: Path, dtype: str) -> None:
    lm = load_model(folder, dtype=dtype)
    assert size_of(read_config(folder), 0)(lm.dtype, None) == lm.weight_bytes


def test_weights_that_are_packed_already_take_what_their_files_do(folder: Path) -> None:
    file = folder / "config.json"
    config = json.loads(file.read_text()) | {"quantization_config": {"quant_method": "gptq"}}
    file.write_text(json.dumps(config))
    assert size_of(read_config(folder), 1234)(torch.float32, None) == 1234


def test_a_model_that_cannot_be_made_of_shapes_is_taken_at_its_files_size(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(config: Any) -> None:
        raise ModelLoadError("It looks at values.")

    monkeypatch.setattr(room_of_fit, "blueprint", fail)
    assert size_of(read_config(folder), 1234)(torch.float32, None) == 1234
    assert load_model(folder).name == "tiny"


def test_files_of_smaller_numbers_grow_in_memory_and_nothing_is_advised(
    folder: Path, monkeypatch: pytest.MonkeyPatch, free: Any
) -> None:
    def fail(config: Any) -> None:
        raise ModelLoadError("It looks at values.")

    monkeypatch.setattr(room_of_fit, "blueprint", fail)
    config = read_config(folder)
    config.dtype = torch.bfloat16
    sizes = size_of(config, 1_000_000)
    assert sizes(torch.float32, None) == 2_000_000
    assert sizes(torch.float16, None) == 1_000_000
    assert sizes(torch.float32, "4bit") == 1_000_000  # at most
    free(1_500_000)
    with pytest.raises(ModelTooLargeError, match="choose a smaller model") as caught:
        check_fits("some/one", sizes, on_cpu(torch.float32), Room())
    assert caught.value.fitting == ()
    config.dtype = None
    assert size_of(config, 1234)(torch.float32, None) == 1234


@pytest.mark.default_model
@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_the_size_of_packed_weights_is_foretold(
    quantization: str, default_lm: LanguageModel
) -> None:
    sizes = size_of(read_config(None), 0)
    assert sizes(torch.float32, None) == default_lm.weight_bytes
    lm = load_model(device="cpu", quantization=quantization)
    assert sizes(lm.dtype, quantization) == lm.weight_bytes
