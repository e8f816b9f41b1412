"""Idempotency-Key: a client that repeats a request gets the job of the first one.

After draft-ietf-httpapi-idempotency-key-header-07. The key makes the job's id, so storage itself remembers it, for as long as the
job is kept. While a request with a key is under way, a mark in Redis keeps others with the same key out; it lives seconds
longer than a server that dies.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from fastapi import Request
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.errors import BadIdempotencyKey, RequestInProgress
from steno.jobs.submit import keyed_job_id

_MARK: Final = "steno:keyed:"
_MARK_SECONDS: Final = 15
_LONGEST_KEY: Final = 255


def key_of(request: Request) -> str | None:
    """The request's key: a quoted string by the draft, a bare value as most clients send it. Raises BadIdempotencyKey."""
    given = request.headers.get("idempotency-key")
    if given is None:
        return None
    key = given.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not key or len(key) > _LONGEST_KEY or not key.isprintable() or not key.isascii():
        raise BadIdempotencyKey
    return key


@contextlib.asynccontextmanager
async def alone_with(key: str | None, redis: Redis) -> AsyncIterator[None]:
    """Keep other requests with this key out. Raises RequestInProgress, RedisError."""
    if key is None:
        yield
        return
    mark = _MARK + keyed_job_id(key)
    if not await redis.set(mark, 1, nx=True, ex=_MARK_SECONDS):
        raise RequestInProgress
    renewing = asyncio.create_task(_renew(redis, mark))
    try:
        yield
    finally:
        renewing.cancel()
        with contextlib.suppress(RedisError):
            await redis.delete(mark)


async def _renew(redis: Redis, mark: str) -> None:
    while True:
        await asyncio.sleep(_MARK_SECONDS / 5)
        with contextlib.suppress(RedisError):
            await redis.set(mark, 1, ex=_MARK_SECONDS)
