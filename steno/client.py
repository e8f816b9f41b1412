"""A client of the service: upload, ask, fetch. Blocking, over HTTP; what the `steno` command uses."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import httpx

from steno.client_errors import OUTAGE_SECONDS, Away, ClientError
from steno.resumable import LARGE, Resumable

_POLL_SECONDS: Final = 0.25
_PAGE: Final = 200
_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]", "::1")
_PATIENT: Final = httpx.Timeout(30.0, read=300.0, write=300.0)
_FETCHING: Final = httpx.Timeout(30.0, read=5 * 3600.0)
"""The service fetches for four hours at most, unless told otherwise, and says nothing meanwhile."""
_LISTENING: Final = httpx.Timeout(30.0, read=45.0)
"""A stream of events has a heartbeat every 15 s."""

T = TypeVar("T")


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
        self.server = server.rstrip("/") if "://" in server else f"http://{server.rstrip('/')}"
        try:
            local = httpx.URL(self.server).host in _LOOPBACK  # a proxy for the web does not know this machine
            self._http = httpx.Client(base_url=self.server, timeout=_PATIENT, trust_env=not local)
        except (httpx.InvalidURL, ImportError, ValueError) as error:
            raise ClientError(f"Cannot use the server address '{server}': {error}.") from error

    def submit(
        self,
        path: Path,
        fields: dict[str, str],
        sent: Callable[[int], None] = lambda _: None,
        said: Callable[[str], None] = lambda _: None,
    ) -> str:
        """Upload a recording with the form's fields; the job's id. `sent` is told the bytes sent so far.

        A large file goes in pieces, and goes on after an outage of half a minute, of which `said` is told in sentences.
        """
        try:
            with path.open("rb") as file:
                name = path.name.encode(errors="replace").decode()  # a name that is not UTF-8 is for display only
                size = os.fstat(file.fileno()).st_size
                if size >= LARGE:
                    job_id = Resumable(self._send, file, size, sent, said).upload(name, fields)
                    if job_id is not None:
                        return job_id
                answer = self._send("POST", "/transcribe", data=fields, files={"file": (name, _Counted(file, sent))})
        except OSError as error:
            raise ClientError(f"Cannot read it: {error.strerror}.") from error
        return str(self._json(answer)["job_id"])

    def submit_url(self, url: str, fields: dict[str, str], authorization: str | None = None) -> str:
        """Have the service fetch a recording, with this Authorization header if one is needed; the job's id."""
        sent = {**fields, "url": url, **({"url_authorization": authorization} if authorization else {})}
        form = {name: (None, value) for name, value in sent.items()}
        return str(self._json(self._send("POST", "/transcribe", files=form, timeout=_FETCHING))["job_id"])

    def status(self, job_id: str) -> dict[str, Any]:
        """The job's status, as the service gives it."""
        return self._json(self._send("GET", f"/status/{job_id}"))

    def wait(self, job_id: str, told: Callable[[dict[str, Any]], None] = lambda _: None) -> dict[str, Any]:
        """The job's status once it is over; `told` hears every status on the way. Outages of half a minute are sat out."""
        while True:
            status = self._sit_out(lambda: self.status(job_id))
            told(status)
            if status["status"] in ("finished", "failed", "canceled"):
                return status
            if not self._follow(job_id, told):
                time.sleep(_POLL_SECONDS)

    def transcript(self, job_id: str, format: str, **options: Any) -> tuple[str, str]:
        """The transcript of a finished job, written in a format, with the options of subtitles that are not None.

        Beside it what of the options could not be kept, in sentences; empty if all was.
        """
        query = {name: value for name, value in options.items() if value is not None}
        answer = self._sit_out(lambda: self._send("GET", f"/jobs/{job_id}/transcript.{format}", params=query))
        return answer.text, answer.headers.get("Steno-Warnings", "")

    def jobs(self, limit: int, **only: str | None) -> list[dict[str, Any]]:
        """The newest jobs, at most so many; `only` are filters of GET /jobs: status, engine, label."""
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {name: value for name, value in only.items() if value}
        while True:
            query["limit"] = min(limit - len(found), _PAGE)
            page = self._json(self._send("GET", "/jobs", params=query), "jobs")
            found += page["jobs"]
            query["cursor"] = page["next_cursor"]
            if len(found) >= limit or not page["next_cursor"]:
                return found

    def cancel(self, job_id: str) -> None:
        """Stop a job."""
        self._send("POST", f"/jobs/{job_id}/cancel")

    def retry(self, job_id: str) -> None:
        """Queue a failed or canceled job again."""
        self._send("POST", f"/jobs/{job_id}/retry")

    def retry_failed(self) -> dict[str, Any]:
        """Queue every failed job again; which were, as `retried`, and which could not be, as `skipped`."""
        return self._json(self._send("POST", "/jobs/retry"), "retried")

    def delete(self, job_id: str) -> None:
        """Delete a job with every byte of it."""
        self._send("DELETE", f"/jobs/{job_id}")

    def deliveries(self, job_id: str, again: bool = False) -> dict[str, Any]:
        """The log of the job's webhook; `again` delivers its last event once more first."""
        return self._json(self._send("POST" if again else "GET", f"/jobs/{job_id}/deliveries"))

    def close(self) -> None:
        self._http.close()

    def _follow(self, job_id: str, told: Callable[[dict[str, Any]], None]) -> bool:
        """Tell each state that the service streams, until the stream ends; False if there was none, or it was cut off."""
        event = ""
        try:
            with self._http.stream("GET", f"/jobs/{job_id}/events", timeout=_LISTENING) as answer:
                for line in answer.iter_lines() if answer.status_code == httpx.codes.OK else ():
                    name, _, value = line.partition(": ")
                    if name == "event":
                        event = value
                    elif name == "data" and event == "state":
                        told(json.loads(value))
                return answer.status_code == httpx.codes.OK
        except (httpx.HTTPError, ValueError):
            return False

    def _sit_out(self, ask: Callable[[], T]) -> T:
        """Ask until there is an answer, for as long as an outage may last."""
        deadline = time.monotonic() + OUTAGE_SECONDS
        while True:
            try:
                return ask()
            except Away:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)

    def _json(self, answer: httpx.Response, needed: str = "job_id") -> dict[str, Any]:
        try:
            told = answer.json()
        except ValueError:
            told = None
        if not isinstance(told, dict) or needed not in told:
            raise ClientError(f"What answers at {self.server} does not look like Steno.")
        return told

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            raise Away(
                f"No answer from {self.server} ({error}). Is Steno running there? `steno serve` starts it."
            ) from error
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise Away(_sentence(answer))
        if answer.is_error:
            raise ClientError(_sentence(answer), answer.status_code)
        return answer


def _sentence(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = answer.text[:200] or answer.reason_phrase
    return f"{detail} (HTTP {answer.status_code})"
