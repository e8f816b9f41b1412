"""One at a time: a lock in Redis, renewed while its holder lives, and free seconds after its holder died.

Others may say that they want it. A holder that has nothing to do then lets go, so that a client whose old connection is dead
need not wait until the server has noticed.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.exceptions import LockError, RedisError

_RENEWALS: Final = 5
"""How often a lock is renewed in the time that it lives without."""
_PAUSE_SECONDS: Final = 0.1
"""Between two tries to get it."""


class Busy(Exception):
    """Somebody else has it."""


class Hold:
    """What the holder of a lock knows of it; up to date within a fifth of the lock's life."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.is_wanted = False
        self.is_over = False
        """Let go by its holder."""
        self.on_news: Callable[[], None] = lambda: None
        """Called whenever there was a look at the lock."""
        self.regain: Callable[[], Awaitable[None]]
        """Have it again, though it was lost: what was looked at before counts no more. Raises Busy, RedisError."""
        self._until = 0.0

    @property
    def is_ours(self) -> bool:
        """Whether nobody else can have it at this moment: not if this process was frozen, or could not reach Redis, for long."""
        return time.monotonic() < self._until

    def renewed(self, asked: float) -> None:
        """It is ours for its life, from the moment (of time.monotonic) when Redis was asked."""
        self._until = asked + self.seconds

    def lost(self) -> None:
        self._until = 0.0


@contextlib.asynccontextmanager
async def alone(redis: Redis, name: str, seconds: float, patience: float = 0.0) -> AsyncIterator[Hold]:
    """Hold the lock; if its holder dies, it is free after so many seconds. Raises Busy, RedisError.

    With `patience` another holder is told that it is wanted, and waited for as long.
    """
    lock = redis.lock(name, timeout=seconds)
    hold = Hold(seconds)
    await _acquire(redis, lock, hold, patience)
    hold.regain = partial(_regain, redis, lock, hold)
    keeping = asyncio.create_task(_keep(redis, lock, hold))
    try:
        yield hold
    except asyncio.CancelledError:
        raise  # the server stops, and no connection may outlive its event loop: the lock ends by itself
    except BaseException:
        await _release(lock)
        raise
    else:
        await _release(lock)
    finally:
        hold.is_over = True  # a cancel alone would not do: some of redis-py's timeouts take it for their own
        keeping.cancel()


async def _acquire(redis: Redis, lock: Lock, hold: Hold, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        asked = time.monotonic()
        if await lock.acquire(blocking=False):
            hold.renewed(asked)
            return
        if time.monotonic() >= deadline:
            raise Busy
        await redis.set(_wish(lock), 1, px=int(hold.seconds * 1000))
        await asyncio.sleep(_PAUSE_SECONDS)


async def _regain(redis: Redis, lock: Lock, hold: Hold) -> None:
    if not hold.is_ours:
        await _release(lock)  # where Redis has it as ours yet
        await _acquire(redis, lock, hold, 0.0)


async def _release(lock: Lock) -> None:
    with contextlib.suppress(RedisError):  # it was lost, or Redis was: then it ends by itself
        await lock.release()


async def _keep(redis: Redis, lock: Lock, hold: Hold) -> None:
    while not hold.is_over:
        await asyncio.sleep(hold.seconds / _RENEWALS)
        asked = time.monotonic()
        try:
            await lock.reacquire()
            hold.renewed(asked)
            hold.is_wanted = bool(await redis.exists(_wish(lock)))
        except LockError:
            hold.lost()
        except RedisError:
            pass  # it is ours until its life is over; Redis may be back by then
        hold.on_news()


def _wish(lock: Lock) -> str:
    return f"{lock.name!s}:wanted"
