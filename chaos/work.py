"""Mixed work for a soak: everything that clients do, the wrong things too, chosen at random."""

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import httpx

from chaos.book import Recording
from chaos.service import ENGINE

_PATIENCE: Final = 30.0
_KEPT: Final = 40
"""Jobs that a client remembers and asks about."""
_WINDOW: Final = 8
_PAUSE_SECONDS: Final = (0.0, 0.3)
_BAD_STATUSES: Final = range(400, 500)


class Worker(threading.Thread):
    """A client of every kind at once; `done` counts what it did by name, `trouble` what was answered as it must not be."""

    def __init__(self, url: str, choice: list[Recording], dice: random.Random) -> None:
        super().__init__(name="soak", daemon=True)
        self._http = httpx.Client(base_url=url, timeout=_PATIENCE, trust_env=False)
        self._choice = choice
        self._dice = dice
        self._jobs: list[str] = []
        self._open: set[str] = set()
        self._over = threading.Event()
        self.done: Counter[str] = Counter()
        self.trouble: list[str] = []
        self._actions: dict[Callable[[], str], int] = {
            self._upload: 6, self._poll: 20, self._wait: 2, self._follow: 3, self._fetch: 4, self._bad_upload: 3,
            self._bad_form: 2, self._unknown: 2, self._look_around: 3, self._cancel: 2, self._retry: 1, self._delete_job: 2,
        }  # fmt: skip

    def run(self) -> None:
        with self._http:
            while not self._over.is_set():
                action = self._dice.choices(list(self._actions), list(self._actions.values()))[0]
                try:
                    self.done[action()] += 1
                except httpx.HTTPError as error:
                    self.trouble.append(f"{action.__name__}: {error!r}")
                time.sleep(self._dice.uniform(*_PAUSE_SECONDS))

    def stop(self) -> None:
        self._over.set()
        self.join()

    def _upload(self) -> str:
        if len(self._open) >= _WINDOW:
            return self._poll()
        recording = self._dice.choice(self._choice)
        answer = self._post({"file": (recording.name, recording.body)}, {"engine": ENGINE})
        self._expect("upload", answer, 200)
        if answer.status_code == 200:
            self._jobs = [*self._jobs[-_KEPT:], str(answer.json()["job_id"])]
            self._open = {*self._open & set(self._jobs), self._jobs[-1]}
        return "upload"

    def _poll(self) -> str:
        return self._ask("poll", "/status/{}")

    def _wait(self) -> str:
        return self._ask("wait", "/status/{}?wait=2")

    def _ask(self, name: str, path: str) -> str:
        if job_id := self._any():
            answer = self._http.get(path.format(job_id))
            self._expect(name, answer, 200, 404)  # old ones are past their retention, or deleted
            if answer.status_code != 200 or answer.json()["status"] not in ("queued", "started"):
                self._open.discard(job_id)
        return name

    def _follow(self) -> str:
        """Follow a job's events for a while, and hang up."""
        if job_id := self._any():
            until = time.monotonic() + self._dice.uniform(0.1, 3)
            with (
                contextlib.suppress(httpx.ReadTimeout),
                self._http.stream("GET", f"/jobs/{job_id}/events", timeout=4) as answer,
            ):
                self._expect("events", answer, 200, 204, 404)
                for _ in answer.iter_lines():
                    if time.monotonic() > until:
                        break
        return "events"

    def _fetch(self) -> str:
        if job_id := self._any():
            format = self._dice.choice(("json", "txt", "srt", "vtt", "tsv"))
            self._expect("transcript", self._http.get(f"/jobs/{job_id}/transcript.{format}"), 200, 404, 409)
        return "transcript"

    def _bad_upload(self) -> str:
        """A file that is no audio: refused at once, or accepted and failed by the decoder."""
        body = self._dice.choice((b"", b"%PDF-1.7 no audio", self._dice.randbytes(30_000)))
        self._expect("bad upload", self._post({"file": ("bad.wav", body)}, {"engine": ENGINE}), 200, *_BAD_STATUSES)
        return "bad upload"

    def _bad_form(self) -> str:
        headers = {"content-type": "multipart/form-data; boundary=b"}
        broken = self._dice.choice((b"--b\r\nno header at all", b"", b"--x\r\n\r\n"))
        self._expect("bad form", self._http.post("/transcribe", content=broken, headers=headers), *_BAD_STATUSES)
        return "bad form"

    def _unknown(self) -> str:
        self._expect("unknown job", self._http.get("/status/no-such-job"), 404)
        return "unknown job"

    def _look_around(self) -> str:
        path = self._dice.choice(("/health", "/ready", "/engines", "/openapi.json", "/jobs"))
        self._expect(path, self._http.get(path), 200, *([404, 405] if path == "/jobs" else []))
        return "look around"

    def _cancel(self) -> str:
        return self._change("cancel", "POST", "/jobs/{}/cancel")

    def _retry(self) -> str:
        return self._change("retry", "POST", "/jobs/{}/retry")

    def _delete_job(self) -> str:
        return self._change("delete", "DELETE", "/jobs/{}")

    def _change(self, name: str, method: str, path: str) -> str:
        """May come too late or too soon for the job: 409; or the job is gone: 404."""
        if job_id := self._any():
            answer = self._http.request(method, path.format(job_id))
            self._expect(name, answer, 200, 202, 204, 404, 409)
        return name

    def _any(self) -> str | None:
        return self._dice.choice(self._jobs) if self._jobs else None

    def _post(self, files: dict[str, Any], data: dict[str, str]) -> httpx.Response:
        return self._http.post("/transcribe", files=files, data=data)

    def _expect(self, name: str, answer: httpx.Response, *statuses: int) -> None:
        if answer.status_code not in statuses:
            self.trouble.append(f"{name}: answered {answer.status_code}")
