"""Jobs that are over, of which somebody wants to be told; and couriers that tell."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from redis import Redis

from steno.config import Settings
from steno.jobs.options import Options
from steno.jobs.record import REQUEST, TRANSCRIPT, JobRequest
from steno.storage import LocalStorage
from steno.webhooks.deliveries import Event, plan, read
from steno.webhooks.due import HELD, announce
from steno.webhooks.signing import new_secret
from tests.processes import eventually
from worker.courier import Courier

JOB: Final = "0f4ab783-a130-4bcd-a0ab-9ba6dcf84c3a"
SECRET: Final = new_secret()
PATIENCE: Final = 20.0
"""Seconds an attempt may take where its receiver answers."""


class Office:
    """Jobs that are over, and couriers; all couriers are stopped at the end."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self.settings = settings
        self.redis = redis
        self.storage = LocalStorage(settings.upload_dir)
        self.late = 0.0
        self.couriers: list[Courier] = []

    def clock(self) -> float:
        return time.time() + self.late

    def over(self, url: str, job_id: str = JOB) -> str:
        upload = self.storage.create(job_id, "audio.wav")
        upload.commit()
        plan(self.storage, job_id, url)
        request = JobRequest(
            job_id=job_id, options=Options("whisperx", "small"), filename="talk.wav", audio="audio.wav", size=4,
            created_at="2026-01-01T00:00:00Z",
        )  # fmt: skip
        self.storage.put(job_id, REQUEST, request.to_dict())
        self.storage.put(job_id, TRANSCRIPT, {"language": "en", "duration": 4.0})
        announce(self.storage, self.redis, job_id)
        return job_id

    def courier(self, settings: Settings | None = None, **more: Any) -> Courier:
        chosen = {"clock": self.clock, "attempt_seconds": PATIENCE, **more}
        self.couriers.append(Courier(settings or self.settings, self.storage, **chosen))
        self.couriers[-1].start()
        return self.couriers[-1]

    def event(self, job_id: str = JOB) -> Event | None:
        webhook = read(self.storage, job_id)
        return webhook.events[-1] if webhook and webhook.events else None

    def attempts(self, job_id: str = JOB) -> int:
        event = self.event(job_id)
        return len(event.attempts) if event else 0

    def state(self, job_id: str = JOB) -> str | None:
        event = self.event(job_id)
        return event.state if event else None

    def tried(self, times: int = 1, job_id: str = JOB) -> Event:
        """The event once it was tried so often and the lease is given back."""
        assert eventually(lambda: self.attempts(job_id) >= times and self.redis.zscore(HELD, job_id) is None)
        event = self.event(job_id)
        assert event is not None
        return event


def naming(*answers: Sequence[str]) -> Callable[[str, int], Any]:
    """A name server that gives one answer after the other, the last one for ever."""
    left = list(answers)

    async def answer(host: str, port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return answer
