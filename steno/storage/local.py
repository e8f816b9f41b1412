"""Storage on a local or shared file system.

Paths are text here, not `Path`: that one interns every part of every path, and each job's id is a new one. Tens of thousands of
requests make Python rebuild its table of interned strings, 1.8 MB at a time, and each leaves a hole in the heap: the API grew by
10 MB in 50 000 requests.
"""

import contextlib
import errno
import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from os.path import join
from pathlib import Path
from typing import Any

from steno.storage.base import JobExists, Upload, is_job_id
from steno.storage.files import TAKEN, digest, disk_faults, is_file, remove_folder, sync_folder

_PARTIAL = ".part"
_WRITEBACK_BYTES = 8 << 20
_COPIED_BYTES = 1 << 20
_INTENTIONS = ("upload.json", "request.json")
"""The records that say what shall become of a recording: an upload is finished by whoever finds it, a request is queued."""
_MAX_BUFFERS = min(os.sysconf("SC_IOV_MAX"), 1024)


def _below(root: str, job_id: str) -> str:
    if not is_job_id(job_id):
        raise ValueError(f"not a job id: {job_id!r}")
    return join(root, job_id)


class LocalUpload:
    """A recording being written to `<name>.part`, unbuffered: what `write` returned from is in the kernel's hands."""

    def __init__(self, root: str, job_id: str, audio: str, *, resumed: bool = False) -> None:
        self.size = 0
        self._begun = 0
        self._root = root
        self._audio = audio
        self._place(_below(root, job_id))
        self._handle = -1
        self._lock = threading.RLock()  # a discard waits for the write under way, in whichever thread
        if resumed:
            self._resume()
        else:
            self._begin()
        self._inode = os.stat(self._folder).st_ino

    def _place(self, folder: str) -> None:
        self._folder = folder
        self._target = join(folder, self._audio)
        self._partial = self._target + _PARTIAL

    def _begin(self) -> None:
        with disk_faults():
            os.makedirs(self._folder)
            try:
                self._handle = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            except OSError:
                os.rmdir(self._folder)
                raise

    def _resume(self) -> None:
        with disk_faults():
            try:
                self._handle = os.open(self._partial, os.O_RDWR)
            except FileNotFoundError:  # committed by somebody who died before the job was made of it
                self._partial = self._target
                self._handle = os.open(self._partial, os.O_RDWR)
        # From here on by our own position, wherever the file ends: a process that was frozen, lost its place to another
        # and thaws in mid-write puts the bytes where they belong, not behind those of the other.
        self.size = os.lseek(self._handle, 0, os.SEEK_END)
        self._begun = max(0, self.size - 1) // _WRITEBACK_BYTES * _WRITEBACK_BYTES

    def write(self, buffers: Sequence[memoryview]) -> None:
        pending = list(buffers)
        with self._lock, disk_faults():
            self._begin_writeback()
            while pending:
                written = os.writev(self._handle, pending[:_MAX_BUFFERS])
                self.size += written
                while pending and written >= len(pending[0]):
                    written -= len(pending.pop(0))
                if written:
                    pending[0] = pending[0][written:]

    def _begin_writeback(self) -> None:
        """Let the disk begin with what is there, so that the sync at the end has little left to wait for.

        Before a write and not after it: the end of a piece is waited for, its next one's beginning is not.
        """
        if self.size - self._begun >= _WRITEBACK_BYTES and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._handle, self._begun, self.size - self._begun, os.POSIX_FADV_DONTNEED)
            self._begun = self.size

    def sync(self) -> None:
        with self._lock, disk_faults():
            os.fsync(self._handle)

    def digest(self) -> str:
        return digest(self._partial)

    def head(self, count: int) -> bytes:
        return os.pread(self._handle, count, 0)

    def append(self, other: Upload) -> None:
        if not isinstance(other, LocalUpload):
            raise TypeError(f"an upload of another storage: {other!r}")
        at = 0
        while data := os.pread(other._handle, _COPIED_BYTES, at):
            self.write([memoryview(data)])
            at += len(data)

    def move_to(self, job_id: str) -> None:
        folder = _below(self._root, job_id)
        with self._lock, disk_faults():
            try:
                os.rename(self._folder, folder)
            except OSError as error:
                if error.errno in TAKEN:
                    raise JobExists(job_id) from error
                raise
            self._place(folder)

    def commit(self) -> None:
        self.sync()
        with self._lock, disk_faults():
            self._close()
            os.rename(self._partial, self._target)
            sync_folder(self._folder)
            sync_folder(self._root)

    def leave(self) -> None:
        with self._lock:
            self._close()

    def discard(self) -> None:
        with self._lock:
            self._close()
            if not self._is_in_place():
                return
            for record in _INTENTIONS:
                with contextlib.suppress(OSError):
                    os.unlink(join(self._folder, record))
            shutil.rmtree(self._folder, ignore_errors=True)

    def _is_in_place(self) -> bool:
        """Whether the folder of the job is the one that was made here: of an Idempotency-Key, another request's may have come."""
        try:
            return os.stat(self._folder).st_ino == self._inode
        except OSError:
            return False

    def _close(self) -> None:
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


class LocalStorage:
    """One folder per job below `root`, which is made on first use."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._root = str(root)

    def free_bytes(self) -> int | None:
        with disk_faults():
            try:
                os.makedirs(self._root, exist_ok=True)
            except FileExistsError as error:
                raise NotADirectoryError(errno.ENOTDIR, "not a folder", self._root) from error
            if not os.access(self._root, os.W_OK | os.X_OK):
                raise PermissionError(
                    errno.EACCES, "not to be written by this process, or mounted read-only", self._root
                )
            return shutil.disk_usage(self._root).free

    def create(self, job_id: str, audio: str) -> LocalUpload:
        return LocalUpload(self._root, job_id, audio)

    def resume(self, job_id: str, audio: str) -> LocalUpload:
        return LocalUpload(self._root, job_id, audio, resumed=True)

    def put(self, job_id: str, name: str, data: dict[str, Any]) -> None:
        folder = self._folder(job_id)
        partial = join(folder, f"{name}.{uuid.uuid4().hex}{_PARTIAL}")
        try:
            with disk_faults():
                with open(partial, "wb") as file:
                    file.write(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(partial, join(folder, name))
                sync_folder(folder)
        finally:
            with contextlib.suppress(OSError):  # where it can be removed at all, the janitor will
                os.unlink(partial)

    def read(self, job_id: str, name: str) -> bytes | None:
        try:
            with open(self._path(job_id, name), "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def get(self, job_id: str, name: str) -> dict[str, Any] | None:
        data = self.read(job_id, name)
        record: dict[str, Any] | None = None if data is None else json.loads(data)
        return record

    def has(self, job_id: str, name: str) -> bool:
        return is_file(self._path(job_id, name))

    @contextlib.contextmanager
    def fetch(self, job_id: str, name: str) -> Iterator[str]:
        path = self._path(job_id, name)
        if not is_file(path):
            raise FileNotFoundError(path)
        yield path

    def digest(self, job_id: str, name: str) -> str:
        return digest(self._path(job_id, name))

    def written_at(self, job_id: str, name: str) -> float | None:
        try:
            return os.stat(self._path(job_id, name)).st_mtime
        except FileNotFoundError:
            return None

    def remove(self, job_id: str, name: str) -> None:
        folder = self._folder(job_id)
        with disk_faults(), contextlib.suppress(FileNotFoundError):
            os.unlink(join(folder, name))
            sync_folder(folder)

    def tidy(self, job_id: str, seconds: float) -> None:
        for name in self.names(job_id):
            if name.endswith(_PARTIAL) and time.time() - (self.written_at(job_id, name) or time.time()) > seconds:
                self.remove(job_id, name)

    def delete(self, job_id: str) -> None:
        folder, doomed = self._folder(job_id), self._folder(str(uuid.uuid4()))
        with disk_faults():
            for record in _INTENTIONS:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(join(folder, record))
            # Whoever is just writing into it finds it gone, instead of keeping it from being removed. Should this process
            # die now, the janitor takes it for a broken upload.
            try:
                os.rename(folder, doomed)
            except FileNotFoundError:
                return
            remove_folder(doomed)

    def names(self, job_id: str) -> list[str]:
        try:
            return os.listdir(self._folder(job_id))
        except FileNotFoundError:
            return []

    def job_ids(self) -> Iterator[str]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self._root) as entries:
            for entry in entries:
                if is_job_id(entry.name) and entry.is_dir(follow_symlinks=False):
                    yield entry.name

    def idle_seconds(self, job_id: str) -> float:
        try:
            folder = self._folder(job_id)
            paths = (folder, *(join(folder, name) for name in os.listdir(folder)))
            newest = max(os.stat(path).st_mtime for path in paths)
        except FileNotFoundError:
            return 0.0
        return max(0.0, time.time() - newest)

    def _folder(self, job_id: str) -> str:
        return _below(self._root, job_id)

    def _path(self, job_id: str, name: str) -> str:
        return join(self._folder(job_id), name)
