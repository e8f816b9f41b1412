"""What a waiting job has before it: its place in the line, and how long that may take, from the speed of jobs before it."""

import asyncio
import time
from collections.abc import Mapping
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
_STALE: Final = (0.0, None)

Ahead = tuple[int | None, float | None]
"""Position, and seconds until the job is done."""


@dataclass
class Outlook:
    """Asked at each poll, so what it knows may be half a second old, of workers and speed five seconds."""

    roster: Roster
    _places: dict[str, tuple[float, int | None]] = field(default_factory=dict)
    _paces: dict[str, tuple[float, float | None]] = field(default_factory=dict)

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


def _outlook(place: int | None, pace: float | None) -> Ahead:
    return place, None if place is None or pace is None else round(place * pace, 1)


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
