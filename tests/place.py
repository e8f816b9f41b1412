"""Storage and queue with a sweep over them, and no worker."""

import os
import time
import uuid

from steno.config import Settings
from steno.jobs.options import Options
from steno.jobs.queue import JobQueue
from steno.jobs.submit import Submission, submit
from steno.jobs.sweep import Sweep
from steno.storage import LocalStorage

OPTIONS = Options("pocketsphinx", "en-us")


class Place:
    """Jobs for pocketsphinx, which nobody takes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.storage = LocalStorage(settings.upload_dir)
        self.queue = JobQueue(settings)
        self.sweep = Sweep(settings, self.storage, self.queue)

    def submit(self) -> str:
        job_id = str(uuid.uuid4())
        upload = self.storage.create(job_id, "audio.wav")
        upload.write([memoryview(b"x")])
        submit(self.storage, self.queue, Submission(upload, job_id, "audio.wav", "a.wav", OPTIONS))
        return job_id

    def waiting(self) -> list[str]:
        return list(self.queue.queue("pocketsphinx").get_job_ids())

    def age(self, job_id: str, seconds: float) -> None:
        folder = self.settings.upload_dir / job_id
        then = time.time() - seconds
        for path in (*folder.iterdir(), folder):
            os.utime(path, (then, then))


def scan(place: Place) -> None:
    """A round that looks at all of storage, as one does every minute."""
    place.queue.redis.delete("steno:remembers")
    place.sweep.run()
