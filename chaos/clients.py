"""Clients that send recordings until each is accepted, and ask after their jobs, whatever happens to the service meanwhile."""

import random
import threading
import time
import uuid
from typing import Any, Final

import httpx

from chaos.book import Accepted, Book, Recording
from chaos.service import ENGINE

_PATIENCE: Final = 15.0
_AGAIN_SECONDS: Final = 0.2
_WINDOW: Final = 8
"""Jobs that a client leaves unfinished before it waits, so that faults hit jobs and not a long queue."""
_PAUSE_SECONDS: Final = (0.0, 4.0)
"""Between two uploads: less than two workers can do, so that uploads go on whatever the fault."""
_OVER: Final = ("finished", "failed", "canceled")


class Client(threading.Thread):
    """Uploads until the book says enough. Counts only what was answered with 200; tries again after anything that may pass."""

    def __init__(
        self, url: str, book: Book, choice: list[Recording], dice: random.Random, fields: dict[str, str]
    ) -> None:
        super().__init__(name="client", daemon=True)
        self._url = url
        self._book = book
        self._choice = choice
        self._dice = dice
        self._fields = {"engine": ENGINE, **fields}
        self._open: list[str] = []

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=_PATIENCE, trust_env=False) as http:
            while not self._book.enough.is_set():
                self._look(http)
                if len(self._open) < _WINDOW:
                    self._upload(http, self._dice.choice(self._choice))
                self._book.enough.wait(self._dice.uniform(*_PAUSE_SECONDS))

    def _upload(self, http: httpx.Client, recording: Recording) -> None:
        """The same request under the same key until it is accepted."""
        key = str(uuid.UUID(int=self._dice.getrandbits(128), version=4))
        filename = f"{key}-{recording.name}"
        self._book.begin(filename, recording)
        while not self._book.enough.is_set():
            answer = self._post(http, filename, key, recording)
            if answer is not None and answer.status_code == 200:
                job_id = str(answer.json()["job_id"])
                self._book.accept(Accepted(job_id, filename, recording))
                self._open.append(job_id)
                return
            if answer is not None and answer.status_code < 500 and answer.status_code != 409:
                self._book.complain(f"an upload was answered {answer.status_code}: {answer.text}")
                return
            time.sleep(_AGAIN_SECONDS)

    def _post(self, http: httpx.Client, filename: str, key: str, recording: Recording) -> httpx.Response | None:
        form: dict[str, Any] = {"files": {"file": (filename, recording.body)}, "data": self._fields}
        try:
            answer = http.post("/transcribe", **form, headers={"Idempotency-Key": f'"{key}"'})
        except httpx.HTTPError:
            return None
        self._book.answered(answer.status_code)
        return answer

    def _look(self, http: httpx.Client) -> None:
        for job_id in tuple(self._open):
            if status_of(http, self._book, job_id).get("status") in _OVER:
                self._open.remove(job_id)
                self._book.over(job_id)


def status_of(http: httpx.Client, book: Book, job_id: str) -> dict[str, Any]:
    """What the service says of a job; empty while it cannot say. An accepted job that it does not know is a complaint."""
    try:
        answer = http.get(f"/status/{job_id}")
    except httpx.HTTPError:
        return {}
    if answer.status_code == 200:
        return dict(answer.json())
    if answer.status_code < 500:
        book.complain(f"the status of accepted job {job_id} was answered {answer.status_code}")
    return {}


def wait_for_all(url: str, book: Book, seconds: float) -> None:
    """Return when every accepted job was seen over, or after these seconds."""
    deadline = time.monotonic() + seconds
    with httpx.Client(base_url=url, timeout=_PATIENCE, trust_env=False) as http:
        while (rest := book.still_open()) and time.monotonic() < deadline:
            for job_id in rest:
                if status_of(http, book, job_id).get("status") in _OVER:
                    book.over(job_id)
            time.sleep(_AGAIN_SECONDS)
