"""Who listens to which job: one connection to Redis hears of every change, and one look at a job serves all its listeners."""

import asyncio
import contextlib
import json
import logging
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisAway
from redis.exceptions import RedisError

from api.errors import ApiError, JobNotFound
from api.state import State
from api.views import JobView, job_view
from steno.jobs.news import CHANNEL, STREAM_LENGTH, stream_key

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 15.0
"""How long a watched job goes without a look if no news of it comes: news can be lost, and its place in the queue has none."""
_AGAIN_SECONDS: Final = 1.0
"""How long after Redis failed it is tried again."""
_PAUSE_SECONDS: Final = 0.1
"""Between two looks at a job, so that a burst of news costs a few looks and not one each."""
_LOOKS_AT_ONCE: Final = 8
_BATCH: Final = 100

EventId = tuple[int, int]
"""Of an entry in a stream of Redis: milliseconds and a number within them, written `1764080000000-0`."""
Entries = list[tuple[bytes, dict[bytes, bytes]]]


@dataclass(frozen=True)
class Event:
    """An entry of a job's stream, as it goes to every listener."""

    id: EventId
    frame: bytes


def parse_event_id(text: str) -> EventId | None:
    """None where it is not the id of an entry."""
    found = re.fullmatch("([0-9]{1,20})-([0-9]{1,20})", text)
    return (int(found[1]), int(found[2])) if found else None


def frame(kind: str, data: str, id: str | None = None) -> bytes:
    """One event of Server-Sent Events; `data` is one line."""
    named = f"id: {id}\n" if id else ""
    return f"{named}event: {kind}\ndata: {data}\n\n".encode()


def final_id(view: JobView) -> str | None:
    """The id of a job's last event: that of no stream, so that it is known when the stream is gone, too."""
    return f"over-{view.fields['ended_at']}" if view.is_over else None


class Watch:
    """What is known of one job, for all who listen to it. Those who fall behind find the present here, not the past."""

    def __init__(self, hub: "Hub", job_id: str) -> None:
        self.listeners = 0
        self.view: JobView | None = None
        self.state = b""
        """The view as an event, without its result."""
        self.trouble: Exception | None = None
        """What the last look failed with."""
        self.changed = asyncio.Event()
        """Set at the next change, when another takes its place: take it before you look at the rest."""
        self._hub = hub
        self._job_id = job_id
        self._events: deque[Event] = deque(maxlen=STREAM_LENGTH)
        self._count = 0
        self._due = False
        self._looking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return isinstance(self.trouble, JobNotFound) or (self.view is not None and self.view.is_over)

    async def first_look(self) -> None:
        """Raises what it failed with: JobNotFound, RedisError."""
        while self.view is None and self.trouble is None:
            await self.changed.wait()
        if self.trouble is not None and (self.view is None or isinstance(self.trouble, JobNotFound)):
            raise self.trouble

    def position(self, last: EventId | None) -> int:
        """How many events there were up to this one; 0 for all that are kept to follow."""
        return self._count - sum(event.id > last for event in self._events) if last else 0

    def after(self, position: int) -> tuple[bytes, int]:
        """The next few events and the position behind them. Those that are no longer kept are passed over."""
        gone = self._count - len(self._events)
        begin = max(position - gone, 0)
        frames = [event.frame for event in islice(self._events, begin, begin + _BATCH)]
        return b"".join(frames), gone + begin + len(frames)

    def wake(self) -> None:
        """Look at the job, now or right after the look that is under way."""
        self._due = True
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_while_due())

    def tell(self) -> None:
        """Wake every listener."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        if self._timer is not None:
            self._timer.cancel()

    async def _look_while_due(self) -> None:
        while self._due:
            self._due = False
            async with self._hub.places:
                await self._look()
            await asyncio.sleep(_PAUSE_SECONDS)
        self._looking = None

    async def _look(self) -> None:
        """The view before the stream: then no segment is missing when the view says that the job is over."""
        try:
            view = await self._hub.view(self._job_id)
            entries = await self._hub.redis.xrange(stream_key(self._job_id), min=self._after_last())
        except (ApiError, RedisError) as trouble:
            self.trouble = trouble
        except Exception as trouble:
            log.exception("Job %s cannot be looked at", self._job_id, extra={"action": "look_failed"})
            self.trouble = trouble
        else:
            self.trouble = None
            self._take(view, cast("Entries", entries))
        if self.trouble is not None:
            self.tell()
        if self._timer is not None:
            self._timer.cancel()
        delay = _AGAIN_SECONDS if self.trouble else LOOK_SECONDS
        self._timer = asyncio.get_running_loop().call_later(delay, self.wake)

    def _after_last(self) -> str:
        return "({}-{}".format(*self._events[-1].id) if self._events else "-"

    def _take(self, view: JobView, entries: Entries) -> None:
        for entry_id, entry in entries:
            kind, data, name = entry[b"kind"].decode(), entry[b"data"].decode(), entry_id.decode()
            id = parse_event_id(name)
            if id is None:
                continue
            if kind == "attempt":
                self._events.clear()  # what was heard before is void, for those who still lag behind, too
            self._events.append(Event(id, frame(kind, data, name)))
            self._count += 1
        fields = json.dumps(view.fields, ensure_ascii=False, separators=(",", ":"))
        before, self.view, self.state = self.state, view, frame("state", fields, final_id(view))
        if entries or self.state != before:
            self.tell()


class Hub:
    """The listeners of one event loop. Holds a connection to Redis only while somebody listens."""

    def __init__(self, redis: "Redis", view: Callable[[str], Awaitable[JobView]]) -> None:
        self.redis = redis
        self.view = view
        self.places = asyncio.Semaphore(_LOOKS_AT_ONCE)
        self.closed = False
        self.watches: dict[str, Watch] = {}
        self._ear: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def listening(self, job_id: str) -> AsyncIterator[Watch]:
        """A watch over the job that has looked at it once. Raises JobNotFound, and RedisError where there is no telling."""
        watch = self.watches.get(job_id)
        if watch is None:
            watch = self.watches[job_id] = Watch(self, job_id)
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
                    changed = watch.changed
                    if watch.view is not None and _place(watch.view) != before:
                        return
                    await changed.wait()

    def close(self) -> None:
        """Let every listener go; who comes later is told the present and let go, too."""
        self.closed = True
        for watch in self.watches.values():
            watch.tell()
        self._hang_up()

    def _tidy(self, job_id: str, watch: Watch) -> None:
        if not watch.listeners:
            watch.close()
            del self.watches[job_id]
        if not self.watches:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._ear is not None:
            self._ear.cancel()
            self._ear = None

    async def _listen(self) -> None:
        """Hear the news for as long as there are listeners, through every outage of Redis."""
        while True:
            try:
                await self._hear()
            except (RedisError, OSError) as error:
                log.warning("No news from Redis: %s", error, extra={"action": "news_lost"})
            except Exception:
                log.exception("Hearing the news failed", extra={"action": "news_failed"})
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _hear(self) -> None:
        """Returns only by an exception. A connection on which nothing comes, not even to a ping, counts as lost."""
        async with self.redis.pubsub() as pubsub:
            await pubsub.subscribe(CHANNEL)
            asked = False
            while True:
                message = await pubsub.get_message(timeout=LOOK_SECONDS)
                if message is not None:
                    self._pass_on(message)
                    asked = False
                elif asked:
                    raise RedisAway("it has fallen silent")
                else:
                    await pubsub.ping()
                    asked = True

    def _pass_on(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":  # for the first time or again: nobody knows what was missed before
            for watch in self.watches.values():
                watch.wake()
        elif message["type"] == "message":
            watched = self.watches.get(message["data"].decode())
            if watched is not None:
                watched.wake()


def _place(view: JobView) -> tuple[str, str | None]:
    return view.fields["status"], view.fields["stage"]


def hub_of(state: State) -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in state.hubs:
        state.hubs[loop] = Hub(state.redis, lambda job_id: job_view(state, job_id))
    return state.hubs[loop]
