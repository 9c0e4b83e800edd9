"""Tiny random models of many families, a byte-level tokenizer, and the real default model."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from families import FAMILIES, PECULIAR, VOCAB_SIZE
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from decoding import LanguageModel

SPECIALS = ["<eos>", "<bos>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
assert 256 + len(SPECIALS) == VOCAB_SIZE


def byte_tokenizer(
    extra_tokens: tuple[str, ...] = (), *, chat: bool = True
) -> PreTrainedTokenizerFast:
    """One token per byte, ids 0 to 255; then the specials, then `extra_tokens` as they stand."""
    vocab = {c: i for i, c in enumerate(bytes_to_unicode()[b] for b in range(256))}
    core = Tokenizer(models.BPE(vocab, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(t, special=True) for t in SPECIALS])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<eos>", bos_token="<bos>", pad_token="<eos>"
    )
    tokenizer.add_special_tokens({"extra_special_tokens": SPECIALS[2:]})
    if extra_tokens:
        tokenizer.add_tokens([AddedToken(t, normalized=False) for t in extra_tokens])
    tokenizer.chat_template = CHAT_TEMPLATE if chat else None
    return tokenizer


def tiny_model(family: str, **overrides: Any) -> Any:
    """A random model of a family, with weights so wide that its distributions are not flat."""
    torch.manual_seed(0)
    tokens = {"bos_token_id": 257, "eos_token_id": 256, "pad_token_id": 256}
    settings = {**FAMILIES, **PECULIAR}[family]
    config = AutoConfig.for_model(family, **{**settings, **tokens, **overrides})
    config.initializer_range = 0.3
    model = AutoModelForCausalLM.from_config(config).eval()
    model.generation_config.pad_token_id = 256
    return model


@pytest.fixture(scope="session")
def tiny_lms() -> Callable[[str], LanguageModel]:
    """`tiny_lms(family)`: that family's tiny model, made once."""
    made: dict[str, LanguageModel] = {}

    def lm(family: str) -> LanguageModel:
        if family not in made:
            made[family] = LanguageModel(
                tiny_model(family), byte_tokenizer(), name=f"tiny-{family}"
            )
        return made[family]

    return lm


@pytest.fixture(scope="session")
def tiny_lm(tiny_lms: Callable[[str], LanguageModel]) -> LanguageModel:
    return tiny_lms("llama")


@pytest.fixture(scope="session")
def default_lm() -> Iterator[LanguageModel]:
    """The real default model, fetched and prepared on first use."""
    from decoding import load_model

    yield load_model()
    gc.collect()


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., str]]:
    """`serve(lm)`: the address of the real app on that model; without one on the default model."""
    import app

    demos = []

    def start(lm: LanguageModel | None = None, **choices: Any) -> str:
        demo = app.build_app(lm, **choices)
        demos.append(demo)
        options = {**app.launch_options(port=None), "prevent_thread_lock": True}
        _, address, _ = demo.launch(**options)
        return str(address)

    yield start
    for demo in demos:
        demo.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    executable = shutil.which("chromium")
    if executable is None:
        reason = "no chromium on PATH (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """`visit(address, **context)`: a new visitor; script errors and dialogs fail the test."""
    contexts = []
    errors: list[str] = []

    def refuse(dialog: Any) -> None:
        errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open_page(address: str, **context: Any) -> Any:
        context = {"viewport": {"width": 1440, "height": 960}, "locale": "en-US", **context}
        contexts.append(browser.new_context(**context))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", refuse)
        page.goto(address)
        page.wait_for_function("window.decodingLive")
        page.wait_for_function("decodingLive.store.state === 'ready'")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
