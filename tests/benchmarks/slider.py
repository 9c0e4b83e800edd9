"""What a preview costs on the server: other settings for a step, from the request to its JSON.

python tests/benchmarks/slider.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from typing import Any

import torch
from machine import machine
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from decoding import DecodingSession, InspectRequest, LanguageModel, inspect_step
from decoding.page.wire.inspection import inspection_json

LIMIT_MS = 50
FOUR = {"do_sample": True, "temperature": 0.8, "top_k": 40, "top_p": 0.9, "min_p": 0.05}
WITHOUT_TOP_K = {**FOUR, "top_k": 0}
SLIDERS: dict[str, tuple[dict[str, Any], str]] = {
    "temperature, top_k, top_p, min_p": (FOUR, "temperature"),
    "the same, top_k off": (WITHOUT_TOP_K, "temperature"),
    "the same, with repetition_penalty": ({**FOUR, "repetition_penalty": 1.1}, "temperature"),
    "temperature alone": ({"do_sample": True, "top_k": 0, "top_p": 1.0}, "temperature"),
    "typical_p and top_p, top_k off": ({**WITHOUT_TOP_K, "typical_p": 0.9}, "temperature"),
    "greedy, repetition_penalty": (
        {**dict.fromkeys(FOUR), "do_sample": False},
        "repetition_penalty",
    ),
}


def random_model(vocabulary: int) -> LanguageModel:
    """A model so small that its vocabulary is nearly all of it."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.8,
    )
    words = {f" word{number}": number for number in range(vocabulary)}
    core = Tokenizer(models.WordLevel(words, unk_token=" word0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token=" word0")
    model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = None
    return LanguageModel(model, tokenizer, f"random, {vocabulary:,} tokens")


def milliseconds(session: DecodingSession, requests: Iterator[InspectRequest]) -> list[float]:
    """Of each request, the first one left out."""
    taken = []
    for request in requests:
        started = time.perf_counter()
        inspection_json(inspect_step(session, request), "run")
        taken.append(1000 * (time.perf_counter() - started))
    return taken[1:]


def dragged(
    index: int, settings: dict[str, Any], slider: str, rounds: int
) -> Iterator[InspectRequest]:
    """Each with a value that was not asked for before."""
    for number in range(rounds + 1):
        tried = {**settings, slider: 0.5 + number / (rounds + 1)}
        yield InspectRequest(0, index, generation=tried)


def searched(index: int, rounds: int) -> Iterator[InspectRequest]:
    for number in range(rounds + 1):
        yield InspectRequest(0, index, find=f"ord{number}")


def report(name: str, taken: list[float]) -> None:
    middle, worst = statistics.median(taken), max(taken)
    print(f"{middle:9.1f} {worst:9.1f}   {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocabulary", type=int, default=262_144)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    lm = random_model(arguments.vocabulary)
    session = DecodingSession(
        lm, list(range(1, 50)), seed=1, max_new_tokens=arguments.tokens, **FOUR
    )
    steps = list(session.run())
    index = len(steps) - 10

    print(machine())
    print(f"{lm.name}, {len(steps)} steps, {arguments.rounds} previews each; at most {LIMIT_MS} ms")
    print("median ms  worst ms   sliders")
    for name, (settings, slider) in SLIDERS.items():
        report(name, milliseconds(session, dragged(index, settings, slider, arguments.rounds)))
    report("no slider, but a search", milliseconds(session, searched(index, arguments.rounds)))


if __name__ == "__main__":
    main()
