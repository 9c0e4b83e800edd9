"""What the record costs: `decode` against a bare loop and against a text streamer.

python tests/benchmarks/decode_overhead.py
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from threading import Thread

import torch
from machine import in_turn, machine, ratio, step_by_step
from transformers import DynamicCache, TextIteratorStreamer

from decoding import DecodingStep, LanguageModel, decode, load_model

PROMPT = "Write a long story about a lighthouse keeper and the sea."


@torch.inference_mode()
def bare_loop(lm: LanguageModel, ids: torch.Tensor, new_tokens: int) -> Iterator[torch.Tensor]:
    """The smallest loop there is: `model(...)`, argmax, feed it back."""
    cache = DynamicCache(config=lm.model.config)
    fed = ids
    for _ in range(new_tokens):
        outputs = lm.model(input_ids=fed, past_key_values=cache, use_cache=True, logits_to_keep=1)
        fed = outputs.logits[:, -1].argmax(-1, keepdim=True)
        yield fed


def streamed(lm: LanguageModel, ids: torch.Tensor, new_tokens: int) -> str:
    """What most pages do: `generate` in a thread, words out of a queue."""
    streamer = TextIteratorStreamer(lm.tokenizer, skip_prompt=True)
    thread = Thread(
        target=lm.model.generate,
        args=(ids,),
        kwargs={
            "attention_mask": torch.ones_like(ids),
            "streamer": streamer,
            "max_new_tokens": new_tokens,
            "do_sample": False,
        },
    )
    thread.start()
    text = "".join(streamer)
    thread.join()
    return text


def decoded(lm: LanguageModel, ids: list[int], new_tokens: int) -> Iterator[DecodingStep]:
    return decode(lm, ids, top_candidates=20, max_new_tokens=new_tokens, do_sample=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    lm = load_model()
    tokens = arguments.tokens
    ids = lm.tokenizer.apply_chat_template(
        [{"role": "user", "content": PROMPT}], add_generation_prompt=True, return_dict=False
    )
    x = torch.tensor([ids], device=lm.device)
    assert len(list(decoded(lm, ids, tokens))) == tokens, "the model ended its text: ask for less"
    ours = [step.token_id for step in decoded(lm, ids, 16)]
    assert ours == [int(token) for token in bare_loop(lm, x, 16)]

    print(machine())
    print(f"{lm.name}, {lm.dtype}, {len(ids)} prompt tokens, {tokens} new ones, greedy")
    taken = step_by_step(
        {"bare": lambda: bare_loop(lm, x, tokens), "decode": lambda: decoded(lm, ids, tokens)},
        arguments.rounds,
    )
    report(taken, tokens)
    middle, low, high = ratio(taken, "decode", "bare")
    print(f"decode / bare loop: {middle:.3f} in time ({low:.3f} to {high:.3f}); at most 1.05")

    # The streamer comes last: once a second thread has run torch, all of them are slower.
    taken = in_turn(
        {
            "streamer": lambda: streamed(lm, x, tokens),
            "decode": lambda: list(decoded(lm, ids, tokens)),
        },
        arguments.rounds,
    )
    report(taken, tokens)
    middle, low, high = ratio(taken, "streamer", "decode")
    print(f"streamer / decode: {middle:.3f} in time ({low:.3f} to {high:.3f}); at least 1.05")


def report(taken: dict[str, list[float]], tokens: int) -> None:
    for name, seconds in taken.items():
        print(f"  {name:10} {tokens / statistics.median(seconds):6.2f} tokens/s")


if __name__ == "__main__":
    main()
