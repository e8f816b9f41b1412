"""Who listens to which job: one connection to Redis hears of every change, and one look at a job serves all its listeners."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisAway
from redis.exceptions import RedisError

from api.state import State
from api.views import JobView, job_view
from api.watch import AGAIN_SECONDS, LOOK_SECONDS, Look, Watch
from steno.jobs.news import CHANNEL

log = logging.getLogger(__name__)

_LOOKS_AT_ONCE: Final = 8


class Hub:
    """The listeners of one event loop. Holds a connection to Redis only while somebody listens."""

    def __init__(self, redis: "Redis", view: Look) -> None:
        self._redis = redis
        self._view = view
        self._places = asyncio.Semaphore(_LOOKS_AT_ONCE)
        self._stopping = asyncio.Event()
        self._watches: dict[str, Watch] = {}
        self._ear: asyncio.Task[None] | None = None

    @property
    def closed(self) -> bool:
        return self._stopping.is_set()

    async def stopped(self) -> None:
        """Returns when the server stops."""
        await self._stopping.wait()

    @asynccontextmanager
    async def listening(self, job_id: str) -> AsyncIterator[Watch]:
        """A watch over the job that has looked at it once. Raises JobNotFound, and RedisError where there is no telling."""
        watch = self._watches.get(job_id)
        if watch is None:
            watch = self._watches[job_id] = Watch(job_id, self._redis, self._view, self._places)
            watch.wake()
        if self._ear is None and not self.closed:
            self._ear = asyncio.create_task(self._listen())
        watch.listeners += 1
        try:
            await watch.first_look()
            yield watch
        finally:
            watch.listeners -= 1
            self._tidy(job_id, watch)

    async def change(self, job_id: str, view: JobView, seconds: float) -> None:
        """Returns when the job's status or stage is no longer as in `view`, the time is over or the server stops."""
        before = _place(view)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self.listening(job_id) as watch:
                while not (self.closed or watch.ended):
                    seen = watch.version
                    if watch.view is not None and _place(watch.view) != before:
                        return
                    await watch.change(seen)

    async def over(self, job_id: str) -> None:
        """Returns when the job is over or the server stops, through every outage of Redis. Raises JobNotFound."""
        while not self.closed:
            try:
                async with self.listening(job_id) as watch:
                    while not (self.closed or watch.ended):
                        await watch.change(watch.version)
                    return
            except RedisError:
                await asyncio.sleep(AGAIN_SECONDS)

    def close(self) -> None:
        """Let every listener go; who comes later is told the present and let go, too."""
        self._stopping.set()
        for watch in self._watches.values():
            watch.tell()
        self._hang_up()

    def _tidy(self, job_id: str, watch: Watch) -> None:
        if not watch.listeners:
            watch.close()
            del self._watches[job_id]
        if not self._watches:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._ear is not None:
            self._ear.cancel()
            self._ear = None

    def _is_the_ear(self) -> bool:
        """False after a cancel that was swallowed on its way: some of redis-py's timeouts take it for their own."""
        return self._ear is asyncio.current_task()

    async def _listen(self) -> None:
        """Hear the news for as long as there are listeners, through every outage of Redis."""
        while self._is_the_ear():
            try:
                await self._hear()
            except (RedisError, OSError) as error:
                log.warning("No news from Redis: %s", error, extra={"action": "news_lost"})
            except Exception:
                log.exception("Hearing the news failed", extra={"action": "news_failed"})
            await asyncio.sleep(AGAIN_SECONDS)

    async def _hear(self) -> None:
        """Returns when nobody listens any more. A connection on which nothing comes, not even to a ping, counts as lost."""
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(CHANNEL)
            asked = False
            while self._is_the_ear():
                message = await pubsub.get_message(timeout=LOOK_SECONDS)
                if message is not None:
                    self._pass_on(message)
                    asked = False
                    await asyncio.sleep(0)  # what has arrived already is got without a pause: others get theirs here
                elif asked:
                    raise RedisAway("it has fallen silent")
                else:
                    await pubsub.ping()
                    asked = True

    def _pass_on(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":  # for the first time or again: nobody knows what was missed before
            for watch in self._watches.values():
                watch.wake()
        elif message["type"] == "message":
            watched = self._watches.get(message["data"].decode())
            if watched is not None:
                watched.wake()


def _place(view: JobView) -> tuple[str, str | None]:
    return view.fields["status"], view.fields["stage"]


def hub_of(state: State) -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in state.hubs:
        state.hubs[loop] = Hub(state.redis, lambda job_id: job_view(state, job_id, brief=True))
    return state.hubs[loop]
