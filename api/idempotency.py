"""Idempotency-Key: a client that repeats a request gets the job of the first one.

After draft-ietf-httpapi-idempotency-key-header-07. The key makes the job's id, so storage itself remembers it, for as long as the
job is kept. While a request with a key is under way, a lock keeps others with the same key out.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final

from fastapi import Request
from redis.asyncio import Redis

from api.alone import Busy, alone
from api.errors import BadIdempotencyKey, RequestInProgress
from steno.jobs.submit import Claim, keyed_job_id

_MARK: Final = "steno:keyed:"
_MARK_SECONDS: Final = 15
_LONGEST_KEY: Final = 255

Claiming = Callable[[], Awaitable[Claim]]
"""The claim to a key once the upload is whole: had again where Redis lost it meanwhile. Raises RequestInProgress, RedisError."""


def key_of(request: Request) -> str | None:
    """The request's key: a quoted string by the draft, a bare value as most clients send it. Raises BadIdempotencyKey."""
    given = set(request.headers.getlist("idempotency-key"))
    if not given:
        return None
    if len(given) > 1:
        raise BadIdempotencyKey("Two different headers Idempotency-Key came with one request; send one.")
    key = given.pop().strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not key or len(key) > _LONGEST_KEY or not key.isprintable() or not key.isascii():
        raise BadIdempotencyKey
    return key


@contextlib.asynccontextmanager
async def claimed(key: str | None, redis: Redis) -> AsyncIterator[Claiming | None]:
    """Keep other requests with this key out. Raises RequestInProgress, RedisError."""
    if key is None:
        yield None
        return

    async def claiming() -> Claim:
        with _as_in_progress():
            await hold.regain()
        return Claim(key, lambda: hold.is_ours)

    async with contextlib.AsyncExitStack() as stack:
        with _as_in_progress():
            hold = await stack.enter_async_context(alone(redis, _MARK + keyed_job_id(key), _MARK_SECONDS))
        yield claiming


@contextlib.contextmanager
def _as_in_progress() -> Iterator[None]:
    try:
        yield
    except Busy as error:
        raise RequestInProgress from error
