"""The same recording with the same engine, model and options, answered from its transcript if a client asks for that."""

import hashlib
import json
from typing import cast

from redis import Redis

from steno.jobs.options import Options
from steno.jobs.record import Status, outcome
from steno.storage import Storage

_PREFIX = "steno:same:"
"""Key of a fingerprint: the job that has its transcript. A Redis that lost it costs a transcription, no more."""


def fingerprint(digest: str, *asked: object) -> str:
    """Of a recording, by its SHA-256, and of what was asked of it: JSON values."""
    return hashlib.sha256(json.dumps([digest, *asked], sort_keys=True).encode()).hexdigest()


def remember(redis: "Redis", digest: str, options: Options, job_id: str, seconds: int) -> None:
    """This job has the transcript of this recording, for so long. Raises RedisError."""
    redis.set(_PREFIX + fingerprint(digest, options.to_dict()), job_id, ex=seconds)


def find(redis: "Redis", storage: Storage, digest: str, options: Options) -> str | None:
    """A finished job with the same recording and options. Raises RedisError."""
    stored = cast("bytes | None", redis.get(_PREFIX + fingerprint(digest, options.to_dict())))
    job_id = stored.decode() if stored else None
    return job_id if job_id and outcome(storage, job_id) is Status.FINISHED else None
