"""What a waiting job has before it: its place in the line, and how long that may take, from the speed of jobs before it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from redis.asyncio import Redis

from steno.jobs.course import SPEEDS, parse_speeds
from steno.jobs.queue import job_key
from steno.jobs.record import PRIORITIES
from steno.jobs.roster import Roster
from steno.jobs.state import STATUS_FIELDS, JobState, parse_state, queue_key, started_key

_PLACE_SECONDS: Final = 0.5
_PACE_SECONDS: Final = 2.0
_REMEMBERED: Final = 2000
_STALE: Final = (0.0, None)

Ahead = tuple[int | None, float | None]
"""Position, and seconds until the job is done."""


@dataclass(frozen=True)
class Pace:
    """Of an engine: how many `workers` it has, the seconds that a job took of late, and those yet to go for each one in hand."""

    workers: int
    seconds: float
    in_hand: Sequence[float]

    def until_done(self, place: int) -> float:
        """Seconds until the job in this place is done. What is before it is shared by the workers that are free first.

        As many of them as make it soonest: one with hours to go takes no part.
        """
        left = sorted(self.in_hand)[: self.workers]
        free = [0.0] * (self.workers - len(left)) + left
        before = (place - 1) * self.seconds
        return round(min((sum(free[:some]) + before) / some for some in range(1, len(free) + 1)) + self.seconds, 1)


@dataclass
class Outlook:
    """Asked at each poll, so what it knows may be half a second old, of workers and what they do two seconds."""

    roster: Roster
    _places: dict[str, tuple[float, int | None]] = field(default_factory=dict)
    _paces: dict[str, tuple[float, Pace | None]] = field(default_factory=dict)

    async def of(self, redis: Redis, waiting: Mapping[str, JobState]) -> dict[str, Ahead]:
        """Of each queued job: its position, 1 for the next job to be taken, and seconds until it is done; None where not known.

        Redis is asked for all of them at once. Jobs of a higher priority count as before a job, though one in ten of lower
        priority goes first. Raises RedisError.
        """
        places = await self._places_of(redis, waiting)
        paces = {engine: await self._pace(redis, engine) for engine in {known.engine for known in waiting.values()}}
        return {job_id: _outlook(places[job_id], paces[known.engine]) for job_id, known in waiting.items()}

    async def _places_of(self, redis: Redis, waiting: Mapping[str, JobState]) -> dict[str, int | None]:
        now = time.monotonic()
        fresh = {job_id: self._places[job_id] for job_id in waiting if self._places.get(job_id, _STALE)[0] > now}
        asked = await _ask_places(redis, {job_id: known for job_id, known in waiting.items() if job_id not in fresh})
        if len(self._places) + len(asked) > _REMEMBERED:
            self._places.clear()
        self._places |= {job_id: (now + _PLACE_SECONDS, place) for job_id, place in asked.items()}
        return asked | {job_id: place for job_id, (_, place) in fresh.items()}

    async def _pace(self, redis: Redis, engine: str) -> Pace | None:
        """None while no job of the engine was done."""
        now = time.monotonic()
        until, pace = self._paces.get(engine, _STALE)
        if now >= until:
            self._paces[engine] = now + _PACE_SECONDS, pace  # first, so that others do not ask meanwhile
            seconds = parse_speeds(cast("bytes | None", await redis.hget(SPEEDS, engine))).get("job")
            workers = len((await asyncio.to_thread(self.roster.offers)).get(engine, ()))
            pace = None
            if seconds is not None:
                pace = Pace(max(1, workers), seconds, await _ask_in_hand(redis, engine, seconds))
            self._paces[engine] = now + _PACE_SECONDS, pace
        return pace


def _outlook(place: int | None, pace: Pace | None) -> Ahead:
    return place, None if place is None or pace is None else pace.until_done(place)


async def _ask_in_hand(redis: Redis, engine: str, otherwise: float) -> list[float]:
    """Seconds of work left in each of the engine's running jobs; `otherwise` for one that does not know."""
    async with redis.pipeline(transaction=False) as pipe:
        for priority in PRIORITIES:
            pipe.zrange(started_key(engine, priority), 0, -1)
        entries = [entry.decode() for line in await pipe.execute() for entry in line]
        for job_id in dict.fromkeys(entry.partition(":")[0] for entry in entries):
            pipe.hmget(job_key(job_id), STATUS_FIELDS)
        running = [state for state in map(parse_state, await pipe.execute()) if state is not None and state.held]
    return [otherwise if state.seconds_left is None else state.seconds_left for state in running]


async def _ask_places(redis: Redis, waiting: Mapping[str, JobState]) -> dict[str, int | None]:
    if not waiting:  # all are known from a moment ago
        return {}
    before = {job_id: _before(known) for job_id, known in waiting.items()}
    lines = sorted({line for each in before.values() for line in each})
    async with redis.pipeline(transaction=False) as pipe:
        for job_id, known in waiting.items():
            pipe.lpos(queue_key(known.engine, known.priority), job_id)
        for line in lines:
            pipe.llen(line)
        answers = await pipe.execute()
    indices, lengths = answers[: len(waiting)], dict(zip(lines, map(int, answers[len(waiting) :]), strict=True))
    return {
        job_id: None if index is None else int(index) + sum(lengths[line] for line in before[job_id]) + 1
        for job_id, index in zip(waiting, indices, strict=True)
    }


def _before(known: JobState) -> list[str]:
    """The queues whose jobs go first."""
    urgent = PRIORITIES[: PRIORITIES.index(known.priority)] if known.priority in PRIORITIES else ()
    return [queue_key(known.engine, priority) for priority in urgent]
