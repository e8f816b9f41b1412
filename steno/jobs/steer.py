"""What may be done to a job that was accepted: cancel it, try it again, delete it. One at a time for each job."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from redis.exceptions import LockError

from steno.jobs import news
from steno.jobs.queue import JobQueue
from steno.jobs.record import (
    CANCELED,
    MOVES,
    OUTCOMES,
    REQUEST,
    JobRequest,
    Status,
    canceled_record,
    outcome,
)
from steno.jobs.settle import tell_over
from steno.storage import Storage

_LOCK: Final = "steno:steering:"
_LOCK_SECONDS: Final = 30.0
_PATIENCE_SECONDS: Final = 5.0


class NoSuchJob(Exception):
    """There is no job of that id."""


class MoveRefused(Exception):
    """The job is where it cannot be moved from; the message says so in a sentence."""


class StillHeld(MoveRefused):
    """A worker still has the job, for a second or two: ask again."""


def cancel(storage: Storage, queue: JobQueue, job_id: str) -> None:
    """Stop a job: one that waits at once, one that runs as soon as its worker looks up (half a second).

    Canceling twice is no error. Raises NoSuchJob, MoveRefused, RedisError, StorageFull.
    """
    with alone(queue, job_id):
        request = _known(storage, job_id)
        ended = outcome(storage, job_id)
        if ended in (Status.FINISHED, Status.FAILED):
            raise MoveRefused(f"The job is {ended} already; there is nothing to cancel.")
        if ended is None:
            state = queue.state(job_id)
            storage.put(job_id, CANCELED, canceled_record(request.run, **(state.history if state else {})))
        queue.let_go(job_id)
        tell_over(storage, queue.redis, job_id)


def retry(storage: Storage, queue: JobQueue, job_id: str) -> JobRequest:
    """Queue a failed or canceled job once more, as if it had never been tried; the recording is still there.

    Raises NoSuchJob, MoveRefused, StillHeld, RedisError, StorageFull.
    """
    with alone(queue, job_id):
        request = _known(storage, job_id)
        ended, state = outcome(storage, job_id), queue.state(job_id)
        if ended is None or Status.QUEUED not in MOVES[ended]:
            raise MoveRefused(f"The job is {ended or 'not over'}; only a failed or canceled one can be retried.")
        if state is not None and state.held:
            raise StillHeld("A worker is just letting go of the job; try again in some seconds.")
        if not storage.has(job_id, request.audio):
            raise MoveRefused("The recording is no longer kept; upload it again.")
        again = replace(request, run=request.run + 1)
        storage.put(job_id, REQUEST, again.to_dict())
        for record in reversed(OUTCOMES):  # the one that counts last, or what it outweighed would count for a moment
            storage.remove(job_id, record)
        queue.requeue(again, afresh=True)
        news.forget(queue.redis, job_id)
        return again


def delete(storage: Storage, queue: JobQueue, job_id: str) -> None:
    """Remove a job with every byte of it; one that runs is canceled, too. Raises NoSuchJob, RedisError, OSError."""
    with alone(queue, job_id):
        known = storage.has(job_id, REQUEST) or outcome(storage, job_id) is not None
        if known:
            storage.delete(job_id)  # first: whoever takes the job from the queue now finds nothing to do
        queue.let_go(job_id)
        queue.wipe(job_id)
        if not known:
            raise NoSuchJob


def _known(storage: Storage, job_id: str) -> JobRequest:
    try:
        data = storage.get(job_id, REQUEST)
        if data is None:
            raise NoSuchJob
        return JobRequest.from_dict(data)
    except (ValueError, KeyError, TypeError) as error:
        raise MoveRefused("The job's request in storage cannot be read; upload the recording again.") from error


@contextlib.contextmanager
def alone(queue: JobQueue, job_id: str, patience: float = _PATIENCE_SECONDS) -> Iterator[None]:
    """Two who steer the same job do so one after the other. Raises StillHeld where that takes longer, RedisError."""
    lock = queue.redis.lock(_LOCK + job_id, timeout=_LOCK_SECONDS, blocking_timeout=patience)
    if not lock.acquire():
        raise StillHeld("Somebody else is changing this job just now; try again in some seconds.")
    try:
        yield
    finally:
        with contextlib.suppress(LockError):
            lock.release()
