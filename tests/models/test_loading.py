"""What is known of a model in memory, and one clear sentence for each that cannot be loaded."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import huggingface_hub
import numpy as np
import pytest
import torch
from families import VOCAB_SIZE
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
from tiny import byte_tokenizer, tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from decoding import LanguageModel, ModelLoadError, load_model
from decoding.core import language_model
from decoding.models import hub as hub_room
from decoding.models import loading as models_room
from decoding.models import placement as placement_room
from decoding.models import progress as progress_room
from decoding.models.fit import Room

Lms = Callable[[str], LanguageModel]


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's folder, as save_pretrained leaves it."""
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    tiny_model("llama").save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(saved, tmp_path / "damaged"))


def edit_config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    config = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


def sentence_of(name_or_path: Any, **kwargs: Any) -> str:
    """The error's message: one line that ends as a sentence does."""
    with pytest.raises(ModelLoadError) as caught:
        load_model(name_or_path, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


# --- what is known of a model -------------------------------------------------------------


def test_facts_of_a_tiny_model(tiny_lm: LanguageModel) -> None:
    assert tiny_lm.name == "tiny-llama"
    assert tiny_lm.device == torch.device("cpu")
    assert tiny_lm.dtype == torch.float32
    assert tiny_lm.vocab_size == VOCAB_SIZE
    assert tiny_lm.context_length == 256
    assert tiny_lm.eos_token_ids == (256,)
    assert tiny_lm.special_token_ids == frozenset(range(256, VOCAB_SIZE))
    assert tiny_lm.quantization is None
    assert not tiny_lm.model.training
    assert tiny_lm.kv_cache_formula is not None
    # 3 layers, 2 KV heads of 32 / 4 = 8, 4 bytes: 2 · 3 · 2 · 8 · 4
    assert tiny_lm.kv_bytes_per_token == 384


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("llama", 2 * 3 * 2 * 8 * 4),
        ("qwen3", 2 * 3 * 2 * 8 * 4),
        ("gpt2", 2 * 3 * 4 * 8 * 4),
        ("gpt_neox", 2 * 3 * 4 * 8 * 4),
        ("mixtral", 2 * 3 * 2 * 8 * 4),
        ("gemma2", None),
        ("mistral", None),
        ("mamba", None),
        ("jamba", None),
        ("qwen3_next", None),
    ],
)
def test_the_formula_agrees_with_the_cache_or_is_not_given(
    family: str, expected: int | None, tiny_lms: Lms
) -> None:
    lm = tiny_lms(family)
    assert lm.kv_bytes_per_token == expected
    if expected is not None:
        with torch.inference_mode():
            cache = lm.model(torch.arange(7)[None], use_cache=True).past_key_values
        held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
        assert held == 7 * expected


def test_weight_bytes_count_tied_weights_once() -> None:
    model = tiny_model("llama", tie_word_embeddings=True)
    lm = LanguageModel(model, byte_tokenizer())
    distinct = {t.data_ptr(): t for t in (*model.parameters(), *model.buffers())}
    assert lm.weight_bytes == sum(t.numel() * t.element_size() for t in distinct.values())
    untied = LanguageModel(tiny_model("llama", tie_word_embeddings=False), byte_tokenizer())
    assert untied.weight_bytes == lm.weight_bytes + VOCAB_SIZE * 32 * 4


def test_eos_ids_come_from_the_generation_config_then_the_tokenizer() -> None:
    model, tokenizer = tiny_model("llama"), byte_tokenizer()
    model.generation_config.eos_token_id = [256, 259]
    assert LanguageModel(model, tokenizer).eos_token_ids == (256, 259)
    model.generation_config.eos_token_id = None
    assert LanguageModel(model, tokenizer).eos_token_ids == (256,)
    tokenizer.eos_token = None
    assert LanguageModel(model, tokenizer).eos_token_ids == ()


def test_a_model_without_a_limit_has_no_context_length(tiny_lms: Lms) -> None:
    assert tiny_lms("mamba").context_length is None


# --- loading ------------------------------------------------------------------------------


def test_a_folder_loads_and_generates_as_before(saved: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    lm = load_model(saved, progress=lambda *call: calls.append(call))
    assert lm.name == "tiny-llama"
    assert lm.dtype == torch.float32
    assert not lm.model.training
    size = (saved / "model.safetensors").stat().st_size
    assert {call[0] for call in calls} == {"load"}
    assert {call[2] for call in calls} == {size}
    done = [call[1] for call in calls]
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == size
    assert len(set(done)) > 20
    ids = torch.tensor([[1, 2, 3]])
    expected = tiny_model("llama").generate(ids, max_new_tokens=5, do_sample=False)
    assert torch.equal(lm.model.generate(ids, max_new_tokens=5, do_sample=False), expected)


def test_a_string_path_and_a_trailing_slash_do_as_well(saved: Path) -> None:
    assert load_model(f"{saved}/").name == "tiny-llama"


def test_a_model_without_ends_gets_the_tokenizers(folder: Path) -> None:
    edit_config(folder, eos_token_id=None, pad_token_id=None)
    (folder / "generation_config.json").unlink()
    edit_config(folder, eos_token_id=None)
    lm = load_model(folder)
    config = lm.model.generation_config
    assert config.eos_token_id is not None
    assert config.pad_token_id is not None
    assert lm.eos_token_ids


def test_completing_a_generation_config_that_is_not_there() -> None:
    model, tokenizer = tiny_model("llama"), byte_tokenizer()
    model.generation_config = None
    model.config.eos_token_id = model.config.pad_token_id = None
    tokenizer.pad_token = None
    models_room._complete_generation_config(model, tokenizer)
    assert model.generation_config.eos_token_id == 256
    assert model.generation_config.pad_token_id == 256


@pytest.mark.parametrize("dtype", ["bfloat16", torch.bfloat16])
def test_dtype_and_device_can_be_given(saved: Path, dtype: Any) -> None:
    lm = load_model(saved, dtype=dtype, device="cpu")
    assert lm.dtype == torch.bfloat16
    assert lm.kv_bytes_per_token == 192


def test_sharded_weights_load_and_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "sharded"
    tiny_model("llama").save_pretrained(folder, max_shard_size="20KB")
    byte_tokenizer().save_pretrained(folder)
    assert load_model(folder).vocab_size == VOCAB_SIZE
    shard = sorted(folder.glob("model-*.safetensors"))[-1]
    shard.unlink()
    assert shard.name in sentence_of(folder)
    (folder / "model.safetensors.index.json").write_text("{}")
    assert "model.safetensors.index.json" in sentence_of(folder)


def test_bars_on_a_terminal_and_silence_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_room.progress_or_bar(None) as report:
        report("load", 0, 10)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress_room.progress_or_bar(None) as report:
        report("download", 5, 10)
        report("prepare", 0, 0)
        report("load", 10, 10)
    shown = capsys.readouterr().err
    assert "download:  50%" in shown
    assert "load: 100%" in shown


# --- devices, formats, quantization -------------------------------------------------------


def test_devices_and_formats_that_are_not_there(saved: Path) -> None:
    if not torch.cuda.is_available():
        assert "'cuda'" in sentence_of(saved, device="cuda")
    assert "'abacus'" in sentence_of(saved, device="abacus")
    assert "'int3'" in sentence_of(saved, dtype="int3")


def test_the_format_suits_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, mps = torch.device("cuda"), torch.device("mps")
    assert placement_room.pick_dtype("auto", torch.device("cpu")) == torch.float32
    assert placement_room.pick_dtype("auto", mps) == torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert placement_room.pick_dtype("auto", cuda) == torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert placement_room.pick_dtype("auto", cuda) == torch.float16


def test_several_cuda_devices_share_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    cuda = placement_room.pick_device("auto")
    assert cuda == torch.device("cuda")
    assert placement_room.device_map("auto", cuda) == "auto"
    second = placement_room.pick_device("cuda:1")
    assert placement_room.device_map("cuda:1", second) == {"": second}
    with pytest.raises(ModelLoadError, match="cuda:2"):
        placement_room.pick_device("cuda:2")


def test_unknown_quantization_and_missing_bitsandbytes(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "'3bit'" in sentence_of(saved, quantization="3bit")
    monkeypatch.setattr(placement_room, "find_spec", lambda name: None)
    assert "pip install bitsandbytes" in sentence_of(saved, quantization="8bit")


def test_a_layers_complaint_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    placement_room.quantization_config("8bit", torch.float32)
    logger = logging.getLogger("bitsandbytes.autograd._functions")
    for _ in range(3):
        logger.warning("said by a test from %s", "float32")
    assert [r.getMessage() for r in caplog.records] == ["said by a test from float32"]


def test_the_method_of_a_model_quantized_elsewhere_is_named(tiny_lm: LanguageModel) -> None:
    method = SimpleNamespace(quant_method=SimpleNamespace(value="gptq"))
    model = SimpleNamespace(hf_quantizer=SimpleNamespace(quantization_config=method))
    assert language_model._quantization_of(model) == "gptq"


# --- folders that hold no usable model ----------------------------------------------------


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    assert "no folder" in sentence_of(tmp_path / "absent")
    assert "no folder" in sentence_of("./absent")
    note = tmp_path / "note.txt"
    note.write_text("hello")
    assert "is a file" in sentence_of(note)
    assert "no config.json" in sentence_of(tmp_path)


@pytest.mark.parametrize(
    "name", ["", " ", "a" * 5_000, "\0", "..", "x y/z", "\ud800", "a/b/c", "~nobody-of-that-name/x"]
)
def test_names_that_can_be_no_model(name: str) -> None:
    assert len(sentence_of(name)) < 6_000


@pytest.mark.parametrize(
    ("file", "part"),
    [("adapter_config.json", "adapter"), ("model.gguf", "path of the .gguf file itself")],
)
def test_folders_of_another_kind(tmp_path: Path, file: str, part: str) -> None:
    (tmp_path / file).write_text("{}")
    assert part in sentence_of(tmp_path)


def test_pickled_weights_are_refused_unopened(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "pickled" in sentence_of(folder)
    (folder / "pytorch_model.bin").unlink()
    assert "no weights" in sentence_of(folder)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, "\udcff", '{"model_type": 7}'])
def test_a_broken_config(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    assert "config.json" in sentence_of(folder)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"model_type": "mine", "auto_map": {"AutoConfig": "c.C"}}, "Python code"),
        ({"model_type": "from-the-future"}, "'from-the-future'"),
        ({"model_type": "t5", "is_encoder_decoder": True}, "encoder-decoder"),
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "BertForMaskedLM"),
        ({"model_type": "clip", "architectures": None}, "clip"),
    ],
)
def test_what_is_no_causal_language_model_of_transformers(
    folder: Path, changes: dict[str, Any], part: str
) -> None:
    edit_config(folder, **changes)
    # Decided from config.json alone: opening these weights would be another error.
    (folder / "model.safetensors").write_bytes(b"never opened")
    assert part in sentence_of(folder)


def test_code_that_transformers_has_itself_is_not_asked_of_the_repository(folder: Path) -> None:
    edit_config(folder, auto_map={"AutoModelForCausalLM": "modeling.Evil"})
    (folder / "modeling.py").write_text("raise SystemExit('executed')")
    assert load_model(folder).vocab_size == VOCAB_SIZE


def test_truncated_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert "weights of damaged" in sentence_of(folder)


def test_incomplete_weights_are_not_filled_with_random_numbers(folder: Path) -> None:
    edit_config(folder, num_hidden_layers=4)
    assert "model.layers.3" in sentence_of(folder)


def test_no_tokenizer_and_a_broken_one(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"model": 3}')
    assert "tokenizer of damaged" in sentence_of(folder)
    (folder / "tokenizer.json").unlink()
    assert "no tokenizer" in sentence_of(folder)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_no_memory(folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", fail)
    assert "does not fit into memory" in sentence_of(folder)


def test_an_error_without_words_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise KeyError

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", fail)
    assert "KeyError" in sentence_of(folder)


# --- GGUF ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama as a GGUF file with a byte-level vocabulary."""
    from gguf import GGUFWriter, TokenType

    file = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    model, tokenizer = tiny_model("llama"), byte_tokenizer()
    writer = GGUFWriter(file, "llama")
    writer.add_block_count(3)
    writer.add_context_length(256)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(48)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(8)
    writer.add_vocab_size(VOCAB_SIZE)
    writer.add_tokenizer_model("gpt2")
    tokens = tokenizer.convert_ids_to_tokens(range(VOCAB_SIZE))
    tokens[255] = "hi"  # in a byte's place, so that there is something to merge
    writer.add_token_list(tokens)
    kinds = [TokenType.NORMAL] * 256 + [TokenType.CONTROL] * (VOCAB_SIZE - 256)
    writer.add_token_types(kinds)
    writer.add_token_merges(["h i"])
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(256)
    for name, tensor in model.state_dict().items():
        writer.add_tensor(gguf_name(name), tensor.numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def gguf_name(name: str) -> str:
    parts = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
        "model.layers": "blk",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "post_attention_layernorm": "ffn_norm",
        "input_layernorm": "attn_norm",
    }
    for ours, theirs in parts.items():
        name = name.replace(ours, theirs)
    return name


def test_a_gguf_file_loads(gguf: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    lm = load_model(str(gguf), progress=lambda *call: calls.append(call))
    size = gguf.stat().st_size
    assert calls[0] == ("prepare", 0, 0)
    assert calls[-1] == ("load", size, size)
    assert len({done for _, done, _ in calls}) > 20
    assert lm.name == "tiny.gguf"
    assert lm.vocab_size == VOCAB_SIZE
    assert lm.eos_token_ids == (256,)
    assert lm.tokenizer.encode("hip") == [255, 112]
    assert lm.model.generate(torch.tensor([[104]]), max_new_tokens=2).shape == (1, 3)


def test_gguf_files_that_cannot_be_used(gguf: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    assert "no file" in sentence_of(broken)
    broken.write_bytes(b"")
    assert "no GGUF file" in sentence_of(broken)
    whole = gguf.read_bytes()
    for length in (4, 100, len(whole) // 3, len(whole) - 200):
        broken.write_bytes(whole[:length])
        assert "broken.gguf" in sentence_of(broken)
    (tmp_path / "folder.gguf").mkdir()
    assert "cannot be read" in sentence_of(tmp_path / "folder.gguf")
    assert "quantized already" in sentence_of(gguf, quantization="4bit")
    assert "smaller model" in sentence_of(gguf, room=Room(limit_bytes=1_000))


# --- the Hub ------------------------------------------------------------------------------


def file_info(file: Path) -> Any:
    return SimpleNamespace(filename=file.name, file_size=file.stat().st_size, will_download=True)


class FakeHub:
    """Answers as the Hub would, and counts how often it was asked."""

    def __init__(self, folder: Path, error: Exception | None = None) -> None:
        self.folder, self.error, self.asked = folder, error, 0
        self.patterns: list[str] = []

    def model_info(self, model_id: str, timeout: float) -> Any:
        self.asked += 1
        assert timeout <= 5
        if self.error is not None:
            raise self.error
        names = [f.name for f in self.folder.iterdir()] + ["original/consolidated.safetensors"]
        return SimpleNamespace(sha="abc", siblings=[SimpleNamespace(rfilename=n) for n in names])

    def hf_hub_download(self, model_id: str, name: str, revision: str) -> str:
        return str(self.folder / name)

    def snapshot_download(self, model_id: str, **kwargs: Any) -> Any:
        if kwargs.get("local_files_only"):
            return huggingface_hub.snapshot_download(model_id, **kwargs)
        if kwargs.get("dry_run"):
            return [file_info(self.folder / name) for name in kwargs["allow_patterns"]]
        self.patterns = kwargs["allow_patterns"]
        with kwargs["tqdm_class"](total=10, unit="B", desc="bytes", name="hub") as bar:
            bar.update(4)
        with kwargs["tqdm_class"](total=2, unit="files") as files:
            files.update(1)
        return str(self.folder)


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub(folder)
    monkeypatch.setattr(hub_room, "HfApi", lambda: fake)
    monkeypatch.setattr(hub_room, "hf_hub_download", fake.hf_hub_download)
    monkeypatch.setattr(hub_room, "snapshot_download", fake.snapshot_download)
    return fake


def response(status: int) -> Any:
    return httpx.Response(status, request=httpx.Request("GET", "https://hub.example/api"))


def test_a_hub_id_is_fetched_without_what_is_not_needed(hub: FakeHub) -> None:
    (hub.folder / "picture.png").write_bytes(b"")
    calls: list[tuple[str, int, int]] = []
    lm = load_model("someone/tiny", progress=lambda *call: calls.append(call))
    assert lm.name == "someone/tiny"
    assert hub.asked == 1
    assert "model.safetensors" in hub.patterns
    assert "tokenizer.json" in hub.patterns
    assert not {"picture.png", "original/consolidated.safetensors"} & set(hub.patterns)
    total = sum((hub.folder / name).stat().st_size for name in hub.patterns)
    assert [call for call in calls if call[0] == "download"] == [("download", 4, total)]


def test_hub_models_that_cannot_be_had(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    for error, part in (
        (RepositoryNotFoundError("404", response=response(404)), "no model 'some/one'"),
        (HFValidationError("bad"), "no model 'some/one'"),
        (GatedRepoError("403", response=response(403)), "HF_TOKEN"),
        (ConnectionError("Name or service not known"), "cannot be reached (Name or service"),
        (TimeoutError(), "cannot be reached (TimeoutError)"),
    ):
        hub.error = error
        message = sentence_of("some/one")
        assert part in message
        assert "hf_secret" not in message


def test_the_hubs_files_are_checked_before_weights_are_fetched(hub: FakeHub) -> None:
    edit_config(hub.folder, model_type="bert", architectures=["BertForMaskedLM"])
    assert "no causal language model" in sentence_of("some/one")
    (hub.folder / "model.safetensors").rename(hub.folder / "pytorch_model.bin")
    assert "pickled" in sentence_of("some/one")
    assert hub.patterns == []


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (OSError(28, "No space left on device"), "disk became full"),
        (GatedRepoError("403", response=response(403)), "gated"),
    ],
)
def test_a_download_that_breaks_off(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, error: Exception, part: str
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(hub_room, "snapshot_download", fail)
    assert part in sentence_of("some/one")


def test_without_the_hub_what_is_on_the_disk_is_used(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.error = ConnectionError("no route")
    monkeypatch.setattr(hub_room, "snapshot_download", lambda *a, **k: str(hub.folder))
    assert load_model("some/one").name == "some/one"


# --- the real default model ---------------------------------------------------------------


@pytest.mark.default_model
def test_the_default_model(default_lm: LanguageModel) -> None:
    assert default_lm.name == "SmolLM2-135M-Instruct"
    assert default_lm.vocab_size == 49_152
    assert default_lm.context_length == 8_192
    assert default_lm.weight_bytes == 538_060_288
    assert default_lm.kv_bytes_per_token in (46_080, 23_040)
    assert default_lm.eos_token_ids == (2, 0)
