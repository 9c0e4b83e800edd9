"""The options by which a command's user names a model, and that model."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from decoding.records.choices import DTYPES, QUANTIZATIONS

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel


def add_model_options(command: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Adds them to a command; returns their group, for options of the command's own."""
    model = command.add_argument_group("model")
    model.add_argument("--model", help="a Hub id, a folder or a .gguf file")
    add_form_options(model)
    return model


def add_form_options(model: argparse._ActionsContainer) -> None:
    """Where and in which format a model is to lie."""
    model.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    model.add_argument("--dtype", default="auto", help=", ".join(("auto", *DTYPES)))
    model.add_argument("--quantization", choices=QUANTIZATIONS)


def load_named_model(options: argparse.Namespace) -> LanguageModel:
    """The model that the options name, loaded without transformers' remarks."""
    # Here, so that a wrong option is told before torch is imported.
    from transformers.utils import logging

    logging.set_verbosity_error()
    from decoding.models.loading import load_model

    return load_model(
        options.model,
        device=options.device,
        dtype=options.dtype,
        quantization=options.quantization,
    )
