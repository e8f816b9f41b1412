"""Intake of an upload: from the socket straight into storage, counted, named and sniffed on the way.

One write, no spool, no copy: while a thread writes one batch of chunks, the event loop receives the next.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from fastapi import Request

from api.errors import EmptyFile, InvalidField, UploadTooSlow, wrong_field
from api.forms import NATIVE, Form
from api.kinds import (
    SAMPLES_EXTENSION,
    SAMPLES_HEAD,
    SNIFFED_BYTES,
    extension_by_content,
    extension_by_name,
    extension_of,
    sniff,
)
from api.multipart import Event, PartBegin, PartData, PartEnd, multipart_events
from api.room import FORM_BYTES, Floor, Sink, too_large
from steno.config import Settings
from steno.jobs.record import RECORDING
from steno.jobs.submit import Submission
from steno.storage import Storage, Upload

_BATCH_BYTES: Final = 1 << 19
_BATCH_CHUNKS: Final = 1024
"""A client may send byte by byte, and each chunk costs memory of its own beside its bytes."""
LONGEST_NAME: Final = 255
"""Characters of a file's name that are kept, for display."""
FILE_OR_URL: Final = "Send either a file or a url, not both"


class Writer:
    """Hands batches of chunks to a sink in a thread, one batch at a time, while the next one gathers."""

    def __init__(self, sink: Sink, largest: int, head: bytes | None = b"", before: bytes = b"") -> None:
        """`largest` is for all that is taken here. `head` begins the recording, if it came before; None: look at no bytes.

        With `before`, that is written first, and what follows is raw, so that nothing can be told from its first bytes.
        """
        self._sink = sink
        self._largest = largest
        self._batch: list[memoryview] = [memoryview(before)] if before else []
        self._batched = 0
        self._writing: asyncio.Task[None] | None = None
        self._head = bytearray(head or b"")
        self._sniffed = bool(before) or head is None or len(head) >= SNIFFED_BYTES
        self.size = 0

    def take(self, data: memoryview) -> None:
        """Take a chunk. Raises FileTooLarge at the first byte over the limit, NotAudio."""
        self.size += len(data)
        if self.size > self._largest:
            raise too_large(self._largest)
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
        if not self.size:
            raise EmptyFile
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
    _is: Literal["field", "file", "passed over"] = "field"
    _value: bytearray = field(default_factory=bytearray)
    """Of a field; and of a file the first bytes, until they have told what it is."""

    async def receive(self, request: Request, fetch: "Fetch | None" = None) -> Submission:
        """The form's file, in storage but not committed, and its options. Once the form is read, `fetch` may bring the file.

        Raises the ApiErrors of a bad form, StorageFull, and starlette's ClientDisconnect. Field order does not matter;
        whatever can be refused before the file is stored is.
        """
        try:
            async with asyncio.timeout(None) as timer:
                patience = Patience(timer, self.settings.upload_idle_limit, self.settings.upload_time_limit)
                patience.renew()
                async for events in multipart_events(request, self.settings.max_file_size + FORM_BYTES):
                    patience.renew()
                    for event in events:
                        await self._follow(event)
                    if self._writer is not None:
                        await self._writer.flush_if_due()
        except TimeoutError as error:
            raise UploadTooSlow from error
        if fetch is not None:
            await fetch(self)
        if self.upload is None:
            raise wrong_field(self.form.file, "Field required")
        options, handling = self.form.asked(self.settings, self.fields)
        return Submission(self.upload, self._job_id, self._audio, self._filename, options, handling, fields=self.fields)

    async def _follow(self, event: Event) -> None:
        match event:
            case PartData(data) if self._is == "file":
                await self._take(data)
            case PartData(data) if self._is == "field":
                self._value += data
            case PartBegin(name, filename):
                self._part, self._value, self._is = name, bytearray(), "field"
                if name in self.form.refused:
                    raise wrong_field(name, self.form.refused[name])
                if filename is not None:
                    await self._begin_file(name, filename)
            case PartEnd() if self._is == "file":
                await self._end_file()
            case PartEnd() if self._is == "field":
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
        if name != self.form.file and self.form.others_pass:
            self._is = "passed over"
            return
        if name != self.form.file:
            raise wrong_field(name, f"Only the field '{self.form.file}' may carry a file")
        if self.upload is not None:
            raise wrong_field(name, "Send one file a request")
        if self.form.takes_urls and any(self.fields.get("url", ())):
            raise wrong_field("url", FILE_OR_URL)
        self._is, self._filename = "file", filename[:LONGEST_NAME]
        extension = SAMPLES_EXTENSION if self.form.taken == "as_samples" else extension_of(filename, self.settings)
        if extension is None and self.form.taken == "by_name":
            extension = extension_by_name(filename, self.settings)
        if self.form.first in self.fields:
            self._refuse_early()
        if extension is not None:
            await self._store_as(extension)

    def _refuse_early(self) -> None:
        """Refuse a bad field before the file is received, where the client sent it first and nothing after it can mend it."""
        try:
            self.form.asked(self.settings, self.fields)
        except InvalidField as error:
            if not error.is_tentative:
                raise

    async def begin(self, filename: str) -> Writer:
        """Open storage for the recording of this name, and hand out its writer. Raises UnsupportedFormat, StorageFull."""
        extension = extension_by_name(filename, self.settings)
        self._filename = filename[:LONGEST_NAME]
        return await self._store_as(extension)

    async def _take(self, data: memoryview) -> None:
        """A piece of the file, kept back until it is known what to store it as."""
        if self._writer is not None:
            self._writer.take(data)
            return
        self._value += data
        if len(self._value) >= SNIFFED_BYTES:
            await self._store_by_content()

    async def _end_file(self) -> None:
        if self._writer is None:
            await self._store_by_content()
        if self._writer is not None:
            await self._writer.finish()

    async def _store_by_content(self) -> None:
        if not self._value:
            raise EmptyFile
        writer = await self._store_as(extension_by_content(self._value, self._filename, self.settings))
        writer.take(memoryview(bytes(self._value)))

    async def _store_as(self, extension: str) -> Writer:
        self._audio = f"{RECORDING}{extension}"
        creating = asyncio.create_task(asyncio.to_thread(self.storage.create, self._job_id, self._audio))
        try:
            self.upload = await asyncio.shield(creating)
        except asyncio.CancelledError:
            self.upload = await creating  # the thread does not stop: `discard` must know what it made
            raise
        before = SAMPLES_HEAD if self.form.taken == "as_samples" else b""
        self._writer = Writer(
            Floor(self.upload, self.settings, self.storage), self.settings.max_file_size, before=before
        )
        return self._writer


Fetch = Callable[[Intake], Awaitable[None]]
"""Brings the recording that a form names instead of holding it. Raises ApiErrors, StorageFull, and ClientDisconnect."""
