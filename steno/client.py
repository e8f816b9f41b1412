"""A client of the service: upload, ask, fetch. Blocking, over HTTP; what the `steno` command uses."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

import httpx

_POLL_SECONDS: Final = 0.25
_PATIENT: Final = httpx.Timeout(30.0, read=300.0, write=300.0)


class ClientError(Exception):
    """The service refused or could not be reached; the message is a sentence for a person."""


class _Counted:
    """A file that tells how far it was read."""

    def __init__(self, file: IO[bytes], tell: Callable[[int], None]) -> None:
        self._file = file
        self._tell = tell

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._tell(self._file.tell())
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Client:
    """Talks to one server. Every method raises ClientError."""

    def __init__(self, server: str) -> None:
        self._server = server.rstrip("/")
        self._http = httpx.Client(base_url=self._server, timeout=_PATIENT)

    def submit(self, path: Path, fields: dict[str, str], sent: Callable[[int], None] = lambda _: None) -> str:
        """Upload a recording with the form's fields; the job's id. `sent` is told the bytes sent so far."""
        try:
            with path.open("rb") as file:
                answer = self._send(
                    "POST", "/transcribe", data=fields, files={"file": (path.name, _Counted(file, sent))}
                )
        except OSError as error:
            raise ClientError(f"Cannot read {path}: {error.strerror}.") from error
        return str(answer.json()["job_id"])

    def status(self, job_id: str) -> dict[str, Any]:
        """The job's status, as the service gives it."""
        answer: dict[str, Any] = self._send("GET", f"/status/{job_id}").json()
        return answer

    def wait(self, job_id: str, told: Callable[[dict[str, Any]], None] = lambda _: None) -> dict[str, Any]:
        """The job's status once it is over; `told` hears every status on the way."""
        while True:
            status = self.status(job_id)
            told(status)
            if status["status"] in ("finished", "failed"):
                return status
            time.sleep(_POLL_SECONDS)

    def transcript(self, job_id: str, format: str) -> str:
        """The transcript of a finished job, written in a format."""
        return self._send("GET", f"/jobs/{job_id}/transcript.{format}").text

    def close(self) -> None:
        self._http.close()

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            raise ClientError(
                f"No answer from {self._server} ({error}). Is Steno running there? `steno serve` starts it."
            ) from error
        if answer.is_error:
            raise ClientError(_sentence(answer))
        return answer


def _sentence(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = answer.text[:200] or answer.reason_phrase
    return f"{detail} (HTTP {answer.status_code})"
