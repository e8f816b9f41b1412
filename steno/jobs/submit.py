"""The one way in: every door ends here with a recording already in storage and options already checked."""

import contextlib
import uuid
from dataclasses import asdict, dataclass, replace
from typing import Final

from steno.jobs import reuse
from steno.jobs.options import Options
from steno.jobs.queue import JobQueue, RedisError
from steno.jobs.record import REQUEST, RETENTION, TRANSCRIPT, Handling, JobRequest, utc_now
from steno.jobs.settle import tell_over
from steno.storage import JobExists, Storage, Upload
from steno.webhooks.deliveries import plan

_KEYS: Final = uuid.UUID("5f0b5d1e-6f0c-4d4f-9f0e-2b8a52b7f6a1")
"""Namespace of the job ids that come of an Idempotency-Key."""


class KeyReused(Exception):
    """The Idempotency-Key came with another recording or other fields before."""


@dataclass(frozen=True)
class Submission:
    """A recording that arrived whole, with all that was asked. `audio` is its name inside the job's folder.

    One that is `resumable` belongs to somebody who will submit it again if this time fails, under the same id.
    """

    upload: Upload
    job_id: str
    audio: str
    filename: str
    options: Options
    handling: Handling = Handling()  # noqa: RUF009 - frozen
    resumable: bool = False


@dataclass(frozen=True)
class Accepted:
    """The job; `replayed` if it is that of an earlier request with the same key."""

    request: JobRequest
    replayed: bool = False


def keyed_job_id(key: str) -> str:
    """The id of the job that a request with this Idempotency-Key makes: always the same, so that storage itself knows the key."""
    return str(uuid.uuid5(_KEYS, key))


def submit(storage: Storage, queue: JobQueue, sent: Submission, key: str | None = None) -> Accepted:
    """Make an upload a job: sync and rename the recording, write the request, enqueue; in that order.

    When this returns, the job survives the death of any process and of Redis. When it raises (KeyReused, StorageFull,
    RedisError, OSError), nothing of the upload is left; of a resumable one all of it is, and perhaps its request, which the
    sweep will queue. With a `key` (an Idempotency-Key, of which the caller sees to it
    that no other request works on it), a request that was accepted before is answered with its job.
    """
    try:
        digest = sent.upload.digest() if key is not None or sent.handling.reuse else ""
        fingerprint = None if key is None else _fingerprint(sent, digest)
        if key is not None:
            sent = _claimed(storage, sent, keyed_job_id(key))
            if (earlier := storage.get(sent.job_id, REQUEST)) is not None:
                return _replayed(JobRequest.from_dict(earlier), sent, fingerprint)
        twin = reuse.find(queue.redis, storage, digest, sent.options) if sent.handling.reuse else None
        return Accepted(_submitted(storage, queue, sent, fingerprint, twin))
    except BaseException:
        if not sent.resumable:
            sent.upload.discard()
        raise


def _claimed(storage: Storage, sent: Submission, job_id: str) -> Submission:
    """The submission under its key's id; its upload has moved there, but where a job is there already."""
    if not storage.has(job_id, REQUEST):
        storage.delete(job_id)  # what a request that died left behind
        with contextlib.suppress(JobExists):
            sent.upload.move_to(job_id)
    return replace(sent, job_id=job_id)


def _replayed(earlier: JobRequest, sent: Submission, fingerprint: str | None) -> Accepted:
    if earlier.fingerprint != fingerprint:
        raise KeyReused
    sent.upload.discard()
    return Accepted(earlier, replayed=True)


def _submitted(
    storage: Storage, queue: JobQueue, sent: Submission, fingerprint: str | None, twin: str | None
) -> JobRequest:
    """`twin` is the job whose transcript answers this one, if there is one."""
    job_id, handling = sent.job_id, sent.handling
    request = JobRequest(
        job_id=job_id,
        options=sent.options,
        filename=sent.filename,
        audio=sent.audio,
        size=sent.upload.size,
        created_at=utc_now(),
        reused_from=twin,
        fingerprint=fingerprint,
        **asdict(handling),
    )
    try:
        sent.upload.commit()
        if (retention := handling.retention()) is not None:
            storage.put(job_id, RETENTION, retention)
        if handling.callback_url is not None:
            plan(storage, job_id, handling.callback_url)
        storage.put(job_id, REQUEST, request.to_dict())
        if twin is None or not _answered(storage, queue, request, twin):
            queue.enqueue(request)
    except BaseException:
        if not sent.resumable:
            # Storage first: a worker that was handed the job all the same finds nothing and lets it go.
            sent.upload.discard()
            with contextlib.suppress(RedisError):
                queue.erase(job_id)
        raise
    return request


def _answered(storage: Storage, queue: JobQueue, request: JobRequest, twin: str) -> bool:
    """Give the job the transcript of its twin; False if that was deleted a moment ago."""
    transcript = storage.get(twin, TRANSCRIPT)
    if transcript is None:
        return False
    queue.index(request.job_id, request.created_at)
    storage.put(request.job_id, TRANSCRIPT, transcript)
    with contextlib.suppress(RedisError):  # the job is whole; the janitor tells what this could not
        tell_over(storage, queue.redis, request.job_id)
    return True


def _fingerprint(sent: Submission, digest: str) -> str:
    return reuse.fingerprint(digest, sent.options.to_dict(), asdict(sent.handling), sent.filename)
