"""One job under watch: what is known of it, shared by all who listen to it."""

import asyncio
import json
import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.errors import ApiError, JobNotFound
from api.views import JobView
from steno.jobs.news import STREAM_LENGTH, stream_key

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 15.0
"""How long a watched job goes without a look if no news of it comes: news can be lost, and its place in the queue has none."""
AGAIN_SECONDS: Final = 1.0
"""How long after Redis failed it is tried again."""
_PAUSE_SECONDS: Final = 0.1
"""Between two looks at a job, so that a burst of news costs a few looks and not one each."""
_WAKES_AT_ONCE: Final = 25
_BATCH: Final = 100

EventId = tuple[int, int]
"""Of an entry in a stream of Redis: milliseconds and a number within them, written `1764080000000-0`."""
Look = Callable[[str], Awaitable[JobView]]
"""Gives the view of a job by its id."""
Entries = list[tuple[bytes, dict[bytes, bytes]]]


@dataclass(frozen=True)
class Event:
    """An entry of a job's stream: `kind` is attempt or segment, `data` one line of JSON."""

    id: EventId
    kind: str
    data: str

    @property
    def frame(self) -> bytes:
        """As it goes to every listener."""
        return frame(self.kind, self.data, "{}-{}".format(*self.id))


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

    def __init__(self, job_id: str, redis: "Redis", view: Look, places: asyncio.Semaphore) -> None:
        self.listeners = 0
        self.view: JobView | None = None
        self.state = b""
        """The view as an event, without its result."""
        self.trouble: Exception | None = None
        """What the last look failed with."""
        self.version = 0
        """How often something has changed: take it before you look at the rest."""
        self._job_id = job_id
        self._redis = redis
        self._view = view
        self._places = places
        self._events: deque[Event] = deque(maxlen=STREAM_LENGTH)
        self._count = 0
        self._waiters: dict[asyncio.Future[None], None] = {}
        self._due = False
        self._closed = False
        self._looking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return isinstance(self.trouble, JobNotFound) or (self.view is not None and self.view.is_over)

    async def first_look(self) -> None:
        """Raises what it failed with: JobNotFound, RedisError."""
        while self.view is None and self.trouble is None:
            await self.change(self.version)
        if self.trouble is not None and (self.view is None or isinstance(self.trouble, JobNotFound)):
            raise self.trouble

    def position(self, last: EventId | None) -> int:
        """How many events there were up to this one; 0 for all that are kept to follow."""
        return self._count - sum(event.id > last for event in self._events) if last else 0

    def after(self, position: int) -> tuple[list[Event], int]:
        """The next few events and the position behind them. Those that are no longer kept are passed over."""
        gone = self._count - len(self._events)
        begin = max(position - gone, 0)
        events = list(islice(self._events, begin, begin + _BATCH))
        return events, gone + begin + len(events)

    def wake(self) -> None:
        """Look at the job, now or right after the look that is under way."""
        self._due = True
        if self._looking is None and not self._closed:
            self._looking = asyncio.create_task(self._look_while_due())

    async def change(self, seen: int) -> None:
        """Returns once there is another version than the one seen."""
        if self.version == seen:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters[waiter] = None
            try:
                await waiter
            finally:
                self._waiters.pop(waiter, None)

    def tell(self) -> None:
        """Wake every listener, a few at a time, so that whoever has nothing to do with them is served in between."""
        self.version += 1
        waiters, self._waiters = list(self._waiters), {}
        self._wake_some(waiters)

    def _wake_some(self, waiters: list[asyncio.Future[None]]) -> None:
        for waiter in waiters[:_WAKES_AT_ONCE]:
            if not waiter.done():
                waiter.set_result(None)
        if rest := waiters[_WAKES_AT_ONCE:]:
            asyncio.get_running_loop().call_soon(self._wake_some, rest)

    def close(self) -> None:
        """Nobody listens any more. A cancel alone would not do: some of redis-py's timeouts take it for their own."""
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None  # it knows this watch
        if self._timer is not None:
            self._timer.cancel()

    async def _look_while_due(self) -> None:
        while self._due and not self._closed:
            self._due = False
            async with self._places:
                await self._look()
            await asyncio.sleep(_PAUSE_SECONDS)
        self._looking = None

    async def _look(self) -> None:
        """The view before the stream: then no segment is missing when the view says that the job is over."""
        try:
            view = await self._view(self._job_id)
            entries = await self._entries(view)
        except (ApiError, RedisError) as trouble:
            self.trouble = trouble
        except Exception as trouble:
            log.exception("Job %s cannot be looked at", self._job_id, extra={"action": "look_failed"})
            self.trouble = trouble
        else:
            self.trouble = None
            self._take(view, entries)
        if self.trouble is not None:
            self.tell()
        if self._timer is not None:
            self._timer.cancel()
        if not self._closed:
            delay = AGAIN_SECONDS if self.trouble else LOOK_SECONDS
            self._timer = asyncio.get_running_loop().call_later(delay, self.wake)

    async def _entries(self, view: JobView) -> Entries:
        """What is new in the stream. That a job is over can be told without Redis."""
        after_last = "({}-{}".format(*self._events[-1].id) if self._events else "-"
        try:
            return cast("Entries", await self._redis.xrange(stream_key(self._job_id), min=after_last))
        except RedisError:
            if view.is_over:
                return []
            raise

    def _take(self, view: JobView, entries: Entries) -> None:
        for entry_id, entry in entries:
            kind, data, name = entry[b"kind"].decode(), entry[b"data"].decode(), entry_id.decode()
            id = parse_event_id(name)
            if id is None:
                continue
            if kind == "attempt":
                self._events.clear()  # what was heard before is void, for those who still lag behind, too
            self._events.append(Event(id, kind, data))
            self._count += 1
        fields = json.dumps(view.fields, ensure_ascii=False, separators=(",", ":"))
        before, self.view, self.state = self.state, view, frame("state", fields, final_id(view))
        if entries or self.state != before:
            self.tell()
