"""The one way in: every door ends here with a recording already in storage and options already checked."""

import contextlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from steno.jobs import reuse
from steno.jobs.options import Options
from steno.jobs.queue import JobQueue, RedisError
from steno.jobs.record import REQUEST, RETENTION, TRANSCRIPT, Handling, JobRequest, utc_now
from steno.jobs.settle import drop_audio, tell_over
from steno.storage import JobExists, Storage, Upload
from steno.webhooks.deliveries import plan

_KEYS: Final = uuid.UUID("5f0b5d1e-6f0c-4d4f-9f0e-2b8a52b7f6a1")
"""Namespace of the job ids that come of an Idempotency-Key."""


class KeyReused(Exception):
    """The Idempotency-Key came with another recording or other fields before."""


class Overtaken(Exception):
    """Another request with the same Idempotency-Key is at work, since this one was frozen or without Redis for too long."""


@dataclass(frozen=True)
class Claim:
    """An Idempotency-Key, and whether no other request with it can be at work at this moment."""

    key: str
    is_ours: Callable[[], bool]

    def check(self) -> None:
        """Raises Overtaken."""
        if not self.is_ours():
            raise Overtaken


@dataclass(frozen=True)
class Submission:
    """A recording that arrived whole, with all that was asked. `audio` is its name inside the job's folder.

    One that is `resumable` belongs to somebody who will submit it again if this time fails, under the same id. `fields` are the
    form's as they came: with an Idempotency-Key they tell a repeated request from another, whatever the server's defaults became.
    """

    upload: Upload
    job_id: str
    audio: str
    filename: str
    options: Options
    handling: Handling = Handling()  # noqa: RUF009 - frozen
    resumable: bool = False
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Accepted:
    """The job; `replayed` if it is that of an earlier request with the same key."""

    request: JobRequest
    replayed: bool = False


def keyed_job_id(key: str) -> str:
    """The id of the job that a request with this Idempotency-Key makes: always the same, so that storage itself knows the key."""
    return str(uuid.uuid5(_KEYS, key))


def submit(storage: Storage, queue: JobQueue, sent: Submission, claim: Claim | None = None) -> Accepted:
    """Make an upload a job: sync and rename the recording, write the request, enqueue; in that order.

    When this returns, the job survives the death of any process and of Redis. When it raises (KeyReused, Overtaken, StorageFull,
    RedisError, OSError), nothing of the upload is left; but of a resumable one all of it is. With an Idempotency-Key, a request
    that was accepted before is answered with its job. Once there is a request, somebody who repeats this may have been answered
    with its job: so with a key, or of a resumable upload, it is kept, and the sweep will queue it.
    """
    try:
        digest = sent.upload.digest() if claim is not None or sent.handling.reuse else ""
        fingerprint = None if claim is None else _fingerprint(sent, digest)
        if claim is not None:
            if (earlier := storage.get(keyed_job_id(claim.key), REQUEST)) is not None:
                return _replayed(JobRequest.from_dict(earlier), sent, fingerprint)
            sent = _moved(storage, sent, claim)
        twin = reuse.find(queue.redis, storage, digest, sent.options) if sent.handling.reuse else None
        request = _stored(storage, sent, fingerprint, twin, claim)
    except BaseException:
        if not sent.resumable:
            sent.upload.discard()
        raise
    _queued(storage, queue, sent, request)
    return Accepted(request)


def _replayed(earlier: JobRequest, sent: Submission, fingerprint: str | None) -> Accepted:
    if earlier.fingerprint != fingerprint:
        raise KeyReused
    sent.upload.discard()
    return Accepted(earlier, replayed=True)


def _moved(storage: Storage, sent: Submission, claim: Claim) -> Submission:
    """The submission under its key's id."""
    job_id = keyed_job_id(claim.key)
    claim.check()
    storage.delete(job_id)  # what a request that died left behind
    try:
        sent.upload.move_to(job_id)
    except JobExists as error:
        raise Overtaken from error
    return replace(sent, job_id=job_id)


def _stored(
    storage: Storage, sent: Submission, fingerprint: str | None, twin: str | None, claim: Claim | None
) -> JobRequest:
    """The request, in storage with all that belongs to it. `twin` is the job whose transcript answers it, if there is one."""
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
    _commit(sent, claim)
    if (retention := handling.retention()) is not None:
        storage.put(job_id, RETENTION, retention)
    if handling.callback_url is not None:
        plan(storage, job_id, handling.callback_url)
    storage.put(job_id, REQUEST, request.to_dict())
    return request


def _commit(sent: Submission, claim: Claim | None) -> None:
    """Raises Overtaken where the folder may be another's before or after."""
    if claim is None:
        sent.upload.commit()
        return
    claim.check()
    try:
        sent.upload.commit()
    except FileNotFoundError as error:
        raise Overtaken from error
    claim.check()


def _queued(storage: Storage, queue: JobQueue, sent: Submission, request: JobRequest) -> None:
    twin = request.reused_from
    try:
        if twin is None or not _answered(storage, queue, request, twin):
            queue.enqueue(request)
    except BaseException:
        if not sent.resumable and request.fingerprint is None:
            # Storage first: a worker that was handed the job all the same finds nothing and lets it go.
            sent.upload.discard()
            with contextlib.suppress(RedisError):
                queue.erase(request.job_id)
        raise


def _answered(storage: Storage, queue: JobQueue, request: JobRequest, twin: str) -> bool:
    """Give the job the transcript of its twin; False if that was deleted a moment ago."""
    transcript = storage.get(twin, TRANSCRIPT)
    if transcript is None:
        return False
    queue.index(request.job_id, request.created_at)
    storage.put(request.job_id, TRANSCRIPT, transcript)
    if not request.keep_audio:
        drop_audio(storage, request.job_id)
    with contextlib.suppress(RedisError):  # the job is whole; the janitor tells what this could not
        tell_over(storage, queue.redis, request.job_id)
    return True


def _fingerprint(sent: Submission, digest: str) -> str:
    return reuse.fingerprint(
        digest, {name: [*given] for name, given in sent.fields.items() if any(given)}, sent.filename
    )
