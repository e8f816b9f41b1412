"""An upload that is given up while a thread still writes it: the thread ends first, then everything goes."""

import asyncio
import gc
import time
from collections.abc import Sequence
from typing import Any

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Message

from api.errors import InvalidField
from api.storage import Intake
from api.tests.wire import MIB, MULTIPART, SOUND, field, form, recording
from steno.config import Settings
from steno.storage import LocalStorage, StorageFull
from steno.storage.local import LocalUpload

ENGINE = field("engine", "faster-whisper")
LONG = form(ENGINE, recording(SOUND + b"\x07" * 3 * MIB))
GONE: Message = {"type": "http.disconnect"}


class SlowUpload(LocalUpload):
    """On a disk that takes its time, and that may be full in the end."""

    writing = False
    full = False
    discarded = 0

    def write(self, buffers: Sequence[memoryview]) -> None:
        self.writing = True
        time.sleep(0.3)
        if self.full:
            self.writing = False
            raise StorageFull
        super().write(buffers)
        self.writing = False

    def discard(self) -> None:
        assert not self.writing, "discarded under the hands of its writer"
        self.discarded += 1
        super().discard()


class SlowStorage(LocalStorage):
    def __init__(self, settings: Settings, full: bool = False) -> None:
        super().__init__(settings.upload_dir)
        self.full, self.uploads = full, list[SlowUpload]()

    def create(self, job_id: str, audio: str) -> SlowUpload:
        upload = SlowUpload(self._root, job_id, audio)
        upload.full = self.full
        self.uploads.append(upload)
        return upload


def body(data: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": data, "more_body": more}


def request(*messages: Message) -> Request:
    """A request to which these messages come; then nothing more."""
    left = [*messages]

    async def receive() -> Message:
        await asyncio.sleep(0)
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    scope: dict[str, Any] = {"type": "http", "method": "POST", "headers": [(b"content-type", MULTIPART.encode())]}
    return Request(scope, receive)


def given_up(
    settings: Settings, storage: SlowStorage, *messages: Message, cancel: bool = False
) -> type[BaseException] | None:
    """How the intake of these messages ended; its recording discarded, its folder empty."""

    async def cancel_while_writing(limit: asyncio.Timeout) -> None:
        while not (storage.uploads and storage.uploads[0].writing):
            await asyncio.sleep(0.01)
        limit.reschedule(0)

    async def intake() -> type[BaseException] | None:
        taking = Intake(settings, storage)
        try:
            async with asyncio.timeout(None) as limit:
                _task = asyncio.create_task(cancel_while_writing(limit)) if cancel else None
                await taking.receive(request(*messages))
        except (ClientDisconnect, InvalidField, StorageFull, TimeoutError) as error:
            await taking.discard()
            await taking.discard()
            return type(error)
        return None

    ended = asyncio.run(intake())
    assert [upload.discarded for upload in storage.uploads] == [2]
    assert list(storage.root.iterdir()) == []
    return ended


BATCH = body(LONG[: MIB + 100_000])


@pytest.mark.parametrize(
    ("messages", "ending"),
    [
        ([BATCH, GONE], ClientDisconnect),
        ([BATCH], TimeoutError),
        ([BATCH, body(b"\r\n" + form(field("note", "x" * 70_000)))], InvalidField),
    ],
    ids=["client gone", "cancelled", "bad field"],
)
def test_nothing_is_removed_before_the_last_write_ends(
    settings: Settings, messages: list[Message], ending: type[BaseException]
) -> None:
    assert given_up(settings, SlowStorage(settings), *messages, cancel=ending is TimeoutError) is ending


def test_a_disk_that_fills_while_the_client_leaves_is_no_error_in_the_log(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assert given_up(settings, SlowStorage(settings, full=True), BATCH, GONE) is ClientDisconnect
    gc.collect()
    assert not caplog.records


def test_a_disk_that_fills_behind_the_reader_is_noticed_at_the_end(settings: Settings) -> None:
    storage = SlowStorage(settings, full=True)

    async def intake() -> None:
        taking = Intake(settings, storage)
        with pytest.raises(StorageFull):
            await taking.receive(request(body(LONG, more=False)))
        await taking.discard()

    asyncio.run(intake())
    assert list(storage.root.iterdir()) == []


def test_a_folder_that_is_made_while_the_client_leaves_is_removed(settings: Settings) -> None:
    """The thread that makes it cannot be stopped."""

    class LateStorage(LocalStorage):
        def create(self, job_id: str, audio: str) -> LocalUpload:
            time.sleep(0.2)
            return LocalUpload(self._root, job_id, audio)

    storage = LateStorage(settings.upload_dir)

    async def intake() -> None:
        taking = Intake(settings, storage)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await taking.begin("talk.wav")
        assert taking.upload is not None
        await taking.discard()

    asyncio.run(intake())
    assert list(storage.root.iterdir()) == []
