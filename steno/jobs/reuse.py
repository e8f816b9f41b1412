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
_OF_JOB = "steno:same:of:"
"""Key of a job: its fingerprint."""
_FORGET = """
local found = redis.call('GETDEL', KEYS[1])
if found and redis.call('GET', ARGV[1] .. found) == ARGV[2] then redis.call('DEL', ARGV[1] .. found) end
"""


def fingerprint(digest: str, *asked: object) -> str:
    """Of a recording, by its SHA-256, and of what was asked of it: JSON values."""
    return hashlib.sha256(json.dumps([digest, *asked], sort_keys=True).encode()).hexdigest()


def remember(redis: "Redis", digest: str, options: Options, job_id: str, seconds: int) -> None:
    """This job has the transcript of this recording, for so long. Raises RedisError."""
    found = fingerprint(digest, options.to_dict())
    with redis.pipeline(transaction=False) as pipe:
        pipe.set(_OF_JOB + job_id, found, ex=seconds)
        pipe.set(_PREFIX + found, job_id, ex=seconds)
        pipe.execute()


def forget(redis: "Redis", job_id: str) -> None:
    """The job is deleted. Raises RedisError."""
    redis.eval(_FORGET, 1, _OF_JOB + job_id, _PREFIX, job_id)


def find(redis: "Redis", storage: Storage, digest: str, options: Options) -> str | None:
    """A finished job with the same recording and options. Raises RedisError."""
    stored = cast("bytes | None", redis.get(_PREFIX + fingerprint(digest, options.to_dict())))
    job_id = stored.decode() if stored else None
    return job_id if job_id and outcome(storage, job_id) is Status.FINISHED else None
