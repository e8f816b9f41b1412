"""When each webhook is due, and who is at it: all that Redis knows of webhooks. Lost, it is made anew from storage.

Two sorted sets of job ids. `steno:webhooks` has the moment at which to look at the job; whoever claims a job moves it to
`steno:webhooks:held` with the moment at which the lease ends, which is also how the holder is known. Times are Unix seconds.
"""

import time
from typing import Any, Final

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from steno.storage import Storage
from steno.webhooks.deliveries import due_at, read, unheard

DUE: Final = "steno:webhooks"
HELD: Final = "steno:webhooks:held"
LEASE_SECONDS: Final = 60.0
"""Longer than an attempt with all its reading and writing can take."""
_LONGEST: Final = LEASE_SECONDS + 60.0
"""Beyond which no lease can last, though clocks differ by a minute: one that does was taken before a clock was set back."""

_CLAIM: Final = """
local due, held, now, lease, later = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]
for _, over in ipairs({{'-inf', now}, {'(' .. ARGV[5], '+inf'}}) do
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', held, over[1], over[2], 'LIMIT', 0, 100)) do
    redis.call('ZREM', held, id)
    redis.call('ZADD', due, 'LT', now, id)
  end
end
local claimed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, tonumber(ARGV[4]))) do
  if redis.call('ZSCORE', held, id) then
    redis.call('ZADD', due, later, id)
  else
    redis.call('ZREM', due, id)
    redis.call('ZADD', held, lease, id)
    claimed[#claimed + 1] = id
  end
end
return claimed
"""
_HOLD: Final = """
local holder = redis.call('ZSCORE', KEYS[2], ARGV[1])
if holder and tonumber(holder) > tonumber(ARGV[2]) and tonumber(holder) <= tonumber(ARGV[4]) then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return 1
"""
_FINISH: Final = """
local holder = redis.call('ZSCORE', KEYS[2], ARGV[1])
if holder and tonumber(holder) ~= tonumber(ARGV[2]) then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
if ARGV[3] ~= '' then redis.call('ZADD', KEYS[1], 'LT', ARGV[3], ARGV[1]) end
return 1
"""


def announce(storage: Storage, redis: "Redis", job_id: str) -> None:
    """See to it that a job's webhook is delivered if there is something to deliver. Cheap, and the same done twice.

    Call it when a job is over, and again for every job that storage has over: a call that failed is made good by the next.
    Raises redis.exceptions.RedisError, and ValueError where the record in storage is broken.
    """
    webhook = read(storage, job_id)
    if webhook is None:
        return
    if unheard(storage, job_id, webhook):
        when = time.time()
    elif (event := webhook.next) is not None:
        when = due_at(event, time.time())
    else:
        return
    redis.zadd(DUE, {job_id: when}, lt=True)


def forget(redis: "Redis", job_id: str) -> None:
    """The job is deleted, and its webhook with it; whoever is just delivering it finds out. Raises RedisError."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.zrem(DUE, job_id)
        pipe.zrem(HELD, job_id)
        pipe.execute()


class Due:
    """What couriers and the API do. Every method may raise redis.exceptions.RedisError."""

    def __init__(self, redis: "AsyncRedis") -> None:
        self._redis = redis

    async def claim(self, now: float, room: int) -> list[str]:
        """The ids of up to `room` jobs that are due, which nobody else is given before `now` + LEASE_SECONDS.

        Those whose lease has run out, or lasts longer than one can, are due, too. A job that is due and held is looked at
        again in a second.
        """
        lease, longest = repr(now + LEASE_SECONDS), repr(now + _LONGEST)
        claimed = await self._run(_CLAIM, repr(now), lease, repr(now + 1), str(room), longest)
        return [job_id.decode() for job_id in claimed]

    async def hold(self, job_id: str, now: float) -> bool:
        """Take one job's lease, due or not; False if somebody has it."""
        return bool(await self._run(_HOLD, job_id, repr(now), repr(now + LEASE_SECONDS), repr(now + _LONGEST)))

    async def overtaken(self, job_id: str, since: float) -> bool:
        """Whether somebody else has the job that was claimed at `since`. A lease that is merely gone is nobody else's."""
        holder = await self._redis.zscore(HELD, job_id)
        return holder is not None and holder != since + LEASE_SECONDS

    async def finish(self, job_id: str, since: float, next_at: float | None) -> bool:
        """Give back what was claimed at `since`, to be looked at again at `next_at`, if at all; False if overtaken."""
        again = "" if next_at is None else repr(next_at)
        return bool(await self._run(_FINISH, job_id, repr(since + LEASE_SECONDS), again))

    async def waiting(self, now: float) -> int:
        """How many jobs are due."""
        return int(await self._redis.zcount(DUE, "-inf", now))

    async def _run(self, script: str, *arguments: str) -> Any:
        return await self._redis.eval(script, 2, DUE, HELD, *arguments)
