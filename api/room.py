"""Room for a recording: what a request may bring at most, and the disk space that must stay free whatever is announced."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from fastapi import Request

from api.errors import FileTooLarge, OutOfSpace
from steno.config import Settings
from steno.storage import Storage

FORM_BYTES: Final = 1 << 20
"""Room that fields and boundaries may take in a request beside its file."""
_LOOK_BYTES: Final = 16 << 20
"""So many are written between two looks at the disk."""


def refuse_early(request: Request, settings: Settings, storage: Storage) -> None:
    """Refuse what the headers alone rule out, before a byte of the body is read. Raises FileTooLarge, OutOfSpace."""
    refuse_announced(request.headers, settings, storage, FORM_BYTES)


def refuse_announced(headers: Mapping[str, str], settings: Settings, storage: Storage, beside: int = 0) -> None:
    """The same of any message with a recording, and so many bytes `beside` it."""
    length = headers.get("content-length", "")
    announced = int(length[:25]) if length.isascii() and length.isdigit() else 0
    if announced > settings.max_file_size + beside:
        raise too_large(settings.max_file_size)
    require_room(settings, storage, announced)


def require_room(settings: Settings, storage: Storage, size: int = 0) -> None:
    """Raises OutOfSpace where so many bytes would not leave the floor of free space."""
    free = storage.free_bytes()
    if free is not None and free < max(size, FORM_BYTES) + settings.min_free_bytes:
        raise OutOfSpace


def too_large(largest: int) -> FileTooLarge:
    return FileTooLarge(f"File too large; this server accepts at most {largest} bytes.")


class Sink(Protocol):
    """Where a writer's batches go: an Upload, or what stands before one."""

    def write(self, buffers: Sequence[memoryview]) -> None: ...


class Floor:
    """Stands before an upload, and keeps the floor of free space: its length need not be known, and others write, too."""

    def __init__(self, sink: Sink, settings: Settings, storage: Storage) -> None:
        self._sink = sink
        self._settings = settings
        self._storage = storage
        self._unlooked = 0

    def write(self, buffers: Sequence[memoryview]) -> None:
        """Raises OutOfSpace, StorageFull."""
        self._unlooked += sum(map(len, buffers))
        if self._unlooked >= _LOOK_BYTES:
            self._unlooked = 0
            require_room(self._settings, self._storage)
        self._sink.write(buffers)
