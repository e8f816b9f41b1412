"""Jobs for a real worker process, without HTTP."""

import re
import subprocess
import uuid
from collections.abc import Callable
from typing import Any

from conftest import DATA
from steno.config import Settings
from steno.jobs.options import Options, resolve
from steno.jobs.queue import JobQueue
from steno.jobs.record import ERROR, REQUEST, TRANSCRIPT, Handling, JobRequest, Status, outcome
from steno.jobs.state import JobState
from steno.jobs.submit import Submission, submit
from steno.storage import LocalStorage
from tests.processes import engines, eventually

StartWorker = Callable[..., "subprocess.Popen[bytes]"]


class Bench:
    """Puts recordings in and looks what became of them, without HTTP."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.storage = LocalStorage(settings.upload_dir)
        self.queue = JobQueue(settings)

    def submit(self, name: str, options: Options | None = None, content: bytes | None = None, **handling: Any) -> str:
        job_id = str(uuid.uuid4())
        upload = self.storage.create(job_id, f"audio.{name.rpartition('.')[2]}")
        upload.write([memoryview((DATA / name).read_bytes() if content is None else content)])
        chosen = options or resolve(self.settings, "faster-whisper", None, None)
        audio = f"audio.{name.rpartition('.')[2]}"
        submit(self.storage, self.queue, Submission(upload, job_id, audio, name, chosen, Handling(**handling)))
        return job_id

    def state(self, job_id: str) -> JobState | None:
        return self.queue.state(job_id)

    def started(self, job_id: str) -> bool:
        state = self.state(job_id)
        return state is not None and state.status is Status.STARTED

    def over(self, job_id: str) -> bool:
        return outcome(self.storage, job_id) is not None

    def request(self, job_id: str) -> JobRequest:
        return JobRequest.from_dict(self.storage.get(job_id, REQUEST) or {})

    def words(self, job_id: str) -> list[str]:
        transcript = self.storage.get(job_id, TRANSCRIPT)
        assert transcript is not None, self.storage.get(job_id, ERROR)
        return re.findall(r"\w+", transcript["text"].lower())

    def error(self, job_id: str) -> dict[str, Any]:
        error = self.storage.get(job_id, ERROR)
        assert error is not None
        return error


def engine_of(worker: "subprocess.Popen[bytes]") -> int:
    assert eventually(lambda: engines(worker.pid))
    return engines(worker.pid)[0]


def known(truth: dict[str, Any], name: str) -> list[str]:
    return [word["word"] for word in truth[name]["words"]]
