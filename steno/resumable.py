"""A large file on its way to the service in pieces, by tus 1.0.0: what came stays, so that an outage costs only itself."""

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final, Protocol

import httpx

from steno.client_errors import OUTAGE_SECONDS, Away, ClientError

LARGE: Final = 32 << 20
"""From so many bytes on a file goes in pieces."""
PIECE_BYTES: Final = 8 << 20
_BLOCK_BYTES: Final = 1 << 18
_PAUSE_SECONDS: Final = 0.25
_TIMES: Final = httpx.Timeout(30.0, read=300.0, write=60.0)
"""The answer to the last piece comes when the recording is safely on the server's disk."""
_NO_SUCH_ROUTE: Final = (404, 405)
_GONE: Final = (404, 410)
_PASSING: Final = (408, 409, 423)


class Send(Protocol):
    """Sends a request and gives the answer. Raises ClientError for any but a good one."""

    def __call__(self, method: str, path: str, **more: Any) -> httpx.Response: ...


@dataclass
class Resumable:
    """One file. `sent` is told the bytes that are through so far, `said` a sentence for a person when something happens."""

    send: Send
    file: IO[bytes]
    size: int
    sent: Callable[[int], None]
    said: Callable[[str], None]
    _path: str = ""
    _offset: int = 0
    _deadline: float | None = None

    def upload(self, filename: str, fields: Mapping[str, str]) -> str | None:
        """The job's id; None where the server is older than this way of sending. Raises ClientError, OSError."""
        try:
            headers = {"Upload-Length": str(self.size), "Upload-Metadata": _metadata({**fields, "filename": filename})}
            self._path = self._ask("POST", "/uploads", headers).headers["Location"]
        except ClientError as error:
            if error.status in _NO_SUCH_ROUTE:
                return None
            raise
        while True:
            try:
                answer = self._piece()
            except ClientError as error:
                answer = self._resume(error)
            job_id: str | None = answer.headers.get("Steno-Job-Id")
            if job_id is not None:
                return job_id
            if self._offset >= self.size:
                raise ClientError("What answers there does not make a job of an upload; it does not look like Steno.")

    def _piece(self) -> httpx.Response:
        length = min(PIECE_BYTES, self.size - self._offset)
        headers = {
            "Upload-Offset": str(self._offset),
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(length),
        }
        answer = self._ask("PATCH", self._path, headers, content=self._blocks(self._offset, length))
        self._progressed(int(answer.headers["Upload-Offset"]))
        return answer

    def _resume(self, error: ClientError) -> httpx.Response:
        """Ask where the upload is until the server says so."""
        _require_passing(error)
        self.said(f"interrupted at {self._share()} %, trying again")
        if self._deadline is None:
            self._deadline = time.monotonic() + OUTAGE_SECONDS
        while True:
            if time.monotonic() > self._deadline:
                raise error
            time.sleep(_PAUSE_SECONDS)
            try:
                answer = self._ask("HEAD", self._path, {})
            except ClientError as again:
                _require_passing(again)
                continue
            if (offset := int(answer.headers["Upload-Offset"])) > self._offset:
                self._progressed(offset)
            self._offset = offset
            self.said(f"resuming at {self._share()} %")
            return answer

    def _blocks(self, at: int, length: int) -> Iterator[bytes]:
        self.file.seek(at)
        while length:
            block = self.file.read(min(_BLOCK_BYTES, length))
            if not block:
                raise ClientError("The file has become shorter while it was sent.")
            yield block
            at, length = at + len(block), length - len(block)
            self.sent(at)

    def _progressed(self, offset: int) -> None:
        self._offset, self._deadline = offset, None

    def _share(self) -> int:
        return 100 * self._offset // self.size

    def _ask(self, method: str, path: str, headers: Mapping[str, str], **more: Any) -> httpx.Response:
        return self.send(method, path, headers={"Tus-Resumable": "1.0.0", **headers}, timeout=_TIMES, **more)


def _require_passing(error: ClientError) -> None:
    """Raises it unless it may be over in a moment: the server is away, or has not noticed that the last connection is dead."""
    if error.status in _GONE:
        raise ClientError("The server no longer has the upload; send the file again.", error.status) from error
    if not isinstance(error, Away) and error.status not in _PASSING:
        raise error


def _metadata(pairs: Mapping[str, str]) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in pairs.items())
