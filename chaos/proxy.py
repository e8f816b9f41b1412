"""The network between the service and Redis: a TCP proxy that can go silent in either direction, or cut every connection."""

import asyncio
import contextlib
import socket
import threading
from typing import Final

HOST: Final = "127.0.0.1"
_CHUNK: Final = 1 << 16
_END_SECONDS: Final = 5.0


class Proxy:
    """Listens on `port` and forwards to `target`. Every method may be called from any thread.

    Silent means a network that drops packets: nothing is forwarded, nothing is reset. The system still completes the handshake of
    a new connection, as it does for a server that hangs. What was on its way when the silence began arrives after it.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._socket = socket.create_server((HOST, 0), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._requests = asyncio.Event()
        self._answers = asyncio.Event()
        self._links: set[asyncio.StreamWriter] = set()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), name="proxy")

    def start(self) -> None:
        self._thread.start()

    def silence(self, answers_only: bool = False) -> None:
        """Forward nothing any more; or only requests, so that what is asked is done and nobody hears of it."""
        if not answers_only:
            self._loop.call_soon_threadsafe(self._requests.clear)
        self._loop.call_soon_threadsafe(self._answers.clear)

    def speak(self) -> None:
        """Forward again, first what was held back."""
        for way in (self._requests, self._answers):
            self._loop.call_soon_threadsafe(way.set)

    def cut(self) -> None:
        """Break every connection there is."""
        self._loop.call_soon_threadsafe(self._cut)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(_END_SECONDS)
        self._loop.close()

    async def _serve(self) -> None:
        self._requests.set()
        self._answers.set()
        server = await asyncio.start_server(self._connected, sock=self._socket)
        await self._over.wait()
        server.close()
        self._cut()
        mine = asyncio.current_task()
        rest = [task for task in asyncio.all_tasks() if task is not mine]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        links = [writer]
        self._links.add(writer)
        try:
            await self._requests.wait()
            back, there = await asyncio.open_connection(HOST, self._target)
            links.append(there)
            self._links.add(there)
            ways = [self._pump(reader, there, self._requests), self._pump(back, writer, self._answers)]
            tasks = [asyncio.ensure_future(way) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        except OSError:
            pass  # Redis is down: the client's connection is closed, as it would be refused
        finally:
            self._links.difference_update(links)
            for link in links:
                link.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await way.wait()
                writer.write(data)
                await writer.drain()

    def _cut(self) -> None:
        for link in tuple(self._links):
            link.transport.abort()
