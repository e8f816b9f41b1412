"""What the routes share: settings, storage, the queue, and an asynchronous Redis for the questions asked most."""

import asyncio
import time
import weakref
from typing import TYPE_CHECKING, Annotated, Final, cast

import httpx
from fastapi import Depends, Request
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from api.outlook import Outlook
from steno.config import Settings
from steno.jobs.queue import DRIVER, JobQueue
from steno.jobs.roster import OFFERED, Roster
from steno.outbound import Resolver, guarded_client, resolve
from steno.storage import LocalStorage, Storage

if TYPE_CHECKING:
    from api.news import Hub

_OFFERS_SECONDS: Final = 1.0
_SOCKET_SECONDS: Final = 5.0
_ANSWER_HEADS: Final = 1 << 20
"""Room that the head of an answer may take, in bytes."""
_CONNECTIONS: Final = 50
"""To Redis at most; more questions than that at once wait for each other, where redis-py's plain pool would refuse them."""


class State:
    """Made with the app; connects to nothing until asked. Nothing in it matters to another process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.storage: Storage = LocalStorage(settings.upload_dir)
        self.queue = JobQueue(settings)
        self.roster = Roster(self.queue.redis)
        self.outlook = Outlook(self.roster)
        self.hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()
        """Who listens to jobs, by event loop: see api/news.py."""
        self.resolver: Resolver = resolve
        """Finds the addresses of hosts that clients name."""
        self._outward: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = (
            weakref.WeakKeyDictionary()
        )
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncRedis] = weakref.WeakKeyDictionary()
        self._offered: frozenset[str] = frozenset()
        self._offered_until = 0.0

    @property
    def redis(self) -> AsyncRedis:
        """The client of the running event loop: connections of another loop, perhaps a closed one, are of no use."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            pool = BlockingConnectionPool.from_url(
                self.settings.redis_address,
                max_connections=_CONNECTIONS,
                timeout=_SOCKET_SECONDS,
                socket_connect_timeout=_SOCKET_SECONDS,
                socket_timeout=_SOCKET_SECONDS,
                retry=Retry(ConstantBackoff(0.1), 1),
                driver_info=DRIVER,
            )
            client = AsyncRedis.from_pool(pool)
            self._clients[loop] = client
        return client

    @property
    def outward(self) -> httpx.AsyncClient:
        """The running event loop's client to fetch recordings with, behind the guard. Made when it is first needed: 50 ms.

        What frames a body in chunks may be as long as the body.
        """
        loop = asyncio.get_running_loop()
        if loop not in self._outward:
            self._outward[loop] = guarded_client(
                self.settings.url_networks,
                timeout=self.settings.upload_idle_limit,
                max_answer_bytes=2 * self.settings.max_file_size + _ANSWER_HEADS,
                resolver=self.resolver,
            )
        return self._outward[loop]

    async def offered(self) -> frozenset[str]:
        """The engines that live workers offer, up to a second old."""
        if time.monotonic() >= self._offered_until:
            names = await self.redis.zrangebyscore(OFFERED, time.time(), "+inf")
            self._offered = frozenset(map(bytes.decode, cast("list[bytes]", names)))
            self._offered_until = time.monotonic() + _OFFERS_SECONDS
        return self._offered

    async def close(self) -> None:
        if hub := self.hubs.pop(asyncio.get_running_loop(), None):
            hub.close()
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()
        outward = self._outward.pop(asyncio.get_running_loop(), None)
        if outward is not None:
            await outward.aclose()
        self.queue.redis.close()


def state_of(request: Request) -> State:
    state: State = request.app.state.steno
    return state


AppState = Annotated[State, Depends(state_of)]
"""What a route declares to be given the state."""
