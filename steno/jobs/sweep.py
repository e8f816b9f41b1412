"""What keeps the promise that no accepted job is lost: storage is the truth, and the sweep makes Redis agree with it.

A job is unfinished while its folder has a request and neither transcript nor error. Every unfinished job must wait in a
queue or be held by a live worker; one that does neither is queued again. This one rule covers a killed worker, a job
popped by a worker that died before it began, an API killed between request and queue, and a Redis that came back empty.
Any number of machines may sweep at once: a lock elects one, and of a job that runs twice the first result stays.
"""

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final

from redis.exceptions import LockError, RedisError
from rq.executions import Execution
from rq.registry import FailedJobRegistry, FinishedJobRegistry, StartedJobRegistry
from rq.worker_registration import clean_worker_registry

from steno.config import DAY, Settings
from steno.jobs import news
from steno.jobs.errors import JobError, Unforeseen, WorkerDied
from steno.jobs.janitor import Janitor
from steno.jobs.queue import JobQueue, job_key, paused
from steno.jobs.record import CANCELED, ERROR, REQUEST, TRANSCRIPT, JobRequest, Status, error_record, outcome
from steno.jobs.settle import tell_over
from steno.jobs.state import JobState
from steno.storage import Storage

log = logging.getLogger(__name__)

_SCAN_SECONDS: Final = 60
_LOCK: Final = "steno:sweep"
_LOCK_SECONDS: Final = 5.0
_REMEMBERS: Final = "steno:remembers"
"""Lives until storage is to be read again; gone before, Redis lost its memory and storage must be read at once."""
_TRIED: Final = (Status.STARTED, Status.FAILED)
"""What RQ says of a job that was begun and is not over: its worker died, or could not even store why it failed."""


class Sweep:
    """Call `run` every few seconds, from one thread a process."""

    def __init__(self, settings: Settings, storage: Storage, queue: JobQueue) -> None:
        self._settings = settings
        self._storage = storage
        self._queue = queue
        self._janitor = Janitor(settings, storage, queue)
        self._missed: set[str] = set()
        self._lock = self._queue.redis.lock(_LOCK, timeout=_LOCK_SECONDS, blocking=False)
        self._renew = 0.0

    def run(self) -> None:
        """One round, unless another process is at it. Raises redis.exceptions.RedisError."""
        if not self._lock.acquire():
            return
        self._renew = 0.0
        try:
            self._scan_storage()
            for job_id in self._queue.release_due():
                self._guarded(self._withdraw_if_unwanted, job_id)
            self._requeue_lost()
        finally:
            with contextlib.suppress(LockError):
                self._lock.release()

    def _scan_storage(self) -> None:
        redis = self._queue.redis
        if redis.exists(_REMEMBERS):
            return
        self._janitor.begin()
        for job_id in self._storage.job_ids():
            self._guarded(self._janitor.look_at, job_id)
        for job_id in self._janitor.missing():
            self._guarded(self._janitor.forget, job_id)
        for queue in self._queue.all_queues():
            for registry in (FinishedJobRegistry, FailedJobRegistry):
                registry(queue=queue).cleanup()
            clean_worker_registry(queue)
        redis.set(_REMEMBERS, 1, ex=_SCAN_SECONDS)

    def _requeue_lost(self) -> None:
        """Queue again what is nowhere, or held by a silent worker, both now and a round ago.

        The second look is because a job is in no place for a moment while it moves from one to the next, and because
        after an outage of Redis every heartbeat is old until the workers have beaten once.
        """
        unfinished = self._queue.unfinished()
        accounted = self._whereabouts()
        lost = unfinished - accounted
        found = lost & self._missed
        for job_id in found:
            self._guarded(self._bring_back, job_id)
        self._missed = lost - found

    def _whereabouts(self) -> set[str]:
        """Ids that wait in a queue or for their next attempt, or are held by a live worker."""
        accounted: set[str] = set()
        now = time.time()
        for queue in self._queue.all_queues():
            accounted.update(queue.get_job_ids())
            accounted.update(paused(queue).get_job_ids(cleanup=False))
            registry = StartedJobRegistry(queue=queue)
            for job_id, execution_id in registry.get_job_and_execution_ids(cleanup=False):
                # Not the registry's score: that is a moment by the worker's clock, which may have been set since.
                if self._queue.redis.exists(Execution(execution_id, job_id, self._queue.redis).key):
                    accounted.add(job_id)
                elif not self._queue.redis.exists(job_key(job_id)):  # deleted, after its worker had died
                    self._queue.redis.zrem(registry.key, f"{job_id}:{execution_id}")
            self._queue.redis.zremrangebyscore(registry.key, 0, now - DAY)  # not at once: a heartbeat may yet revive it
        return accounted

    def _guarded(self, work: Callable[[str], None], job_id: str) -> None:
        """One job's trouble is no other's; and the lock is kept as long as the work goes on."""
        if time.monotonic() > self._renew:
            self._lock.reacquire()
            self._renew = time.monotonic() + _LOCK_SECONDS / 4
        try:
            work(job_id)
        except RedisError:
            raise
        except Exception:
            log.exception("Job %s could not be looked after", job_id, extra={"action": "sweep_failed"})

    def _bring_back(self, job_id: str) -> None:
        """Queue a lost job again, or make Redis agree that it is over."""
        try:
            data = self._storage.get(job_id, REQUEST)
            request = None if data is None else JobRequest.from_dict(data)
        except (ValueError, KeyError, TypeError):
            unread = Unforeseen("The job's request in storage cannot be read; upload the recording again.")
            self._fail(job_id, unread, self._queue.state(job_id))
            return
        state, ended = self._queue.state(job_id), outcome(self._storage, job_id)
        afresh = request is not None and state is not None and state.about.get("run", 0) != request.run
        if request is None:
            self._queue.erase(job_id)
        elif ended in (Status.FAILED, Status.CANCELED):
            self._queue.forget(job_id)  # from now on storage alone answers for it
            news.state_changed(self._queue.redis, job_id, over=True)
        elif ended is Status.FINISHED and state is not None and state.status is Status.FINISHED:
            self._queue.settle(job_id)
            news.state_changed(self._queue.redis, job_id, over=True)
        elif state and not afresh and state.status in _TRIED and state.attempts >= self._settings.max_attempts:
            times = f"all {state.attempts} times it was tried"
            died = WorkerDied(f"The worker died in the middle of the job, {times}.")
            self._fail(job_id, died if state.status is Status.STARTED else Unforeseen(), state, request.run)
        else:
            log.warning(
                "Job %s was in no queue and no worker's hands; queued again", job_id, extra={"action": "job_requeued"}
            )
            self._queue.requeue(request, afresh)  # a retry that broke off half-way begins afresh, as it should have
            news.state_changed(self._queue.redis, job_id)
            self._withdraw_if_unwanted(job_id)

    def _withdraw_if_unwanted(self, job_id: str) -> None:
        """Of a job just queued: it may have been canceled or deleted between the look and the queueing."""
        if not self._storage.has(job_id, REQUEST) or self._storage.has(job_id, CANCELED):
            self._queue.let_go(job_id)

    def _fail(self, job_id: str, error: JobError, state: JobState | None, run: int = 0) -> None:
        if not self._storage.has(job_id, TRANSCRIPT):
            log.error("Job %s failed: %s", job_id, error, extra={"action": "job_failed"})
            history = state.history if state else {"attempts": 0}
            self._storage.put(job_id, ERROR, error_record(error.code, str(error), run=run, **history))
        self._queue.forget(job_id)
        tell_over(self._storage, self._queue.redis, job_id)
