"""What a waiting job has before it: its place in the line, and how long that may take, from the speed of jobs before it."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final, cast

from redis.asyncio import Redis

from steno.jobs.course import SPEEDS, parse_speeds
from steno.jobs.record import PRIORITIES
from steno.jobs.roster import Roster
from steno.jobs.state import JobState, queue_key

_PLACE_SECONDS: Final = 0.5
_PACE_SECONDS: Final = 5.0
_REMEMBERED: Final = 2000


@dataclass
class Outlook:
    """Asked at each poll, so what it knows may be half a second old, of workers and speed five seconds."""

    roster: Roster
    _places: dict[str, tuple[float, int | None]] = field(default_factory=dict)
    _paces: dict[str, tuple[float, float | None]] = field(default_factory=dict)

    async def of(self, redis: Redis, job_id: str, known: JobState) -> tuple[int | None, float | None]:
        """Position, 1 for the next job to be taken, and seconds until the job is done; None where that is not known.

        Jobs of a higher priority count as before it, though one in ten of lower priority goes first. Raises RedisError.
        """
        place = await self._place(redis, job_id, known)
        pace = await self._pace(redis, known.engine)
        return place, None if place is None or pace is None else round(place * pace, 1)

    async def _place(self, redis: Redis, job_id: str, known: JobState) -> int | None:
        now = time.monotonic()
        until, place = self._places.get(job_id, (0.0, None))
        if now >= until:
            if len(self._places) >= _REMEMBERED:
                self._places.clear()
            place = await _ask_place(redis, job_id, known)
            self._places[job_id] = now + _PLACE_SECONDS, place
        return place

    async def _pace(self, redis: Redis, engine: str) -> float | None:
        """Seconds between two finished jobs of the engine, by all its workers together."""
        now = time.monotonic()
        until, pace = self._paces.get(engine, (0.0, None))
        if now >= until:
            self._paces[engine] = now + _PACE_SECONDS, pace  # first, so that others do not ask meanwhile
            seconds = parse_speeds(cast("bytes | None", await redis.hget(SPEEDS, engine))).get("job")
            workers = len((await asyncio.to_thread(self.roster.offers)).get(engine, ()))
            pace = None if seconds is None else seconds / max(1, workers)
            self._paces[engine] = now + _PACE_SECONDS, pace
        return pace


async def _ask_place(redis: Redis, job_id: str, known: JobState) -> int | None:
    urgent = PRIORITIES[: PRIORITIES.index(known.priority)] if known.priority in PRIORITIES else ()
    async with redis.pipeline(transaction=False) as pipe:
        pipe.lpos(queue_key(known.engine, known.priority), job_id)
        for priority in urgent:
            pipe.llen(queue_key(known.engine, priority))
        index, *before = await pipe.execute()
    return None if index is None else int(index) + sum(map(int, before)) + 1
