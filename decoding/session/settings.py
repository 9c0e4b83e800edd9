"""The settings of a session: those in force, and what others laid over them come to."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from transformers import GenerationConfig

from decoding.core.generation import Generation, prepare_generation, settings_in_force
from decoding.core.supported import refuse_memories
from decoding.records.errors import GenerationConfigError
from decoding.records.step import FinishReason

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel

_CACHE_FIELDS = ("cache_implementation", "cache_config")


class SessionSettings:
    """A config and the fields laid over it, as they were asked for.

    Attributes:
        in_force: as in `SettingsChange`, once they were learnt.
    """

    def __init__(
        self,
        config: GenerationConfig | None,
        fields: dict[str, Any],
        *,
        seed: int,
        use_cache: bool,
    ) -> None:
        """Nothing is checked yet.

        Args:
            config: `None` for the model's own; it is copied.
            fields: of `GenerationConfig`, over the config's.
            seed: of the draws, which belongs to the settings in force.
            use_cache: whether there is a cache.
        """
        self.in_force: dict[str, Any] = {}
        self._config = copy.deepcopy(config)
        self._fields = fields
        self._seed = seed
        self._use_cache = use_cache
        self._most_tokens, self._most_seconds = 0, None

    def prepare(self, lm: LanguageModel, prompt_ids: list[int], **fields: Any) -> Generation:
        """Processors, criteria and inputs under these, and under more fields laid over them.

        Raises:
            ContextLengthError, GenerationConfigError: they cannot be used.
        """
        wanted = {**self._fields, **fields}
        generation = prepare_generation(lm, prompt_ids, self._config, self._use_cache, wanted)
        refuse_memories(generation.processors)
        return generation

    def changed(self, config: GenerationConfig | None, fields: dict[str, Any]) -> SessionSettings:
        """These with other fields laid over them, or with another config in their place.

        Of what a new config replaces only the kind of cache stays.
        """
        kept = self._fields
        if config is not None:
            kept = {name: kept[name] for name in _CACHE_FIELDS if name in kept}
        return SessionSettings(
            self._config if config is None else config,
            {**kept, **fields},
            seed=self._seed,
            use_cache=self._use_cache,
        )

    def refuse_another_cache(self, now: Generation, then: Generation) -> None:
        """Refuses these where they ask for another kind of cache than there is.

        Raises:
            GenerationConfigError: they do.
        """
        same = all(
            getattr(now.config, name, None) == getattr(then.config, name, None)
            for name in _CACHE_FIELDS
        )
        if not same or self._fields.get("use_cache", self._use_cache) is not self._use_cache:
            raise GenerationConfigError(
                "The kind of cache cannot change in the middle of a run: begin a new one for it."
            )

    def learn(self, lm: LanguageModel, generation: Generation) -> None:
        """Takes from what was prepared what is in force."""
        config = generation.config
        self._most_tokens, self._most_seconds = int(config.max_length), config.max_time
        settings = settings_in_force(lm, generation, self._config, self._fields)
        self.in_force = {**settings, "seed": self._seed}

    def allows_more(self, reason: FinishReason | None, tokens: int, seconds: float) -> bool:
        """Whether a text that ended for this reason could go on under these.

        Args:
            reason: why it ended; `None` where it did not.
            tokens: of the prompt and the text.
            seconds: that its steps took.
        """
        if reason == "length":
            return tokens < self._most_tokens
        if reason == "max_time":
            return self._most_seconds is None or seconds < self._most_seconds
        return reason is None
