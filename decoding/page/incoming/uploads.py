"""Files that visitors send: each of a limited size, and so much of one and of all at a time.

In place of Gradio's own route, which leaves on the disk what was cut off or named otherwise.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from decoding.page.incoming.bodies import too_large
from decoding.page.incoming.refused import Refused, address
from decoding.records.trace_file import LARGEST_BYTES

FIELD = "files"
FORM_BYTES = 10_000  # around the file
LEAST_BYTES = 50_000  # that any file counts, so that there are not too many small ones


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """How many bytes may lie on this machine, from the first that arrives until the file is gone.

    Attributes:
        one: of a file.
        visitor: of the files that come from one address.
        all: of all files.
    """

    one: int = LARGEST_BYTES
    visitor: int = 2 * LARGEST_BYTES
    all: int = 8 * LARGEST_BYTES


DEFAULT_UPLOAD_LIMITS = UploadLimits()


class Uploads:
    """What visitors have sent and nobody has opened yet; Gradio deletes it after a while."""

    def __init__(self, limits: UploadLimits = DEFAULT_UPLOAD_LIMITS) -> None:
        self.limits = limits
        # Whose, and how many bytes: of files by their paths, and of what is arriving.
        self._held: dict[object, tuple[str, int]] = {}

    @property
    def largest_body(self) -> int:
        """Bytes of a request with the largest file."""
        return self.limits.one + FORM_BYTES

    async def take(self, request: Request) -> Response:
        """Keeps the one file of a form; answers with its path, as Gradio does.

        Raises:
            Refused: it is no such form, or too much.
        """
        self._forget_deleted()
        arrival = object()
        self._held[arrival] = address(request.scope), LEAST_BYTES
        try:
            file = await _only_file(request.headers, self._counted(arrival, request))
            try:
                path = await self._keep(file, Path(request.app.uploaded_file_dir), arrival)
            finally:
                await file.close()
        finally:
            del self._held[arrival]
        request.app.get_blocks().upload_file_set.add(str(path))
        return JSONResponse([str(path)])

    async def _counted(self, arrival: object, request: Request) -> AsyncGenerator[bytes]:
        async for part in request.stream():
            visitor, taken = self._held[arrival]
            self._held[arrival] = visitor, taken + len(part)
            self._refuse_too_much(visitor)
            yield part

    def _refuse_too_much(self, visitor: str) -> None:
        whose = list(self._held.values())
        of_visitor = sum(taken for other, taken in whose if other == visitor)
        if of_visitor > self.limits.visitor or sum(taken for _, taken in whose) > self.limits.all:
            raise Refused(413, "Too many files wait here to be opened: try again in a while.")

    async def _keep(self, file: UploadFile, folder: Path, arrival: object) -> Path:
        if (file.size or 0) > self.limits.one:
            raise too_large(self.limits.one)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{secrets.token_hex(16)}.json"
        try:
            await run_in_threadpool(_write, file.file, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self._held[path] = self._held[arrival]
        return path

    def _forget_deleted(self) -> None:
        gone = [key for key in self._held if isinstance(key, Path) and not key.exists()]
        for path in gone:
            del self._held[path]


async def _only_file(headers: Headers, stream: AsyncGenerator[bytes]) -> UploadFile:
    parser = MultiPartParser(headers, stream, max_files=1, max_fields=0)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise Refused(
            400, "The form cannot be read: it holds one file, and nothing else."
        ) from error
    file = form.get(FIELD)
    if isinstance(file, UploadFile):
        return file
    await form.close()
    raise Refused(400, f"The form has no file {FIELD!r}.")


def _write(source: BinaryIO, path: Path) -> None:
    with path.open("xb") as target:
        shutil.copyfileobj(source, target)
