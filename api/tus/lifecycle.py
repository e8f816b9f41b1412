"""What becomes of an upload: begun, advanced piece by piece or made of others, and once it is whole a job of the same id.

The step from whole to job is safe to take again: whoever is asked for a whole upload that is no job yet takes it.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from fastapi import Request
from redis.exceptions import RedisError

from api import errors
from api.alone import Hold
from api.errors import wrong_field
from api.forms import asked_for
from api.kinds import SNIFFED_BYTES, extension_by_name, sniff
from api.models import UrlRequest
from api.problems import log_unusable
from api.room import require_room
from api.state import State
from api.storage import LONGEST_NAME
from api.tus import headers
from api.tus.piece import PIECE, Piece, require, uploading
from api.tus.record import Found, UploadRecord, find, opened
from steno.config import Settings
from steno.jobs.record import RECORDING, REQUEST, UPLOAD
from steno.jobs.submit import Submission, submit
from steno.storage import Storage, StorageFull, StorageUnusable, Upload

_FINALS: Final = uuid.UUID("0d4c7a8e-5a51-4c0c-9d6b-6f4b5d0f1c27")
"""Namespace of the ids of uploads that are made of others: a request that is sent again makes the same one."""


async def look_up(state: State, upload_id: str) -> Found:
    """Raises UploadNotFound, UploadExpired."""
    return await asyncio.to_thread(find, state.settings, state.storage, upload_id)


async def create(request: Request, state: State) -> Found:
    """Begin an upload, with its first bytes if the request brings some. One that is refused or breaks off leaves nothing.

    Raises the ApiErrors of wrong headers and fields, those of `Piece.receive`, RedisError, StorageFull.
    """
    if (parts := headers.parts(request.headers)) is not None:
        return await _concatenate(request, state, parts)
    record = _asked(request, state.settings)
    await asyncio.to_thread(require_room, state.settings, state.storage, record.length or 0)
    await state.redis.ping()
    upload_id = str(uuid.uuid4())
    try:
        await asyncio.to_thread(_begin, state.storage, upload_id, record)
        if not headers.brings_bytes(request.headers):
            return await look_up(state, upload_id)
        async with uploading(state, upload_id) as hold:
            return await _advance(request, state, hold, upload_id, 0, resumable=False)
    except BaseException:
        await asyncio.shield(asyncio.to_thread(_undo, state.storage, upload_id))
        raise


def _undo(storage: Storage, upload_id: str) -> None:
    """Raises nothing: what cannot be removed now goes when it is old, and why the upload was refused matters more."""
    with contextlib.suppress(OSError):
        storage.delete(upload_id)


async def advance(request: Request, state: State, upload_id: str) -> Found:
    """Append the request's body, from the offset that it names. Raises as `create`, and OffsetMismatch, FinalUpload."""
    if not headers.brings_bytes(request.headers):
        raise errors.NotOffsetStream
    offset = headers.natural(request.headers, "Upload-Offset")
    if offset is None:
        raise errors.BadTusHeader("Upload-Offset is missing: say where the bytes belong.")
    async with uploading(state, upload_id) as hold:
        try:
            return await _advance(request, state, hold, upload_id, offset, resumable=True)
        except (errors.NotAudio, errors.EmptyFile):
            await asyncio.to_thread(state.storage.delete, upload_id)
            raise
        except RedisError as error:
            raise errors.QueueUnavailable(f"{_WHOLE} The job queue (Redis) cannot be reached.") from error
        except (StorageFull, errors.OutOfSpace) as error:
            raise errors.OutOfSpace(
                "The server has no disk space left; what came is kept, so go on from there later."
            ) from error
        except StorageUnusable as error:
            log_unusable(error)
            raise errors.StorageUnavailable(f"{_UNWRITABLE} go on from there later.") from error


async def settle(state: State, upload_id: str) -> Found:
    """The upload when no other request is at work on it; one that is whole is made a job, if that has yet to be done.

    Without Redis what storage says is told. Raises UploadNotFound, UploadExpired, UploadLocked, NotAudio, EmptyFile.
    """
    try:
        return await _settled(state, upload_id)
    except StorageUnusable as error:
        log_unusable(error)
        raise errors.UploadLocked(f"{_UNWRITABLE} ask again later.") from error


async def _settled(state: State, upload_id: str) -> Found:
    found = await look_up(state, upload_id)
    if found.is_job:
        return found
    try:
        async with uploading(state, upload_id) as hold:
            found, upload = await asyncio.to_thread(opened, state.settings, state.storage, upload_id)
            if upload is not None:
                try:
                    found = await _made_job(state, hold, found, upload, resumable=True) if found.is_due else found
                finally:
                    await asyncio.to_thread(upload.leave)
    except (errors.NotAudio, errors.EmptyFile):
        await asyncio.to_thread(state.storage.delete, upload_id)
        raise
    except (RedisError, StorageFull, errors.QueueUnavailable) as error:
        found = await look_up(state, upload_id)
        if found.is_due:
            # Not 503 or 507: clients take any answer but "locked" for the end of this upload, and begin another.
            raise errors.UploadLocked(_WHOLE) from error
    return found


async def _advance(
    request: Request, state: State, hold: Hold, upload_id: str, offset: int, *, resumable: bool
) -> Found:
    checksum = headers.checksum(request.headers)
    found, upload = await asyncio.to_thread(opened, state.settings, state.storage, upload_id)
    try:
        if found.record.is_final:
            raise errors.FinalUpload
        if offset != found.size:
            raise errors.OffsetMismatch(f"The upload is at {found.size}, not at {offset}; go on from there.")
        if upload is None:
            return found
        record = await _with_length(request, state, found)
        room = (state.settings.max_file_size if record.length is None else record.length) - offset
        await Piece(state, hold, upload, room, record.is_partial).receive(request, checksum)
        expires_at = time.time() + state.settings.tus_expiry
        found = replace(found, record=record, size=upload.size, expires_at=expires_at)
        return await _made_job(state, hold, found, upload, resumable=resumable) if found.is_due else found
    finally:
        if upload is not None:
            await asyncio.to_thread(upload.leave)


async def _made_job(state: State, hold: Hold, found: Found, upload: Upload, *, resumable: bool) -> Found:
    """Raises NotAudio, EmptyFile, RedisError, StorageFull, and QueueUnavailable where the lock is lost."""
    record = found.record
    sniff(await asyncio.to_thread(upload.head, SNIFFED_BYTES))
    require(hold)
    if record.options is None or record.handling is None:
        raise TypeError("a partial upload is no job")
    sent = Submission(
        upload, found.upload_id, record.audio, record.filename, record.options, record.handling, resumable=resumable
    )
    # Shielded, so that it can end what it began if this request is cancelled meanwhile; else the next HEAD does it.
    await asyncio.shield(asyncio.to_thread(submit, state.storage, state.queue, sent))
    return replace(found, is_job=True)


async def _with_length(request: Request, state: State, found: Found) -> UploadRecord:
    """The record with the length, where that has come with this request. Raises BadTusHeader, UploadTooLarge, StorageFull."""
    length, record = headers.natural(request.headers, "Upload-Length"), found.record
    if length is None or length == record.length:
        return record
    if record.length is not None or length < found.size:
        raise errors.BadTusHeader(f"Upload-Length cannot become {length}.")
    _require_size(state.settings, length)
    record = replace(record, length=length)
    await asyncio.to_thread(state.storage.put, found.upload_id, UPLOAD, record.to_dict())
    return record


async def _concatenate(request: Request, state: State, parts: Sequence[str]) -> Found:
    """Make an upload of others, and a job of it; the others go. Sent again, it is answered with the same job."""
    record = _asked(request, state.settings)
    upload_id = str(uuid.uuid5(_FINALS, " ".join(parts)))
    async with uploading(state, upload_id) as hold:
        if not await asyncio.to_thread(state.storage.has, upload_id, REQUEST):
            await asyncio.to_thread(state.storage.delete, upload_id)  # what a process that died has left
            record = await asyncio.to_thread(_with_length_of_parts, state, record, parts)
            upload = await asyncio.to_thread(_assembled, state.storage, upload_id, record, parts)
            try:
                found = await look_up(state, upload_id)
                await _made_job(state, hold, found, upload, resumable=False)
            finally:
                await asyncio.to_thread(_end, state.storage, upload_id, upload)
        for part in parts:
            await asyncio.to_thread(state.storage.delete, part)
    return await look_up(state, upload_id)


def _assembled(storage: Storage, upload_id: str, record: UploadRecord, parts: Sequence[str]) -> Upload:
    """The new upload, not committed, holding what the parts hold."""
    upload = storage.create(upload_id, record.audio)
    try:
        for part in parts:
            piece = storage.resume(part, PIECE)
            try:
                upload.append(piece)
            finally:
                piece.leave()
        storage.put(upload_id, UPLOAD, record.to_dict())
    except FileNotFoundError as error:
        upload.discard()
        raise errors.UploadNotFound("A part of the upload was deleted just now.") from error
    except BaseException:
        upload.discard()
        raise
    return upload


def _end(storage: Storage, upload_id: str, upload: Upload) -> None:
    """Nothing stays of an upload that could not be made a job."""
    upload.leave()
    if not storage.has(upload_id, REQUEST):
        _undo(storage, upload_id)


def _with_length_of_parts(state: State, record: UploadRecord, parts: Sequence[str]) -> UploadRecord:
    """Raises UploadNotFound, UploadExpired, BadTusHeader, UploadTooLarge, OutOfSpace."""
    length = 0
    for part in parts:
        found = find(state.settings, state.storage, part)
        if not (found.record.is_partial and found.is_whole):
            what = "has bytes missing" if found.record.is_partial else "is not a partial upload"
            raise errors.BadTusHeader(f"Upload-Concat: {headers.PREFIX}/{part} {what}.")
        length += found.size
    _require_size(state.settings, length)
    require_room(state.settings, state.storage, length)
    return replace(record, length=length)


def _begin(storage: Storage, upload_id: str, record: UploadRecord) -> None:
    storage.create(upload_id, record.audio).leave()
    storage.put(upload_id, UPLOAD, record.to_dict())


def _asked(request: Request, settings: Settings) -> UploadRecord:
    """What the headers of a creation ask for. Raises BadTusHeader, UploadTooLarge, EmptyFile, InvalidField, UnsupportedFormat."""
    given = request.headers
    concat, length = given.get("upload-concat"), headers.natural(given, "Upload-Length")
    pairs = {name: value for name, value in headers.metadata(given).items() if value}
    is_final = concat is not None and concat != "partial"
    if [length is not None, headers.is_deferred(given), is_final].count(True) != 1:
        raise errors.BadTusHeader("Send one of Upload-Length, Upload-Defer-Length: 1, and Upload-Concat: final;...")
    for name in UrlRequest.model_fields.keys() & pairs:
        raise wrong_field(name, "Send either a file or a url: an upload is a file")
    _require_size(settings, length or 0)
    common: dict[str, Any] = {"length": length, "metadata": given.get("upload-metadata"), "concat": concat}
    if concat == "partial":
        return UploadRecord(PIECE, pairs.get("filename", ""), options=None, handling=None, **common)
    if length == 0:
        raise errors.EmptyFile
    filename = pairs.get("filename")
    if filename is None:
        raise wrong_field("filename", "Field required in Upload-Metadata")
    extension = extension_by_name(filename, settings)
    options, handling = asked_for(settings, pairs)
    return UploadRecord(
        f"{RECORDING}{extension}", filename[:LONGEST_NAME], options=options, handling=handling, **common
    )


def _require_size(settings: Settings, size: int) -> None:
    if size > settings.max_file_size:
        raise errors.UploadTooLarge(f"Too large; this server accepts at most {settings.max_file_size} bytes.")


_WHOLE: Final = (
    "Every byte is here, but the upload cannot be made a job just now; ask with HEAD in some seconds, and it will be."
)
_UNWRITABLE: Final = "The server cannot write its folder of recordings just now; what came is kept, so"
