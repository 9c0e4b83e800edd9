"""The one model that all visitors share: loaded and run on the worker's thread, nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from decoding.errors import DecodingError
from decoding.facts import ModelFacts
from decoding.run import ModelStatus, PromptToken, RunHead, RunRequest
from decoding.step import DecodingStep
from decoding.worker import Stopped, Stream, Worker

if TYPE_CHECKING:
    from decoding.models import LanguageModel

Event = RunHead | DecodingStep
Progress = Callable[[str, int | None, int | None], None]
Load = Callable[[Progress], "LanguageModel"]
OnPrefill = Callable[[int, int], None]
StepOrError = DecodingStep | DecodingError
Steps = Callable[[list[int], RunRequest], Iterator[StepOrError]]

SAMPLING_CONFIG = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "top_h",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
)
SHOWN_CONFIG = (
    "do_sample",
    *SAMPLING_CONFIG,
    "repetition_penalty",
    "no_repeat_ngram_size",
    "min_new_tokens",
    "bad_words_ids",
    "suppress_tokens",
    "max_new_tokens",
    "stop_strings",
)


class LiveModel:
    """Loads a model as soon as it is made, and decodes for one visitor after the other."""

    def __init__(self, load: Load, on_device: Callable[[Steps], Steps] | None = None) -> None:
        """Starts loading and returns at once.

        Args:
            load: called as `load(progress)` on the worker's thread.
            on_device: wraps the function that decodes, where an accelerator is lent for the
                time of a call only (`spaces.GPU`). Such a call runs in another process: what
                goes in and comes out is pickled, and the prompt's progress is not known.
        """
        self.status = ModelStatus()
        self._load = load
        self._lm: LanguageModel | None = None
        self._steps = None if on_device is None else on_device(self._lent_steps())
        self.worker = Worker()
        self._loading = self.worker.submit(self._try_to_load)

    def wait(self) -> None:
        """Returns when the first attempt at loading has ended."""
        self._loading.result()

    def stream(self, request: RunRequest, on_prefill: OnPrefill) -> Stream[Event]:
        """The head and then the steps of a run that takes its place in line.

        Args:
            request: what to decode.
            on_prefill: called on the worker's thread with (tokens fed, prompt tokens).
        """

        def start(is_stopped: Callable[[], bool]) -> Iterator[Event]:
            def look_up(done: int, total: int) -> None:
                on_prefill(done, total)
                if is_stopped():
                    raise Stopped

            return self._events(request, look_up)

        return self.worker.stream(start)

    def _events(self, request: RunRequest, on_prefill: OnPrefill) -> Iterator[Event]:
        from decoding.decoder import decode
        from decoding.prompts import prompt_token_ids

        lm = self._loaded()
        ids = prompt_token_ids(lm, request.prompt)
        if self._steps is None:
            steps: Iterator[StepOrError] = decode(
                lm, ids, on_prefill=on_prefill, **_arguments(lm, request)
            )
        else:
            steps = self._steps(ids, request)
        yield run_head(lm, ids, request)
        try:
            for step in steps:
                if isinstance(step, DecodingError):
                    raise step
                yield step
        finally:
            steps.close()  # type: ignore[attr-defined]

    def _lent_steps(self) -> Steps:
        def lent_steps(ids: list[int], request: RunRequest) -> Iterator[StepOrError]:
            from decoding.decoder import decode

            # Only the class name of an error would come back from that process.
            try:
                lm = self._loaded()
                yield from decode(lm, ids, **_arguments(lm, request))
            except DecodingError as error:
                yield error

        return lent_steps

    def _loaded(self) -> LanguageModel:
        """The model; tries once more when an earlier attempt failed."""
        if self._lm is None:
            self._try_to_load()
        if self._lm is None:
            raise self.status.error or RuntimeError("the model is not loaded")
        return self._lm

    def _try_to_load(self) -> None:
        self.status = ModelStatus()
        try:
            lm = self._load(self._report)
            if self._steps is None:
                _warm_up(lm)
            facts = model_facts(lm)
        except Exception as error:  # kept for whoever asks for the model: see `_loaded`
            self.status = ModelStatus(state="error", error=error)
        else:
            self._lm = lm
            self.status = ModelStatus(state="ready", facts=facts)

    def _report(self, stage: str, done: int | None, total: int | None) -> None:
        progress = None if done is None or not total else (done, total)
        self.status = replace(self.status, stage=stage, progress=progress)


def _warm_up(lm: LanguageModel) -> None:
    """One inference for nobody: the first one reads the weights from the disk.

    Without it that time would be shown as the first visitor's prefill.
    """
    from decoding.decoder import decode

    list(decode(lm, [0], max_new_tokens=1))


def _arguments(lm: LanguageModel, request: RunRequest) -> dict[str, Any]:
    generation = dict(request.generation)
    # At 0 it cuts nothing, and yet its processor would sort the vocabulary at each step.
    if not generation.get("min_p") and not lm.model.generation_config.min_p:
        generation.pop("min_p", None)
    return {
        "seed": request.seed,
        "top_candidates": request.top_candidates,
        "use_cache": request.use_cache,
        **generation,
    }


def run_head(lm: LanguageModel, ids: list[int], request: RunRequest) -> RunHead:
    """The prompt as the model saw it, and the settings in force."""
    own = lm.model.generation_config
    config = {name: getattr(own, name, None) for name in SHOWN_CONFIG} | request.generation
    if not config["do_sample"]:  # what only sampling heeds is not in force
        config = {name: value for name, value in config.items() if name not in SAMPLING_CONFIG}
    config |= {"seed": request.seed, "use_cache": request.use_cache}
    return RunHead(_prompt_tokens(lm, ids), model_facts(lm), config)


def _prompt_tokens(lm: LanguageModel, ids: list[int]) -> tuple[PromptToken, ...]:
    """The prompt's tokens; their texts, joined, are what the tokenizer makes of all of them."""
    from decoding.detokenizer import Detokenizer, token_text

    detokenizer = Detokenizer(lm.tokenizer)
    texts = [detokenizer.add(i) for i in ids]
    texts[-1:] = [text + detokenizer.flush() for text in texts[-1:]]
    return tuple(
        PromptToken(i, text, i in lm.special_token_ids, "" if text else token_text(lm.tokenizer, i))
        for i, text in zip(ids, texts, strict=True)
    )


def model_facts(lm: LanguageModel) -> ModelFacts:
    """What the page says about a model."""
    return ModelFacts(
        name=lm.name or type(lm.model).__name__,
        device=str(lm.device),
        dtype=str(lm.dtype).removeprefix("torch."),
        quantization=lm.quantization,
        vocab_size=lm.vocab_size,
        context_length=lm.context_length,
        weight_bytes=lm.weight_bytes,
        kv=lm.kv_cache_formula,
    )
