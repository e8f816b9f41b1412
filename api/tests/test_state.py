"""What the routes share."""

import asyncio
import contextlib
import gc
import weakref
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.lock import Lock

from api.alone import alone
from api.errors import JobNotFound
from api.news import hub_of
from api.state import State
from api.tests.desk import Desk
from api.tests.listener import ears
from api.tests.server import eventually
from api.views import JobView, brief_views
from api.watch import AGAIN_SECONDS, Watch
from steno.config import Settings


def test_more_questions_to_redis_than_it_has_connections_wait_for_each_other(settings: Settings) -> None:
    """A page of jobs, or a crowd of clients that poll, asks more than a hundred at once."""

    async def ask() -> list[object]:
        state = State(settings)
        try:
            return await asyncio.gather(*(state.redis.ping() for _ in range(300)))
        finally:
            await state.close()

    assert asyncio.run(ask()) == [True] * 300


def test_a_page_of_waiting_jobs_takes_few_connections(settings: Settings, desk: Desk) -> None:
    """Each question of its own would take one, and the server keeps them for ever."""
    desk.offer("whisperx", 60)
    names = [desk.queued(f"job{number}", priority=("low", "high")[number % 2]) for number in range(60)]

    before = len(desk.redis.client_list())

    async def look() -> tuple[list[int], int]:
        state = State(settings)
        try:
            views = await brief_views(state, names)
            return [view.fields["position"] for view in views if view], len(desk.redis.client_list())
        finally:
            await state.close()

    positions, connections = asyncio.run(look())
    assert positions == [number // 2 + (1 if number % 2 else 31) for number in range(60)]
    assert connections - before <= 2  # one of its own, and one of the threads that look up workers


def test_a_swallowed_cancel_leaves_nobody_listening(
    settings: Settings, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of redis-py's timeouts take a cancel for their own. Fifty such, and the API had no connection left."""
    hear = PubSub.get_message

    async def swallow(self: PubSub, **options: Any) -> Any:
        try:
            return await hear(self, **options)
        except asyncio.CancelledError:
            return None

    monkeypatch.setattr(PubSub, "get_message", swallow)
    job_id = desk.queued()

    async def listen() -> tuple[bool, bool]:
        state = State(settings)
        try:
            async with hub_of(state).listening(job_id):
                heard = await asyncio.to_thread(eventually, lambda: ears(desk.redis) == 1)
            return heard, await asyncio.to_thread(eventually, lambda: ears(desk.redis) == 0)
        finally:
            await state.close()

    assert asyncio.run(listen()) == (True, True)


def test_a_swallowed_cancel_leaves_nobody_looking() -> None:
    """A look that ends where it should have been cut off began another a second later, for ever."""
    looks = 0

    async def swallow(job_id: str) -> JobView:
        nonlocal looks
        looks += 1
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        raise JobNotFound

    async def leave() -> int:
        redis = Redis()
        watch = Watch("job", redis, swallow, asyncio.Semaphore(1))
        watch.wake()
        await asyncio.sleep(0.05)
        watch.close()
        await asyncio.sleep(AGAIN_SECONDS + 0.5)
        return len(asyncio.all_tasks())

    assert asyncio.run(leave()) == 1
    assert looks == 1


def test_what_was_known_of_a_job_is_freed_when_nobody_listens_any_more() -> None:
    """Not by the collector of cycles, which comes when it likes."""

    async def hang(job_id: str) -> JobView:
        await asyncio.sleep(60)
        raise JobNotFound

    async def leave() -> bool:
        watch = Watch("job", Redis(), hang, asyncio.Semaphore(1))
        watch.wake()
        await asyncio.sleep(0.05)
        watch.close()
        known = weakref.ref(watch)
        del watch
        await asyncio.sleep(0.05)
        return known() is None

    gc.disable()
    try:
        assert asyncio.run(leave())
    finally:
        gc.enable()


def test_a_swallowed_cancel_leaves_nobody_keeping_a_lock(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def swallow(self: Lock) -> bool:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return True

    monkeypatch.setattr(Lock, "reacquire", swallow)

    async def hold() -> int:
        state = State(settings)
        try:
            async with alone(state.redis, "lock", 0.5):
                await asyncio.sleep(0.2)
            await asyncio.sleep(0.3)
            return len(asyncio.all_tasks())
        finally:
            await state.close()

    assert asyncio.run(hold()) == 1


def test_a_connection_to_redis_costs_no_look_at_files(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-py's own version, read from its package for every connection, made Python's table of names grow."""

    def read() -> str:
        raise AssertionError("read")

    monkeypatch.setattr("redis.utils.get_lib_version", read)

    async def ask() -> bool:
        state = State(settings)
        try:
            async with state.redis.pubsub() as pubsub:
                await pubsub.subscribe("news")
            return await asyncio.to_thread(state.queue.redis.ping) and await state.redis.ping()
        finally:
            await state.close()

    assert asyncio.run(ask())
