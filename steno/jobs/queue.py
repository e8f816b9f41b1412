"""Jobs on RQ: one queue an engine, JSON on the wire, ids and small values only."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from rq import Queue
from rq.exceptions import DuplicateJobError, NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from steno.config import Settings
from steno.jobs.record import JobRequest, Status

JOB_FUNCTION: Final = "worker.tasks.transcribe"
UNFINISHED: Final = "steno:unfinished"
"""Set of the ids that were accepted and are neither finished nor failed: what the sweep keeps an eye on."""
STATUS_FIELDS: Final = ("status", "meta", "origin", "enqueued_at", "started_at", "ended_at")
"""The fields of RQ's job hash that tell where a job is."""

_NO_TIME_LIMIT: Final = -1  # the worker keeps its own, scaled by the audio's length
_QUEUE_PREFIX: Final = "steno-"
_SOCKET_SECONDS: Final = 5.0


def connect(settings: Settings) -> "Redis":
    """A Redis client that connects on first use and gives up within seconds, so that nothing hangs on a dead server."""
    retry = Retry(ConstantBackoff(0.1), 2)
    return Redis.from_url(
        settings.redis_address, socket_connect_timeout=_SOCKET_SECONDS, retry=retry, health_check_interval=30
    )


def queue_name(engine: str) -> str:
    return _QUEUE_PREFIX + engine


def engine_of_queue(name: str) -> str:
    return name.removeprefix(_QUEUE_PREFIX)


def job_key(job_id: str) -> str:
    """The Redis key of RQ's hash of a job."""
    return Job.key_for(job_id)


class JobQueue:
    """What API and worker do to RQ's queues. Blocking; every method may raise redis.exceptions.RedisError."""

    def __init__(self, settings: Settings, redis: "Redis | None" = None) -> None:
        self.redis = redis if redis is not None else connect(settings)
        self._keep = settings.retention_seconds
        self._queues: dict[str, Queue] = {}

    def queue(self, engine: str) -> Queue:
        if engine not in self._queues:
            self._queues[engine] = Queue(
                queue_name(engine),
                connection=self.redis,
                serializer=JSONSerializer,
                default_timeout=_NO_TIME_LIMIT,
            )
        return self._queues[engine]

    def enqueue(self, request: JobRequest) -> bool:
        """Put a job in its engine's queue; False if RQ knows the job already, in which case nothing changes.

        Marked unfinished first: if this process dies between the two steps, the sweep finds the job.
        """
        self.redis.sadd(UNFINISHED, request.job_id)
        try:
            self.queue(request.options.engine).enqueue(
                JOB_FUNCTION,
                request.job_id,
                job_id=request.job_id,
                unique=True,
                result_ttl=self._keep,
                failure_ttl=self._keep,
                description=f"transcribe {request.job_id} with {request.options.engine}",
            )
        except DuplicateJobError:
            return False
        return True

    def requeue(self, request: JobRequest) -> None:
        """Queue a job afresh, whatever RQ remembers of it but its `meta`. Safe only for one that no worker holds."""
        queue = self.queue(request.options.engine)
        try:
            job = Job.fetch(request.job_id, connection=self.redis, serializer=JSONSerializer)
        except (NoSuchJobError, ValueError, KeyError, TypeError):  # gone, or a torn hash left by a lost Redis
            self.redis.delete(job_key(request.job_id))
            self.enqueue(request)
        else:
            queue.remove(job)
            self.redis.lrem(queue.intermediate_queue_key, 0, job.id)  # where RQ may have left it, too
            queue.enqueue_job(job)

    def forget(self, job_id: str) -> None:
        """Remove every trace of a job from Redis."""
        self.settle(job_id)
        try:
            Job.fetch(job_id, connection=self.redis, serializer=JSONSerializer).delete()
        except (NoSuchJobError, ResponseError, ValueError, KeyError, TypeError):
            self.redis.delete(job_key(job_id))

    def unfinished(self) -> set[str]:
        """Ids of the jobs that the sweep watches."""
        return {_text(job_id) or "" for job_id in self.redis.smembers(UNFINISHED)}

    def settle(self, job_id: str) -> None:
        """The job is finished or failed and its record is in storage: the sweep may stop watching it."""
        self.redis.srem(UNFINISHED, job_id)


@dataclass(frozen=True)
class JobState:
    """Where a job is by RQ's account. Times are ISO 8601 or None, `progress` is 0 to 1."""

    status: Status
    engine: str
    stage: str
    progress: float
    attempts: int
    enqueued_at: str | None
    started_at: str | None
    ended_at: str | None


_STATUSES: Final = {
    b"finished": Status.FINISHED,
    b"failed": Status.FAILED,
    b"stopped": Status.FAILED,
    b"canceled": Status.FAILED,
    b"started": Status.STARTED,
}


def parse_state(values: Sequence[Any]) -> JobState | None:
    """The values of STATUS_FIELDS as read from Redis; None where there is no such job, or only a torn one."""
    status, meta, origin, enqueued_at, started_at, ended_at = values
    if status is None or origin is None:
        return None
    told = _parse_meta(meta)
    return JobState(
        status=_STATUSES.get(status, Status.QUEUED),
        engine=engine_of_queue(origin.decode()),
        stage=str(told.get("stage", "queued")),
        progress=float(told.get("progress", 0.0)),
        attempts=int(told.get("attempts", 0)),
        enqueued_at=_text(enqueued_at),
        started_at=_text(started_at),
        ended_at=_text(ended_at),
    )


def _parse_meta(meta: bytes | None) -> dict[str, Any]:
    if not meta:
        return {}
    told = json.loads(meta)
    return told if isinstance(told, dict) else {}


def _text(value: Any) -> str | None:
    return value.decode() if value else None


__all__ = [
    "STATUS_FIELDS", "UNFINISHED", "JobQueue", "JobState", "RedisError", "connect", "job_key",
    "parse_state", "queue_name",
]  # fmt: skip
