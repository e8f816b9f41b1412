"""The bytes of one request on their way to the end of an upload, while a lock keeps every other request away."""

import asyncio
import contextlib
import hashlib
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request

from api import errors
from api.alone import Busy, Hold, alone
from api.kinds import SNIFFED_BYTES, sniff
from api.multipart import ClientDisconnect
from api.news import hub_of
from api.room import Floor, require_room
from api.state import State
from api.storage import Patience, Writer
from api.tus.headers import Checksum, natural
from steno.jobs.record import RECORDING
from steno.storage import Upload

PIECE: Final = f"{RECORDING}piece"
_LOCK: Final = "steno:uploading:"
_PATIENCE_SHARE: Final = 0.4
"""Of a lock's life: how long a request waits for another to let go. Longer than one that ends needs to notice."""

_GO_ON: Final = "What came is kept: ask with HEAD where the upload is and go on from there."
_LOST: Final = f"The job queue (Redis) cannot be reached, and with it the lock on this upload. {_GO_ON}"


@contextlib.asynccontextmanager
async def uploading(state: State, upload_id: str) -> AsyncIterator[Hold]:
    """Alone with an upload. Another request that hears nothing of its client lets go. Raises UploadLocked, RedisError."""
    seconds = state.settings.tus_lock
    async with contextlib.AsyncExitStack() as stack:
        try:
            entering = alone(state.redis, _LOCK + upload_id, seconds, seconds * _PATIENCE_SHARE)
            hold = await stack.enter_async_context(entering)
        except Busy as error:
            raise errors.UploadLocked from error
        yield hold


def require(hold: Hold) -> None:
    """Raises QueueUnavailable where the lock may be another's."""
    if not hold.is_ours:
        raise errors.QueueUnavailable(_LOST)


@dataclass
class Fence:
    """Stands before an upload: nothing passes once the lock may be another's, since this process was frozen, or could not reach
    Redis, for too long. What passes is hashed, if asked.
    """

    upload: Upload
    hold: Hold
    hash: Any = None

    def write(self, buffers: Sequence[memoryview]) -> None:
        require(self.hold)
        self.upload.write(buffers)
        if self.hash is not None:
            for buffer in buffers:
                self.hash.update(buffer)


@dataclass
class Piece:
    """What one request brings: at most `room` bytes for the end of an upload. A partial one may hold anything."""

    state: State
    hold: Hold
    upload: Upload
    room: int
    is_partial: bool
    _ended_by: errors.ApiError | None = None

    async def receive(self, request: Request, checksum: Checksum | None) -> None:
        """Append the request's body. What came of one that breaks off stays, unless a checksum was to tell that it is right.

        Raises UploadTooLarge (what fits stays), NotAudio, ChecksumMismatch, OutOfSpace, StorageFull, ClientDisconnect, and
        UploadTooSlow, UploadLocked, ServerStops or QueueUnavailable where the request is not waited for any longer.
        """
        announced = natural(request.headers, "Content-Length") or 0
        if announced > self.room:
            raise errors.UploadTooLarge(f"The upload has room for {self.room} bytes more.")
        head = await asyncio.to_thread(self._head_if_room, announced)
        if checksum is None:
            await self._take(request, Fence(self.upload, self.hold), head)
        else:
            await self._take_if_right(request, checksum)

    def _head_if_room(self, announced: int) -> bytes | None:
        """The first bytes that came before, None where nobody need look at them. Raises OutOfSpace."""
        require_room(self.state.settings, self.state.storage, announced)
        return None if self.is_partial or self.upload.size >= SNIFFED_BYTES else self.upload.head(SNIFFED_BYTES)

    async def _take_if_right(self, request: Request, checksum: Checksum) -> None:
        """By way of a folder of its own: no kill may leave bytes in the upload that nobody has checked."""
        aside = await asyncio.to_thread(self.state.storage.create, str(uuid.uuid4()), PIECE)
        try:
            fence = Fence(aside, self.hold, hashlib.new(checksum.algorithm, usedforsecurity=False))
            await self._take(request, fence, None)
            if fence.hash.digest() != checksum.digest:
                raise errors.ChecksumMismatch
            await asyncio.to_thread(self._append, aside)
        finally:
            await asyncio.to_thread(aside.discard)

    def _append(self, aside: Upload) -> None:
        require(self.hold)
        require_room(self.state.settings, self.state.storage, aside.size)
        self.upload.append(aside)
        if not self.is_partial and self.upload.size >= SNIFFED_BYTES:
            sniff(self.upload.head(SNIFFED_BYTES))

    async def _take(self, request: Request, fence: Fence, head: bytes | None) -> None:
        writer = Writer(Floor(fence, self.state.settings, self.state.storage), self.room, head)
        try:
            await self._follow(request, writer)
            await writer.drain()
        except (ClientDisconnect, errors.UploadTooLarge):
            await writer.drain()
            raise
        except TimeoutError as error:
            await writer.drain()
            raise self._ended_by or errors.UploadTooSlow(f"The upload paused or took too long. {_GO_ON}") from error
        finally:
            await writer.abandon()

    async def _follow(self, request: Request, writer: Writer) -> None:
        """Raises TimeoutError where the request is not waited for any longer."""
        settings = self.state.settings
        async with asyncio.timeout(None) as timer:
            patience = Patience(timer, settings.upload_idle_limit, settings.upload_time_limit)
            patience.renew()
            self.hold.on_news = lambda: self._look(patience)
            try:
                async for chunk in request.stream():
                    patience.renew()
                    fits = memoryview(chunk)[: self.room - writer.size]
                    writer.take(fits)
                    await writer.flush_if_due()
                    if len(fits) < len(chunk):
                        raise errors.UploadTooLarge(f"The body is longer than the {self.room} bytes that were missing.")
            finally:
                self.hold.on_news = lambda: None

    def _look(self, patience: Patience) -> None:
        """End a request that has lost its lock, or that others should not have to wait for."""
        if not self.hold.is_ours:
            self._ended_by = errors.QueueUnavailable(_LOST)
        elif hub_of(self.state).closed:
            self._ended_by = errors.ServerStops(f"The server stops. {_GO_ON}")
        elif self.hold.is_wanted and patience.silence >= self.hold.seconds:
            self._ended_by = errors.UploadLocked(
                f"Another request asked for the upload while this one was silent. {_GO_ON}"
            )
        else:
            return
        patience.end()
