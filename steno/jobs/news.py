"""What happens to a job, told to whoever listens: a short stream of what was heard in it, and one channel for all jobs.

The stream holds what a listener may have missed: a beginning of each attempt, and the segments heard in it. It holds no
state: the channel says of which job there is news, and whoever cares looks at the job itself, so that there is no second
account of it. Redis may lose both at any time; then listeners miss segments, and the transcript still has them all.
"""

import json
from typing import Any, Final

from redis import Redis

from steno.transcript import Segment

CHANNEL: Final = "steno:news"
"""Where the id of a job is published whenever it is worth another look."""
STREAM_LENGTH: Final = 2000
"""About how many of its last entries a stream keeps."""
_RUNNING_SECONDS: Final = 86_400
_OVER_SECONDS: Final = 600
"""How long a listener that was cut off may come back to a job that is over and still get what it missed."""


def stream_key(job_id: str) -> str:
    """A job's stream. Each entry has `kind` (attempt or segment) and `data`, one line of JSON."""
    return f"steno:events:{job_id}"


def attempt_began(redis: "Redis", job_id: str, attempt: int) -> None:
    """The segments heard so far are void and leave the stream; raises redis.exceptions.RedisError, as all of these do."""
    _add(redis, job_id, "attempt", {"attempt": attempt}, maxlen=1, approximate=False)


def segment_heard(redis: "Redis", job_id: str, segment: Segment) -> None:
    """A stretch of speech was heard: its id (from 0 in each attempt), its times in seconds and its text; not its words."""
    told = {name: getattr(segment, name) for name in ("id", "start", "end", "text", "speaker")}
    _add(redis, job_id, "segment", told, maxlen=STREAM_LENGTH, approximate=True)


def state_changed(redis: "Redis", job_id: str, over: bool = False) -> None:
    """Something that a status tells has changed. Call it once Redis and storage say so, too."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.expire(stream_key(job_id), _OVER_SECONDS if over else _RUNNING_SECONDS)
        pipe.publish(CHANNEL, job_id)
        pipe.execute()


def forget(redis: "Redis", job_id: str) -> None:
    """What was told of the job counts no more: it was deleted, or begins afresh. Call it once storage and Redis say so."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.delete(stream_key(job_id))
        pipe.publish(CHANNEL, job_id)
        pipe.execute()


def _add(redis: "Redis", job_id: str, kind: str, data: dict[str, Any], **trim: Any) -> None:
    entry: dict[Any, Any] = {"kind": kind, "data": json.dumps(data, ensure_ascii=False, separators=(",", ":"))}
    with redis.pipeline(transaction=False) as pipe:
        pipe.xadd(stream_key(job_id), entry, **trim)
        pipe.expire(stream_key(job_id), _RUNNING_SECONDS)
        pipe.publish(CHANNEL, job_id)
        pipe.execute()
