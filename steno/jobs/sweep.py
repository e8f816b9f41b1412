"""What keeps the promise that no accepted job is lost: storage is the truth, and the sweep makes Redis agree with it.

A job is unfinished while its folder has a request and neither transcript nor error. Every unfinished job must wait in a
queue or be held by a live worker; one that does neither is queued again. This one rule covers a killed worker, a job
popped by a worker that died before it began, an API killed between request and queue, and a Redis that came back empty.
Any number of machines may sweep at once: a lock elects one, and a job that runs twice writes the same files.
"""

import contextlib
import logging
import time
from typing import Final

from redis.exceptions import LockError
from rq.registry import FailedJobRegistry, FinishedJobRegistry, StartedJobRegistry

from steno.config import Settings
from steno.engines import ENGINES
from steno.jobs.errors import WorkerDied
from steno.jobs.queue import STATUS_FIELDS, UNFINISHED, JobQueue, job_key, parse_state
from steno.jobs.record import ERROR, REQUEST, TRANSCRIPT, JobRequest, Status, error_record
from steno.storage import Storage

log = logging.getLogger(__name__)

ORPHAN_SECONDS: Final = 3600.0
"""A folder without a request in which nothing was written for so long is the rest of an upload whose API died."""
_SCAN_SECONDS: Final = 60.0
_LOCK: Final = "steno:sweep"
_LOCK_SECONDS: Final = 60.0
_REMEMBERS: Final = "steno:remembers"
"""A key without expiry: if it is gone, Redis lost its memory and storage must be read at once."""


class Sweep:
    """Call `run` every few seconds, from one thread a process."""

    def __init__(self, settings: Settings, storage: Storage, queue: JobQueue) -> None:
        self._settings = settings
        self._storage = storage
        self._queue = queue
        self._missed: set[str] = set()
        self._next_scan = 0.0

    def run(self) -> None:
        """One round, unless another process is at it. Raises redis.exceptions.RedisError."""
        lock = self._queue.redis.lock(_LOCK, timeout=_LOCK_SECONDS, blocking=False)
        if not lock.acquire():
            return
        try:
            self._scan_storage()
            self._requeue_lost()
        finally:
            with contextlib.suppress(LockError):
                lock.release()

    def _scan_storage(self) -> None:
        redis = self._queue.redis
        remembers = redis.exists(_REMEMBERS)
        if remembers and time.monotonic() < self._next_scan:
            return
        for job_id in self._storage.job_ids():
            self._look_at(job_id)
        for engine in ENGINES:
            for registry in (FinishedJobRegistry, FailedJobRegistry):
                registry(queue=self._queue.queue(engine)).cleanup()
        redis.set(_REMEMBERS, 1)
        self._next_scan = time.monotonic() + _SCAN_SECONDS

    def _look_at(self, job_id: str) -> None:
        """File one folder: forget an old one, remove an orphan, watch an unfinished one."""
        storage = self._storage
        if storage.has(job_id, TRANSCRIPT) or storage.has(job_id, ERROR):
            if storage.idle_seconds(job_id) > self._settings.retention_seconds:
                self._queue.forget(job_id)
                storage.delete(job_id)
        elif storage.has(job_id, REQUEST):
            self._queue.redis.sadd(UNFINISHED, job_id)
        elif storage.idle_seconds(job_id) > ORPHAN_SECONDS:
            storage.delete(job_id)

    def _requeue_lost(self) -> None:
        """Queue again what a silent worker held, and what is nowhere both now and a round ago.

        The second look is because a job is in no place for a moment while it moves from one to the next.
        """
        unfinished = self._queue.unfinished()
        accounted, silent = self._whereabouts()
        lost = unfinished - accounted
        found = lost & (self._missed | silent)
        for job_id in found:
            self._bring_back(job_id)
        self._missed = lost - found

    def _whereabouts(self) -> tuple[set[str], set[str]]:
        """Ids that wait in a queue or are held by a live worker; ids held by one whose heartbeat ran out."""
        accounted: set[str] = set()
        silent: set[str] = set()
        now = time.time()
        for engine in ENGINES:
            queue = self._queue.queue(engine)
            accounted.update(queue.get_job_ids())
            registry = StartedJobRegistry(queue=queue)
            for job_id, execution_id in registry.get_job_and_execution_ids(cleanup=False):
                expiry = self._queue.redis.zscore(registry.key, f"{job_id}:{execution_id}") or 0.0
                (accounted if expiry > now else silent).add(job_id)
            self._queue.redis.zremrangebyscore(registry.key, 0, now)
        return accounted, silent

    def _bring_back(self, job_id: str) -> None:
        """Queue a lost job again, or make Redis agree that it is over."""
        data = self._storage.get(job_id, REQUEST)
        state = parse_state(self._queue.redis.hmget(job_key(job_id), STATUS_FIELDS))
        finished = state is not None and state.status is Status.FINISHED
        if data is None or self._storage.has(job_id, ERROR):
            self._queue.forget(job_id)  # from now on storage alone answers for it
        elif finished and self._storage.has(job_id, TRANSCRIPT):
            self._queue.settle(job_id)
        elif state and state.status is Status.STARTED and state.attempts >= self._settings.max_attempts:
            self._give_up(job_id, state.attempts)
        else:
            log.warning("Job %s was lost by its worker; queued again", job_id, extra={"action": "job_requeued"})
            self._queue.requeue(JobRequest.from_dict(data))

    def _give_up(self, job_id: str, attempts: int) -> None:
        if not self._storage.has(job_id, TRANSCRIPT):
            log.error("Job %s failed: its worker died %d times", job_id, attempts, extra={"action": "job_failed"})
            error = WorkerDied(f"The worker died in the middle of the job, all {attempts} times it was tried.")
            self._storage.put(job_id, ERROR, error_record(error.code, str(error), attempts))
        self._queue.forget(job_id)
