"""`python -m decoding evaluate`: how well each signal tells a model's right answers from wrong."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoding.console.colours import safe_text
from decoding.console.options import add_model_options, load_named_model
from decoding.console.streams import write
from decoding.records.errors import DecodingError
from decoding.trust.evaluation.questions import OWN_QUESTIONS

if TYPE_CHECKING:
    from decoding.core.language_model import LanguageModel
    from decoding.trust.evaluation.folder import EvaluationFolder
    from decoding.trust.evaluation.questions import Question

LINE_EVERY = 10  # questions, where the progress is no terminal's line


def add_evaluate_options(command: argparse.ArgumentParser) -> None:
    """The options of this command."""
    command.add_argument(
        "--questions",
        type=Path,
        default=OWN_QUESTIONS,
        metavar="FILE",
        help="a JSON list of question, answers, topic and source; this project's own without",
    )
    command.add_argument("--out", type=Path, default=Path("evaluation"), metavar="FOLDER")
    command.add_argument("--resume", action="store_true", help="go on in a folder that was begun")
    command.add_argument("--max-new-tokens", type=_whole(1), default=24, metavar="N")
    command.add_argument(
        "--samples",
        type=_whole(0),
        default=10,
        metavar="N",
        help="answers drawn for each question; 0 measures the live signals alone",
    )
    command.add_argument("--temperature", type=_above_0, default=0.5, metavar="X")
    command.add_argument("--seed", type=_whole(0), default=0, metavar="N")
    add_model_options(command)
    command.set_defaults(run=evaluate)


def evaluate(options: argparse.Namespace) -> int:
    """Asks every question and writes the figures; 0, or 130 where it was interrupted."""
    from decoding.trust.evaluation.folder import EvaluationFolder, has_answers
    from decoding.trust.evaluation.questions import read_questions

    questions = read_questions(options.questions)
    if has_answers(options.out) and not options.resume:
        raise DecodingError(
            f"An evaluation was begun in {str(options.out)!r}: go on with it with --resume, or "
            "name another folder with --out."
        )
    lm = load_named_model(options)
    settings = _settings(lm, questions, options)
    folder = EvaluationFolder(options.out, settings)
    try:
        _ask(lm, questions, folder, options)
    except KeyboardInterrupt:
        done = f"{len(folder.answers)} of {len(questions)} answers are in {str(options.out)!r}"
        _tell(f"\nInterrupted: {done}; go on with --resume.\n")
        return 130
    _write(folder, settings)
    return 0


def _settings(
    lm: LanguageModel, questions: Sequence[Question], options: argparse.Namespace
) -> dict[str, Any]:
    """All that the answers hang on, as JSON has it."""
    from decoding.session.recording import library_versions

    return {
        "model": lm.name,
        "dtype": str(lm.dtype).removeprefix("torch."),
        "quantization": lm.quantization,
        "device": lm.device.type,
        "versions": library_versions(),
        "questions_sha256": sha256(repr(questions).encode()).hexdigest(),
        "max_new_tokens": options.max_new_tokens,
        "samples": options.samples,
        "sampling_temperature": options.temperature,
        "seed": options.seed,
    }


def _ask(
    lm: LanguageModel,
    questions: Sequence[Question],
    folder: EvaluationFolder,
    options: argparse.Namespace,
) -> None:
    """Has every question answered that is not answered yet."""
    from decoding.trust.evaluation.answering import Sampling, answer_question

    sampling = Sampling(options.samples, options.temperature, options.seed)
    answered = {answer.question for answer in folder.answers}
    open_questions = [one for one in questions if one.question not in answered]
    _tell(_cost(len(open_questions), options))
    report = _progress(len(answered), len(questions))
    for question in open_questions:
        folder.add(answer_question(lm, question, options.max_new_tokens, sampling))
        report(sum(answer.right for answer in folder.answers))
    if open_questions and sys.stderr.isatty():
        _tell("\n")


def _cost(questions: int, options: argparse.Namespace) -> str:
    """The inferences to come, at most, in a line."""
    from decoding.strategies.samples import sampled_cost

    each = options.max_new_tokens
    if options.samples:  # and one that asks the model whether the answer is true
        each += sampled_cost(options.samples, options.max_new_tokens) + 1
    return f"{questions} questions to ask, at most {each} inferences each\n"


def _progress(done: int, total: int) -> Callable[[int], None]:
    """What is to be called after each answer, with how many are right: it tells the time left."""
    started, first = time.monotonic(), done

    def report(right: int) -> None:
        nonlocal done
        done += 1
        left = (time.monotonic() - started) / (done - first) * (total - done)
        line = f"{done} of {total} questions, {right} right, {_minutes(left)} left"
        if sys.stderr.isatty():
            _tell(f"\r{line}   ")
        elif done % LINE_EVERY == 0 or done == total:
            _tell(line + "\n")

    return report


def _write(folder: EvaluationFolder, settings: dict[str, Any]) -> None:
    from decoding.trust.evaluation.figures import evaluation_of

    created = datetime.now(UTC).isoformat(timespec="seconds")
    about = {"created": created, **settings}
    evaluation = evaluation_of(folder.answers, about)
    folder.write(evaluation)
    tables = safe_text((folder.path / "evaluation.md").read_text(encoding="utf-8"))
    write(tables)


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def _tell(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text[:10]) < 2**31:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} on")
        return int(text)

    return read


def _above_0(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 100:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} must be above 0 and below 100")
    return value
