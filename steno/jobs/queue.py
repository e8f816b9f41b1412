"""Jobs on RQ: three queues an engine, JSON on the wire, ids and small values only."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any, Final, cast

from redis import Redis
from redis.backoff import ConstantBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from rq import Queue
from rq.exceptions import DuplicateJobError, InvalidJobOperation, NoSuchJobError
from rq.executions import ExecutionRegistry
from rq.job import Job
from rq.registry import ScheduledJobRegistry
from rq.results import Result
from rq.serializers import JSONSerializer

from steno.config import Settings
from steno.engines import ENGINES
from steno.jobs import news, reuse
from steno.jobs.listing import INDEX, entered
from steno.jobs.record import PRIORITIES, JobRequest
from steno.jobs.state import CANCEL_FIELD, STATUS_FIELDS, JobState, described, parse_state, queue_name
from steno.webhooks import due

JOB_FUNCTION: Final = "worker.tasks.transcribe"
UNFINISHED: Final = "steno:unfinished"
"""Set of the ids that were accepted and are not over: what the sweep keeps an eye on."""

LONGEST_PAUSE: Final = 600.0
"""Seconds that a job waits at most between two attempts."""

DRIVER: Final = DriverInfo()
"""What Redis is told of its client. redis-py by itself would look it up in its package's files for every connection."""
_NO_TIME_LIMIT: Final = -1  # the worker keeps its own, scaled by the audio's length
_SOCKET_SECONDS: Final = 5.0
_TORN: Final = (NoSuchJobError, InvalidJobOperation, ResponseError, ValueError, KeyError, TypeError)
"""What RQ raises for a job that is gone, or goes at this moment, or of which a lost Redis left only a part."""
_SET_IF_THERE: Final = (
    "return redis.call('exists', KEYS[1]) == 1 and redis.call('hset', KEYS[1], ARGV[1], ARGV[2]) or 0"
)


def connect(settings: Settings) -> "Redis":
    """A Redis client that connects on first use and gives up within seconds, so that nothing hangs on a dead server."""
    retry = Retry(ConstantBackoff(0.1), 2)
    return Redis.from_url(
        settings.redis_address,
        socket_connect_timeout=_SOCKET_SECONDS,
        retry=retry,
        health_check_interval=30,
        driver_info=DRIVER,
    )


def job_key(job_id: str) -> str:
    """The Redis key of RQ's hash of a job."""
    return Job.key_for(job_id)


def paused(queue: Queue) -> ScheduledJobRegistry:
    """The jobs of a queue that wait for the time of their next attempt."""
    return ScheduledJobRegistry(queue=queue)  # type: ignore[no-untyped-call]


class JobQueue:
    """What API and worker do to RQ's queues. Blocking; every method may raise redis.exceptions.RedisError."""

    def __init__(self, settings: Settings, redis: "Redis | None" = None) -> None:
        self.redis = redis if redis is not None else connect(settings)
        self._keep = settings.retention_seconds
        self._queues: dict[str, Queue] = {}

    def queue(self, engine: str, priority: str = "normal") -> Queue:
        name = queue_name(engine, priority)
        if name not in self._queues:
            self._queues[name] = Queue(
                name, connection=self.redis, serializer=JSONSerializer, default_timeout=_NO_TIME_LIMIT
            )
        return self._queues[name]

    def all_queues(self) -> Iterator[Queue]:
        """Every queue that a job of Steno may be in."""
        for engine in ENGINES:
            for priority in PRIORITIES:
                yield self.queue(engine, priority)

    def enqueue(self, request: JobRequest) -> bool:
        """Put a job in its queue; False if RQ knows the job already, in which case nothing changes.

        Marked unfinished first: if this process dies between the two steps, the sweep finds the job.
        """
        self.redis.sadd(UNFINISHED, request.job_id)
        self.index(request.job_id, request.created_at)
        keep = request.keep_seconds(self._keep)
        try:
            self._queue_of(request).enqueue(
                JOB_FUNCTION,
                request.job_id,
                job_id=request.job_id,
                unique=True,
                result_ttl=keep,
                failure_ttl=keep,
                description=f"transcribe {request.job_id} with {request.options.engine}",
                meta=described(request),
            )
        except DuplicateJobError:
            return False
        return True

    def requeue(self, request: JobRequest, afresh: bool = False) -> None:
        """Queue a job again, whatever RQ remembers of it but its `meta`. Safe only for one that no worker holds.

        `afresh`, as if it had never been tried.
        """
        queue = self._queue_of(request)
        try:
            job = Job.fetch(request.job_id, connection=self.redis, serializer=JSONSerializer)
        except _TORN:
            self.redis.delete(job_key(request.job_id))
            self.enqueue(request)
            return
        queue.remove(job)
        self.redis.lrem(queue.intermediate_queue_key, 0, job.id)  # where RQ may have left it, too
        paused(queue).remove(job)
        self.redis.hdel(job_key(job.id), CANCEL_FIELD)
        if afresh:
            job.meta = described(request)
            job.started_at = job.ended_at = None
        self.redis.sadd(UNFINISHED, job.id)
        queue.enqueue_job(job, at_front=not afresh)  # what was lost has waited already

    def release_due(self) -> list[str]:
        """Queue the jobs whose pause before another attempt is over, or longer than any: then a clock was set back.

        Returns their ids.
        """
        now, released = time.time(), list[str]()
        for queue in self.all_queues():
            key = paused(queue).key
            rows = cast("list[tuple[bytes, float]]", self.redis.zrange(key, 0, -1, withscores=True))
            for member, moment in rows:
                # Whoever removed it queues it; one who is killed in between leaves it to the sweep.
                if not now < moment <= now + LONGEST_PAUSE and self.redis.zrem(key, member):
                    self._release(queue, member.decode())
                    released.append(member.decode())
        return released

    def _release(self, queue: Queue, job_id: str) -> None:
        with contextlib.suppress(*_TORN):  # nothing to queue: the sweep finds it in no place
            queue.enqueue_job(Job.fetch(job_id, connection=self.redis, serializer=JSONSerializer))

    def withdraw(self, job_id: str) -> None:
        """Take a job out of the queue it waits in, if it does."""
        with contextlib.suppress(*_TORN):
            job = Job.fetch(job_id, connection=self.redis, serializer=JSONSerializer)
            queue = Queue(job.origin, connection=self.redis, serializer=JSONSerializer)
            self.redis.lrem(queue.key, 0, job_id)
            self.redis.zrem(paused(queue).key, job_id)

    def flag_canceled(self, job_id: str) -> None:
        """Tell the worker that has the job, and whoever asks, that it is canceled. Nothing happens where RQ has no such job."""
        self.redis.eval(_SET_IF_THERE, 1, job_key(job_id), CANCEL_FIELD, "1")

    def is_flagged(self, job_id: str) -> bool:
        """Whether the job is to stop."""
        return bool(self.redis.hexists(job_key(job_id), CANCEL_FIELD))

    def let_go(self, job_id: str) -> None:
        """Take a job from its queue, or tell the worker that has it, which will forget it when it has let go."""
        state = self.state(job_id)
        self.flag_canceled(job_id)
        self.withdraw(job_id)
        if state is None or not state.held:
            self.forget(job_id)

    def state(self, job_id: str) -> JobState | None:
        """Where a job is by RQ's account; None if it knows of none."""
        return parse_state(self.redis.hmget(job_key(job_id), STATUS_FIELDS))

    def index(self, job_id: str, created_at: str) -> None:
        """Have the job listed, by the moment (ISO 8601) it was accepted."""
        self.redis.zadd(INDEX, {job_id: entered(created_at)})

    def wipe(self, job_id: str) -> None:
        """The job is deleted: all that is known of it but what RQ and the sweep know goes, and whoever listens is told."""
        self.redis.zrem(INDEX, job_id)
        reuse.forget(self.redis, job_id)
        due.forget(self.redis, job_id)
        news.forget(self.redis, job_id)

    def forget(self, job_id: str) -> None:
        """Remove what RQ and the sweep know of a job: from now on storage alone answers for it. It stays listed."""
        self.settle(job_id)
        try:
            Job.fetch(job_id, connection=self.redis, serializer=JSONSerializer).delete()
        except _TORN:
            left = ExecutionRegistry(job_id, self.redis).key, Result.get_key(job_id)  # type: ignore[no-untyped-call]
            self.redis.delete(job_key(job_id), *left)

    def erase(self, job_id: str) -> None:
        """Remove every trace of a job from Redis."""
        self.forget(job_id)
        self.wipe(job_id)

    def unfinished(self) -> set[str]:
        """Ids of the jobs that the sweep watches."""
        members: set[Any] = self.redis.smembers(UNFINISHED)
        return {member.decode() for member in members}

    def settle(self, job_id: str) -> None:
        """The job is over and its record is in storage: the sweep may stop watching it."""
        self.redis.srem(UNFINISHED, job_id)

    def _queue_of(self, request: JobRequest) -> Queue:
        return self.queue(request.options.engine, request.priority)


__all__ = ["DRIVER", "LONGEST_PAUSE", "UNFINISHED", "JobQueue", "RedisError", "connect", "job_key"]
