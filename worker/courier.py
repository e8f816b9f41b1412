"""Delivers webhooks: a thread of every worker, with an event loop of its own, so that a deployment needs no further process.

Storage says what there is to deliver (`steno/webhooks/deliveries.py`), Redis when, and who is at it (`due.py`). Any number
of couriers share the work. One that is killed loses its lease, and another delivers the event again under the same id.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Coroutine
from typing import Any, Final

import httpx
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError

from steno.config import Settings
from steno.outbound import Resolver, guarded_client, resolve
from steno.storage import Storage, StorageFull
from steno.webhooks.deliveries import Clock, Event, Webhook, due_at, note, read, write
from steno.webhooks.due import Due
from worker.delivery import ATTEMPT_SECONDS, MAX_ANSWER_BYTES, attempt
from worker.lanes import Lanes, Ways

log = logging.getLogger(__name__)

PLACES: Final = 32
"""Deliveries at once, in this process."""
HOST_PLACES: Final = 4
"""Of these, to one host."""
RETRY_PLACES: Final = 16
"""Of these, of events that were tried before: receivers that are down may not crowd out those that are up."""
_LOOK_SECONDS: Final = 0.5
_REDIS_SECONDS: Final = 2.0
_SOCKET_SECONDS: Final = 5.0
_TROUBLE_SECONDS: Final = 60.0
"""After which a delivery is looked at again that failed on our own side: a full disk, a broken record."""
_WAIT_SECONDS: Final = 60.0
"""After which a delivery that waits for a place here may be claimed by whoever has one."""
_FAREWELL_SECONDS: Final = 2.0
"""How long a courier that is told to stop waits for the receivers it is talking to."""
_COMPLAINT_SECONDS: Final = 60.0
_ROOM_BYTES: Final = 1 << 20


class Courier:
    """Start it once, stop it once. Nothing that goes wrong in it reaches its worker."""

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        *,
        clock: Clock = time.time,
        resolver: Resolver = resolve,
        attempt_seconds: float = ATTEMPT_SECONDS,
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._clock = clock
        self._resolver = resolver
        self._attempt_seconds = attempt_seconds
        self._lanes = Lanes()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._live, name="courier", daemon=True)
        self._complain_at = 0.0
        self._redis_lost = False
        self._wake: asyncio.Event
        self._due: Due
        self._client: httpx.AsyncClient

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Claim nothing more, let what is under way end within seconds, and give the rest to other couriers."""
        self._stopping.set()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # its loop has ended
                self._loop.call_soon_threadsafe(self._wake.set)
        self._thread.join(_FAREWELL_SECONDS + 1)

    def _live(self) -> None:
        while not self._stopping.is_set():
            try:
                asyncio.run(self._serve())
            except Exception:
                log.exception("The courier stumbled; it goes on", extra={"action": "courier_failed"})
                self._stopping.wait(_REDIS_SECONDS)

    async def _serve(self) -> None:
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        redis = AsyncRedis.from_url(
            self._settings.redis_address,
            socket_connect_timeout=_SOCKET_SECONDS,
            socket_timeout=_SOCKET_SECONDS,
            retry=Retry(ConstantBackoff(0.1), 1),
        )
        self._due = Due(redis)
        self._client = guarded_client(
            self._settings.webhook_networks,
            timeout=self._attempt_seconds,
            max_answer_bytes=MAX_ANSWER_BYTES,
            resolver=self._resolver,
        )
        async with self._client, redis:
            try:
                while not self._stopping.is_set():
                    await self._rest(await self._round())
            finally:
                await self._take_leave()

    async def _round(self) -> float:
        """Claim what is due and begin to deliver it. Returns the seconds until the next look."""
        now, room = self._clock(), PLACES - len(self._tasks)
        try:
            if not self._settings.webhook_secrets:
                await self._complain(now)
                return _LOOK_SECONDS
            claimed = await self._due.claim(now, room) if room else []
        except RedisError as error:
            if not self._redis_lost:
                log.warning("Redis does not answer the courier: %s", error, extra={"action": "redis_lost"})
            self._redis_lost = True
            return _REDIS_SECONDS
        self._redis_lost = False
        for job_id in claimed:
            self._begin(self._handle(job_id, now))
        return _LOOK_SECONDS

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._wake.set()
        while not self._stopping.is_set() and len(self._tasks) < PLACES and (waited := self._lanes.ready()):
            self._begin(self._resume(*waited))

    async def _rest(self, seconds: float) -> None:
        """Until the time is over, a delivery ends, or the courier is to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _complain(self, now: float) -> None:
        if now < self._complain_at:
            return
        self._complain_at = now + _COMPLAINT_SECONDS
        if waiting := await self._due.waiting(now):
            log.error(
                "%d webhooks wait, but this worker has no STENO_WEBHOOK_SECRETS to sign them with; set it as for the API",
                waiting,
                extra={"action": "webhooks_unsigned"},
            )

    async def _take_leave(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FAREWELL_SECONDS)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _resume(self, job_id: str, ways: Ways) -> None:
        """A job that waited, whose places are taken; its lease has to be taken, too, unless somebody else was faster."""
        now = self._clock()
        try:
            if await self._due.hold(job_id, now):
                await self._handle(job_id, now, entered=True)
        except RedisError as error:  # it is still among those that are due
            log.warning("Redis does not answer the courier: %s", error, extra={"action": "redis_lost"})
        finally:
            self._lanes.leave(ways)

    async def _handle(self, job_id: str, since: float, entered: bool = False) -> None:
        """One claimed job, from its lease to the end of the lease."""
        next_at: float | None = since + _TROUBLE_SECONDS
        try:
            next_at = await self._deliver(job_id, since, entered)
        except asyncio.CancelledError:
            next_at = self._clock()
        except FileNotFoundError:
            next_at = None  # the job was deleted meanwhile, and its webhook with it
        except Exception:
            log.exception("Webhook of job %s could not be delivered", job_id, extra={"action": "webhook_error"})
        try:
            await self._due.finish(job_id, since, next_at)
        except RedisError as error:  # its lease runs out by itself
            log.warning("Redis does not answer the courier: %s", error, extra={"action": "redis_lost"})

    async def _deliver(self, job_id: str, since: float, entered: bool) -> float | None:
        """Deliver what is due of one job. Returns when to look at it again; None for never."""
        webhook = await asyncio.to_thread(self._told, job_id, since)
        event = webhook.next if webhook else None
        if webhook is None or event is None:
            return None
        if (moment := due_at(event, since)) > since:
            return moment
        if entered:
            return await self._attempt(job_id, since, webhook, event)
        ways = {f"host {httpx.URL(webhook.url).host}": HOST_PLACES}
        if event.attempts:
            ways["retries"] = RETRY_PLACES
        if not self._lanes.enter(job_id, ways):
            return since + _WAIT_SECONDS
        try:
            return await self._attempt(job_id, since, webhook, event)
        finally:
            self._lanes.leave(ways)

    def _told(self, job_id: str, now: float) -> Webhook | None:
        webhook = read(self._storage, job_id)
        return webhook and note(self._storage, job_id, webhook, now)

    def _require_room(self) -> None:
        """What comes of an attempt must be written down, or it is made again every minute. Raises StorageRefused."""
        free = self._storage.free_bytes()
        if free is not None and free < _ROOM_BYTES:
            raise StorageFull

    async def _attempt(self, job_id: str, since: float, webhook: Webhook, event: Event) -> float | None:
        await asyncio.to_thread(self._require_room)
        secrets, now = self._settings.webhook_secrets, self._clock()
        answer = await attempt(self._client, webhook.url, event, secrets, now, self._attempt_seconds)
        event = event.after(answer.attempt, answer.retry_after, self._clock())
        if await self._overtaken(job_id, since) or not await asyncio.to_thread(self._record, job_id, webhook, event):
            log.warning(
                "Webhook of job %s was taken over, or the job deleted", job_id, extra={"action": "webhook_overtaken"}
            )
            return None
        webhook = webhook.having(event)
        log.info(
            "Webhook %s of job %s: attempt %d, %s. %s",
            event.id,
            job_id,
            len(event.attempts),
            event.state,
            answer.attempt.error or "",
            extra={"action": f"webhook_{event.state}"},
        )
        return due_at(webhook.next, self._clock()) if webhook.next else None

    async def _overtaken(self, job_id: str, since: float) -> bool:
        with contextlib.suppress(RedisError):  # without Redis nobody else can have claimed it
            return await self._due.overtaken(job_id, since)
        return False

    def _record(self, job_id: str, known: Webhook, event: Event) -> bool:
        """Write the event down; False if somebody else wrote meanwhile, and so had the lease after us and is done."""
        if read(self._storage, job_id) != known:
            return False
        write(self._storage, job_id, known.having(event))
        return True
