"""Kill -9 each process at each step of a job: every accepted upload ends finished, with its own words, once.

The other faults, at random moments: tests/test_chaos.py.
"""

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from conftest import DATA, MODEL
from steno.config import Settings
from steno.jobs.queue import JobQueue
from steno.jobs.record import TRANSCRIPT
from steno.redis_server import free_port
from steno.serve import Stack
from tests.processes import alive, engines, eventually

ROUNDS: Final = int(os.environ.get("TEST_ROUNDS", "20"))
NAMES: Final = ("exact-fr-5.flac", "exact-fr-4.mp3", "exact-de-6.wav", "exact-de-5.flac", "exact-en-6.flac")
STEPS: Final = ("uploading", "queued", "started", "transcribing", "over")


class Victims:
    """A stack whose processes can be killed, kept alive by its own supervision in a thread."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tend)

    def kill(self, name: str) -> bool:
        """Kill it if it is there to be killed."""
        pid = self._pid(name)
        if pid is None:
            return False
        os.kill(pid, signal.SIGKILL)
        return eventually(lambda: not alive(pid), 5)

    def _pid(self, name: str) -> int | None:
        worker, api = self.stack.children
        if name == "redis":
            return self.stack.redis.pid if self.stack.redis else None
        child = api if name == "api" else worker
        if not child.alive or child.process is None:
            return None
        if name == "engine":
            return next(iter(engines(child.process.pid)), None)
        return child.process.pid

    def _tend(self) -> None:
        while not self._over.wait(0.05):
            self.stack.revive()

    def __enter__(self) -> "Victims":
        self.stack.start()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self.stack.stop()


@pytest.fixture
def victims(model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Victims]:
    for name in ("REDIS_HOST", "REDIS_PORT", "UPLOAD_DIR"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("STENO_LOCAL_MODELS", f"faster-whisper:{MODEL}={model_dir}")
    monkeypatch.setenv("STENO_DEFAULT_MODEL", MODEL)
    monkeypatch.setenv("STENO_WORKER_TTL", "2")
    monkeypatch.setenv("STENO_MAX_ATTEMPTS", "1000")
    with Victims(Stack(Settings(), tmp_path, "127.0.0.1", free_port())) as made:
        yield made


class Sender:
    """A client that tries again until its upload is accepted; it counts only what was answered with 200."""

    def __init__(self, victims: Victims) -> None:
        self._url = victims.stack.url
        self._port = victims.stack.port
        self.victims = victims
        self.accepted: dict[str, str] = {}

    def upload(self, name: str) -> str:
        while True:
            try:
                with (DATA / name).open("rb") as file:
                    form: dict[str, Any] = {"files": {"file": (name, file)}, "data": {"engine": "faster-whisper"}}
                    answer = httpx.post(f"{self._url}/transcribe", **form, timeout=30)
            except httpx.HTTPError:
                time.sleep(0.05)
                continue
            if answer.status_code == 200:
                self.accepted[answer.json()["job_id"]] = name
                return str(answer.json()["job_id"])
            assert answer.status_code == 503, answer.text
            time.sleep(0.05)

    def half_an_upload(self, name: str, victim: str) -> None:
        """Send half a body, kill, and go away or be cut off."""
        body = (DATA / name).read_bytes()
        head = (
            f"POST /transcribe HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            f"Content-Length: {len(body) + 1000}\r\n\r\n--b\r\n"
            f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        )
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=5) as connection:
                connection.sendall(head.encode() + body[: len(body) // 2])
                time.sleep(0.05)
                self.victims.kill(victim)
        except OSError:
            self.victims.kill(victim)

    def status(self, job_id: str) -> dict[str, Any]:
        try:
            answer = httpx.get(f"{self._url}/status/{job_id}", timeout=10)
        except httpx.HTTPError:
            return {}
        assert answer.status_code in (200, 503), answer.text
        return dict(answer.json()) if answer.status_code == 200 else {}

    def reached(self, job_id: str, step: str) -> bool:
        status = self.status(job_id)
        return status.get("stage") == step or status.get("status") in (step, "finished", "failed")


@pytest.mark.timeout(600)
def test_every_accepted_upload_ends_finished_once(victims: Victims, truth: dict[str, Any]) -> None:
    sender, killed = Sender(victims), 0
    for number in range(ROUNDS):
        victim = ("api", "worker", "engine", "redis")[number % 4]
        step, name = STEPS[number // 4 % len(STEPS)], NAMES[number % len(NAMES)]
        if step == "uploading":
            sender.half_an_upload(name, victim)
            sender.upload(name)
            continue
        job_id = sender.upload(name)
        if step != "queued":
            eventually(lambda job_id=job_id, step=step: sender.reached(job_id, step), 20)  # type: ignore[misc]
        killed += victims.kill(victim)
    print(f"{ROUNDS} rounds, {killed} kills beside those in mid-upload, {len(sender.accepted)} uploads accepted")
    assert len(sender.accepted) == ROUNDS
    for job_id, name in sender.accepted.items():
        assert eventually(lambda job_id=job_id: sender.status(job_id).get("status") in ("finished", "failed"), 90)  # type: ignore[misc]
        status = sender.status(job_id)
        assert status["status"] == "finished", status
        assert re.findall(r"\w+", status["result"]["text"].lower()) == [w["word"] for w in truth[name]["words"]]
    leave_nothing_open(victims.stack)


def leave_nothing_open(stack: Stack) -> None:
    """No job is queued, watched or half written any more."""
    assert stack.redis
    queue = JobQueue(Settings(redis_url=stack.redis.url))
    assert eventually(lambda: not queue.unfinished())
    # A job that was handed out twice goes, too.
    assert eventually(lambda: queue.queue("faster-whisper").get_job_ids() == [])
    queue.redis.close()
    for folder in (stack.data_dir / "jobs").iterdir():
        # A record whose writer was killed is left to the janitor for an hour.
        names = sorted(path.name.partition(".")[0] for path in folder.iterdir() if not path.name.endswith(".part"))
        if (folder / TRANSCRIPT).exists():
            assert names == ["audio", "request", "transcript"]
