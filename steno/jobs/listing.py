"""The list of all jobs, newest first: one sorted set of ids by the moment they were accepted, read a page at a time."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, cast

from redis import Redis

INDEX: Final = "steno:jobs"
"""Sorted set of every job in storage; the score is when it was accepted, in milliseconds. The janitor mends it."""

CURSOR: Final = "^([0-9]{1,15}_[A-Za-z0-9_-]{1,128})?$"
"""What a cursor looks like, as a regular expression: the moment and the id of the last job of a page, or nothing."""

_CHUNK: Final = 100


def entered(created_at: str) -> int:
    """The score of a job accepted at this moment, given in ISO 8601."""
    return round(datetime.fromisoformat(created_at).timestamp() * 1000)


def newest_first(redis: "Redis", cursor: str | None = None) -> Iterator[list[tuple[str, str]]]:
    """Ids in chunks, each id with the cursor that goes on after it, which is what `cursor` is. Raises RedisError.

    A cursor holds its place though jobs come and go: it names a moment and an id, not a number of entries.
    """
    highest, _, last_id = (cursor or "+inf").partition("_")
    after = (int(highest), last_id) if last_id else None
    offset = 0
    while True:
        found = redis.zrevrangebyscore(INDEX, highest, "-inf", start=offset, num=_CHUNK, withscores=True)
        rows = cast("list[tuple[bytes, float]]", found)
        chunk = [(member.decode(), int(score)) for member, score in rows]
        if not chunk:
            return
        yield [
            (job_id, f"{score}_{job_id}")
            for job_id, score in chunk
            if after is None or (score, job_id) < after  # those accepted in the same millisecond stand in order of ids
        ]
        last_id, last = chunk[-1]
        offset = offset + len(chunk) if str(last) == highest else 0
        highest, after = str(last), (last, last_id)
