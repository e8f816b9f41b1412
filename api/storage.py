"""Intake of an upload: from the socket straight into storage, counted, named and sniffed on the way.

One write, no spool, no copy: while a thread writes one batch of chunks, the event loop receives the next.
"""

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import filetype
from fastapi import Request

from api.errors import EmptyFile, FileTooLarge, NotAudio, OutOfSpace, UnsupportedFormat, UploadTooSlow, wrong_field
from api.forms import NATIVE, Form
from api.multipart import Event, PartBegin, PartData, PartEnd, multipart_events
from steno.config import Settings
from steno.jobs.submit import Submission
from steno.storage import Storage, Upload

_BATCH_BYTES: Final = 1 << 19
_BATCH_CHUNKS: Final = 1024
"""A client may send byte by byte, and each chunk costs memory of its own beside its bytes."""
SNIFFED_BYTES: Final = 8192
"""How much of a recording's beginning tells whether it is one."""
_FORM_BYTES: Final = 1 << 20
"""Room that fields and boundaries may take in a request beside its file."""
LONGEST_NAME: Final = 255
"""Characters of a file's name that are kept, for display."""


def refuse_early(request: Request, settings: Settings, storage: Storage) -> None:
    """Refuse what the headers alone rule out, before a byte of the body is read. Raises FileTooLarge, OutOfSpace."""
    length = request.headers.get("content-length", "")
    announced = int(length) if length.isascii() and length.isdigit() else 0
    if announced > settings.max_file_size + _FORM_BYTES:
        raise _too_large(settings.max_file_size)
    require_room(settings, storage, announced)


def require_room(settings: Settings, storage: Storage, size: int) -> None:
    """Raises OutOfSpace where so many bytes would not leave the floor of free space."""
    free = storage.free_bytes()
    if free is not None and free < max(size, _FORM_BYTES) + settings.min_free_bytes:
        raise OutOfSpace


def sniff(head: bytes | bytearray) -> None:
    """Look at the first bytes of a recording, some thousands or all. Raises EmptyFile, NotAudio."""
    if not head:
        raise EmptyFile
    kind = filetype.guess(head)
    if kind is not None and not kind.mime.startswith(("audio/", "video/")):
        raise NotAudio(f"The file's content is {kind.mime}, not audio, whatever its name says.")


class Sink(Protocol):
    """Where a writer's batches go: an Upload, or what stands before one."""

    def write(self, buffers: Sequence[memoryview]) -> None: ...


class Writer:
    """Hands batches of chunks to a sink in a thread, one batch at a time, while the next one gathers."""

    def __init__(self, sink: Sink, largest: int, head: bytes | None = b"") -> None:
        """`largest` is for all that is taken here. `head` begins the recording, if it came before; None: look at no bytes."""
        self._sink = sink
        self._largest = largest
        self._batch: list[memoryview] = []
        self._batched = 0
        self._writing: asyncio.Task[None] | None = None
        self._head = bytearray(head or b"")
        self._sniffed = head is None or len(head) >= SNIFFED_BYTES
        self.size = 0

    def take(self, data: memoryview) -> None:
        """Take a chunk. Raises FileTooLarge at the first byte over the limit, NotAudio."""
        self.size += len(data)
        if self.size > self._largest:
            raise _too_large(self._largest)
        if not self._sniffed:
            self._head += data[: SNIFFED_BYTES - len(self._head)]
            if len(self._head) >= SNIFFED_BYTES:
                self._sniff()
        self._batch.append(data)
        self._batched += len(data)

    async def flush_if_due(self) -> None:
        """Hand over what gathered, if it is enough to be worth a write. Raises StorageFull."""
        if self._batched >= _BATCH_BYTES or len(self._batch) >= _BATCH_CHUNKS:
            await self._flush()

    async def finish(self) -> None:
        """Return when everything taken, the whole recording, is written. Raises EmptyFile, NotAudio, StorageFull."""
        if not self._sniffed:
            self._sniff()
        await self.drain()

    async def drain(self) -> None:
        """Return when everything taken so far is written. Raises StorageFull."""
        await self._flush()
        await self._written()

    async def abandon(self) -> None:
        """Wait for the batch under way, if any, so that nothing is written after this."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
            if not self._writing.cancelled():
                self._writing.exception()  # looked at, so that asyncio does not log it as forgotten
            self._writing = None

    async def _flush(self) -> None:
        await self._written()
        batch, self._batch, self._batched = self._batch, [], 0
        if batch:
            self._writing = asyncio.create_task(asyncio.to_thread(self._sink.write, batch))

    async def _written(self) -> None:
        if self._writing is not None:
            await asyncio.shield(self._writing)
            self._writing = None

    def _sniff(self) -> None:
        self._sniffed = True
        sniff(self._head)


class Patience:
    """The time limits of an upload: for a pause, and for the whole. One timer, moved at most some times a second."""

    def __init__(self, timer: asyncio.Timeout, idle_limit: float, time_limit: float) -> None:
        self._timer = timer
        self._idle_limit = idle_limit
        self._heard = time.monotonic()
        self._deadline = self._heard + time_limit
        self._next_move = 0.0
        self._ended = False

    @property
    def silence(self) -> float:
        """Seconds since something arrived."""
        return time.monotonic() - self._heard

    def renew(self) -> None:
        """Something arrived: the pause begins anew."""
        now = self._heard = time.monotonic()
        if now >= self._next_move and not self._ended:
            loop_now = asyncio.get_running_loop().time()
            self._timer.reschedule(loop_now + min(self._idle_limit, self._deadline - now))
            self._next_move = now + min(self._idle_limit / 8, 0.25)

    def end(self) -> None:
        """Time is up now."""
        self._ended = True
        if not self._timer.expired():
            self._timer.reschedule(asyncio.get_running_loop().time())


@dataclass
class Intake:
    """Receives one form, of whatever door. `discard` removes what it stored, whatever state it is in."""

    settings: Settings
    storage: Storage
    form: Form = NATIVE
    fields: dict[str, list[str]] = field(default_factory=dict)
    upload: Upload | None = None
    _job_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    _audio: str = ""
    _filename: str = ""
    _writer: Writer | None = None
    _part: str = ""
    _in_file: bool = False
    _value: bytearray = field(default_factory=bytearray)

    async def receive(self, request: Request) -> Submission:
        """The form's file, in storage but not committed, and its options.

        Raises the ApiErrors of a bad form, StorageFull, and starlette's ClientDisconnect. Field order does not matter;
        whatever can be refused before the file is stored is.
        """
        try:
            async with asyncio.timeout(None) as timer:
                patience = Patience(timer, self.settings.upload_idle_limit, self.settings.upload_time_limit)
                patience.renew()
                async for events in multipart_events(request, self.settings.max_file_size + _FORM_BYTES):
                    patience.renew()
                    for event in events:
                        await self._follow(event)
                    if self._writer is not None:
                        await self._writer.flush_if_due()
        except TimeoutError as error:
            raise UploadTooSlow from error
        if self.upload is None:
            raise wrong_field("file", "Field required")
        options, handling = self.form.asked(self.settings, self.fields)
        return Submission(self.upload, self._job_id, self._audio, self._filename, options, handling)

    async def _follow(self, event: Event) -> None:
        match event:
            case PartData(data) if self._in_file and self._writer:
                self._writer.take(data)
            case PartData(data):
                self._value += data
            case PartBegin(name, filename):
                self._part, self._value, self._in_file = name, bytearray(), filename is not None
                if name in self.form.refused:
                    raise wrong_field(name, self.form.refused[name])
                if filename is not None:
                    await self._begin_file(name, filename)
            case PartEnd() if self._in_file and self._writer:
                await self._writer.finish()
            case PartEnd():
                self.fields.setdefault(self._part, []).append(self._value.decode("utf-8", "replace"))

    async def discard(self) -> None:
        """Remove the partial recording. Safe to call twice, and done even where the server is stopping."""
        try:
            if self._writer is not None:
                await self._writer.abandon()
            if self.upload is not None:
                await asyncio.to_thread(self.upload.discard)
        except asyncio.CancelledError:
            if self.upload is not None:
                self.upload.discard()  # here and now: a loop that ends comes back from no await
            raise

    async def _begin_file(self, name: str, filename: str) -> None:
        if name != "file":
            raise wrong_field(name, "Only the field 'file' may carry a file")
        if self.upload is not None:
            raise wrong_field("file", "Send one file a request")
        extension = extension_of(filename, self.settings)
        if self.form.first in self.fields:
            # Refuse a bad field before the file is received, where the client sent it first.
            self.form.asked(self.settings, self.fields)
        self._audio = f"audio.{extension}"
        self._filename = filename[:LONGEST_NAME]
        self.upload = await asyncio.to_thread(self.storage.create, self._job_id, self._audio)
        self._writer = Writer(self.upload, self.settings.max_file_size)


def extension_of(filename: str, settings: Settings) -> str:
    """In lower case. Raises UnsupportedFormat for one that this server does not accept."""
    extension = filename.rpartition(".")[2].lower() if "." in filename else ""
    if extension not in settings.allowed_formats:
        accepted = ", ".join(sorted(settings.allowed_formats))
        shown = f"'.{extension[:20]}'" if extension else "(the file's name has no extension)"
        raise UnsupportedFormat(f"Unsupported format {shown}; this server accepts {accepted}.")
    return extension


def _too_large(largest: int) -> FileTooLarge:
    return FileTooLarge(f"File too large; this server accepts at most {largest} bytes.")
