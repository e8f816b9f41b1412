"""Requests that wait until their job is over, for doors whose clients know nothing of jobs."""

import asyncio
import contextlib
import logging

from fastapi import Request
from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.types import Receive

from api.errors import NoWorker, QueueFull, ServerStops, StillAtWork
from api.hold import while_connected
from api.news import hub_of
from api.room import refuse_early
from api.state import State
from api.views import JobView, job_view
from steno.engines import ENGINES
from steno.jobs import steer
from steno.jobs.record import PRIORITIES
from steno.jobs.state import queue_key
from steno.storage import StorageRefused

log = logging.getLogger(__name__)


async def admit(request: Request, state: State) -> frozenset[str]:
    """The engines that live workers offer, unless it is clear before the upload is read that the request must be refused.

    Raises QueueFull, FileTooLarge, OutOfSpace, NoWorker, RedisError.
    """
    await refuse_when_full(state.redis, state.settings.openai_queue)
    await asyncio.to_thread(refuse_early, request, state.settings, state.storage)
    offered = await state.offered()
    if not offered:
        raise NoWorker("No worker is running; send the request again later.")
    return offered


async def refuse_when_full(redis: Redis, most: int) -> None:
    """Raises QueueFull where more than `most` jobs wait for a worker, and RedisError."""
    async with redis.pipeline(transaction=False) as pipe:
        for engine in ENGINES:
            for priority in PRIORITIES:
                pipe.llen(queue_key(engine, priority))
        waiting = sum(map(int, await pipe.execute()))
    if waiting > most:
        raise QueueFull(f"{waiting} jobs wait already; send the request again later.")


async def outcome_of(receive: Receive, state: State, job_id: str, seconds: float, keep: bool) -> JobView | None:
    """The job once it is over, with its result; None if the client hung up first.

    Nobody will ask for the result then, or where the server stops: the job is canceled, unless it is to be kept. Raises
    StillAtWork after so many seconds, JobNotFound where somebody deleted it, ServerStops.
    """
    with contextlib.suppress(TimeoutError):
        if not await while_connected(receive, _at_most(seconds, state, job_id)):
            await give_up(state, job_id, keep)
            return None
    view = await look_at(state, job_id)
    if view.is_over:
        return view
    raise await unfinished(state, job_id, keep)


async def look_at(state: State, job_id: str) -> JobView:
    """The job that was waited for. Raises JobNotFound, and StillAtWork where Redis is away: nobody shall upload it again."""
    try:
        return await job_view(state, job_id)
    except RedisError as error:
        away = "The job queue (Redis) cannot be reached; the job goes on when it is back"
        raise StillAtWork(f"{away}, and GET /status/{job_id} will have its result.") from error


async def unfinished(state: State, job_id: str, keep: bool) -> StillAtWork | ServerStops:
    """Why a job is no longer waited for that is not over."""
    if not hub_of(state).closed:
        return StillAtWork(f"The transcript is not ready yet; the job goes on, and GET /status/{job_id} will have it.")
    if keep:
        return ServerStops(f"The server stops; the job goes on, and GET /status/{job_id} will have its result.")
    await give_up(state, job_id, keep)
    return ServerStops()


async def give_up(state: State, job_id: str, keep: bool) -> None:
    """Cancel a job for which nobody waits, unless it is to be kept."""
    if keep:
        return
    try:
        # What was begun is finished, even if this request is cancelled meanwhile.
        await asyncio.shield(asyncio.to_thread(steer.cancel, state.storage, state.queue, job_id))
    except (steer.NoSuchJob, steer.MoveRefused):
        pass  # it is over, or somebody else sees to it
    except (RedisError, OSError, StorageRefused) as error:
        log.warning("Job %s goes on for nobody: %s", job_id, error, extra={"action": "give_up_failed"})


async def _at_most(seconds: float, state: State, job_id: str) -> None:
    async with asyncio.timeout(seconds):
        await hub_of(state).over(job_id)
