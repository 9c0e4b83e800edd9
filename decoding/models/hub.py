"""A Hugging Face Hub id -> a complete model folder on this machine; it loads nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import (
    HfApi,
    ModelInfo,
    constants,
    get_token,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from tqdm import tqdm

from decoding.models.checkpoint import (
    WEIGHT_SHARD,
    WEIGHTS,
    WEIGHTS_INDEX,
    check_config,
    check_files,
    read_json,
    without_config,
)
from decoding.models.disk import check_disk, is_disk_full
from decoding.models.progress import Progress
from decoding.records.errors import ModelLoadError

# Xet swallows what a progress raises, so that such a download could not be cancelled. Set here
# and not in the environment: transformers may have been imported before this room.
if "HF_HUB_DISABLE_XET" not in os.environ:
    constants.HF_HUB_DISABLE_XET = True

PROBE_SECONDS = 5.0
BeforeFetching = Callable[[Path, int], None]
TOKEN = re.compile(r"hf_[A-Za-z0-9]{6,}|(?<=Bearer )[^\s'\"]+")
SMALL_FILES = (".json", ".txt", ".model", ".jinja", ".tiktoken")


def hub_folder(model_id: str, progress: Progress, before_fetching: BeforeFetching) -> Path:
    """The folder of a model in the Hub's own cache, fetched first where it is incomplete.

    One short question decides whether the Hub can be reached; left alone, its library would
    retry for about 23 seconds per file. Without the Hub, what is on the disk is used.

    Args:
        model_id: owner/name.
        progress: of the stage "download".
        before_fetching: called with the file config.json and the bytes of the weight files
            before these are fetched, so that it can refuse.

    Raises:
        ModelLoadError: no such model, no access to it, nothing usable in it, or the Hub is
            out of reach and the model is not on this machine.
    """
    info = _info(model_id)
    if isinstance(info, Exception):
        return _folder_on_disk(model_id, info)
    names = {file.rfilename for file in info.siblings or [] if "/" not in file.rfilename}
    check_files(names, model_id)
    return _fetch(model_id, info.sha, names, progress, before_fetching)


def hub_config(model_id: str) -> Path:
    """The config.json of a model, fetched alone; from the disk where the Hub is out of reach.

    Raises:
        ModelLoadError: as `hub_folder`, but for the weights, which nobody asks for here.
    """
    info = _info(model_id)
    if isinstance(info, Exception):
        config = _config_file(model_id, info, local_files_only=True)
    else:
        names = [file.rfilename for file in info.siblings or []]
        if "config.json" not in names:
            raise ModelLoadError(without_config(names, model_id))
        config = _config_file(model_id, None, revision=info.sha)
    check_config(read_json(config, model_id), model_id)
    return config


def _config_file(model_id: str, cause: Exception | None, **where: Any) -> Path:
    try:
        return Path(hf_hub_download(model_id, "config.json", **where))
    except GatedRepoError as error:
        raise _no_access(model_id) from _without_token(error)
    except Exception as error:  # as in `_info`
        raise _out_of_reach(model_id, cause or error) from _without_token(error)


def _info(model_id: str) -> ModelInfo | Exception:
    """What the Hub says of a model, or why the Hub cannot be asked."""
    try:
        return HfApi().model_info(model_id, timeout=PROBE_SECONDS)
    except HFValidationError as error:
        raise _no_such_model(model_id) from _without_token(error)
    except GatedRepoError as error:
        raise _no_access(model_id) from _without_token(error)
    except RepositoryNotFoundError as error:
        raise _no_such_model(model_id) from _without_token(error)
    except Exception as error:  # each transport has its own: names, certificates, proxies
        return error


def _fetch(
    model_id: str,
    revision: str | None,
    names: set[str],
    progress: Progress,
    before_fetching: BeforeFetching,
) -> Path:
    wanted: dict[str, Any] = {
        "revision": revision,
        "allow_patterns": sorted(filter(_is_needed, names)),
    }
    try:
        config = Path(hf_hub_download(model_id, "config.json", revision=revision))
        check_config(read_json(config, model_id), model_id)
        files = snapshot_download(model_id, **wanted, dry_run=True)
        missing = sum(file.file_size or 0 for file in files if file.will_download)
        if missing:
            weights = [file for file in files if file.filename.endswith(".safetensors")]
            before_fetching(config, sum(file.file_size or 0 for file in weights))
            check_disk(model_id, missing, Path(HF_HUB_CACHE))
        bar = _bar_that_reports(progress, missing)
        return Path(snapshot_download(model_id, **wanted, tqdm_class=bar))
    except GatedRepoError as error:
        raise _no_access(model_id) from _without_token(error)
    except ModelLoadError:
        raise
    except Exception as error:  # each transport has its own, as below
        raise ModelLoadError(_not_fetched(model_id, error)) from _without_token(error)


def _not_fetched(model_id: str, error: Exception) -> str:
    if is_disk_full(error):
        return (
            f"The disk became full while {model_id} was fetched into {HF_HUB_CACHE}: make room, or "
            "set HF_HOME to a folder on another disk, and start again; what is here is kept."
        )
    return (
        f"{model_id} could not be fetched from the Hugging Face Hub ({_brief(error)}); check the "
        "network, and start again: what is here already is kept."
    )


def _is_needed(name: str) -> bool:
    is_weights = name in (WEIGHTS, WEIGHTS_INDEX) or WEIGHT_SHARD.fullmatch(name) is not None
    return is_weights or (name.endswith(SMALL_FILES) and not name.endswith(".index.json"))


def _folder_on_disk(model_id: str, cause: Exception) -> Path:
    try:
        return Path(snapshot_download(model_id, local_files_only=True))
    except (LocalEntryNotFoundError, OSError, ValueError) as error:
        raise _out_of_reach(model_id, cause) from error


def _out_of_reach(model_id: str, cause: Exception) -> ModelLoadError:
    why = _brief(cause)
    return ModelLoadError(
        f"The Hugging Face Hub cannot be reached ({why}) and {model_id} is not "
        "on this machine: check the network, or give the path of a local folder or a "
        ".gguf file."
    ).worded("hub_out_of_reach", name=model_id, why=why)


def _no_such_model(model_id: str) -> ModelLoadError:
    return ModelLoadError(
        f"There is no model {model_id!r} on the Hugging Face Hub, or it is private, and no "
        "folder by that name here: check the spelling (owner/name)."
    ).worded("hub_no_such_model", name=model_id)


def _no_access(model_id: str) -> ModelLoadError:
    return ModelLoadError(
        f"{model_id} is gated: accept its conditions at https://huggingface.co/{model_id}, "
        "then put an access token of that account into the environment variable HF_TOKEN or "
        "run `hf auth login`, and start again."
    ).worded("hub_no_access", name=model_id)


def _brief(error: BaseException) -> str:
    """The first line of an error, without the request's headers or a stack of causes."""
    lines = redacted(str(error)).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def redacted(text: str) -> str:
    """A text without any access token of the Hub: libraries quote headers that they refuse."""
    token = get_token()
    text = text.replace(token, "…") if token else text
    return TOKEN.sub("…", text)


def _without_token(error: Exception) -> Exception | None:
    """The error as a cause to be shown; `None` where its text would give the token away."""
    return error if redacted(str(error)) == str(error) else None


def _bar_that_reports(progress: Progress, total: int) -> Any:
    """A tqdm that draws nothing and passes on how much of the download is here.

    There is a bar for what came through the network, perhaps packed, and one for what is on
    the disk: the one that is further tells the bytes that are here.
    """
    furthest = 0

    class Reporting(tqdm):  # type: ignore[misc]  # tqdm has no types
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts_bytes = kwargs.get("unit") == "B"
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": False, "file": _Silence()})

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal furthest
            drawn: bool | None = super().update(n)
            if self._counts_bytes:
                furthest = max(furthest, int(self.n))
                progress("download", min(furthest, total), total)
            return drawn

    return Reporting


class _Silence:
    """A terminal that shows nothing: tqdm stops counting when it is merely disabled."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""
