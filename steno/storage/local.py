"""Storage on a local or shared file system."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from steno.storage.base import JobExists, StorageFull, Upload, is_job_id

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST}
_PARTIAL = ".part"
_WRITEBACK_BYTES = 8 << 20
_COPIED_BYTES = 1 << 20
_INTENTIONS = ("upload.json", "request.json")
"""The records that say what shall become of a recording: an upload is finished by whoever finds it, a request is queued."""
_MAX_BUFFERS = min(os.sysconf("SC_IOV_MAX"), 1024)


@contextlib.contextmanager
def _full_means_full() -> Iterator[None]:
    """Turn the system's words for a full disk into StorageFull."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull("no space left in the upload folder") from error
        raise


def _sync_folder(path: Path) -> None:
    """Make names in a folder durable: a rename survives a power cut only once its folder was synced."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _below(root: Path, job_id: str) -> Path:
    if not is_job_id(job_id):
        raise ValueError(f"not a job id: {job_id!r}")
    return root / job_id


class LocalUpload:
    """A recording being written to `<name>.part`, unbuffered: what `write` returned from is in the kernel's hands."""

    def __init__(self, folder: Path, audio: str, *, resumed: bool = False) -> None:
        self.size = 0
        self._begun = 0
        self._folder = folder
        self._target = folder / audio
        self._partial = folder / (audio + _PARTIAL)
        self._handle = -1
        self._lock = threading.RLock()  # a discard waits for the write under way, in whichever thread
        if resumed:
            self._resume()
        else:
            self._begin()

    def _begin(self) -> None:
        with _full_means_full():
            self._folder.mkdir(parents=True)
            try:
                self._handle = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            except OSError:
                self._folder.rmdir()
                raise

    def _resume(self) -> None:
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
        with self._lock, _full_means_full():
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
        with self._lock, _full_means_full():
            os.fsync(self._handle)

    def digest(self) -> str:
        return _digest(self._partial)

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
        folder = _below(self._folder.parent, job_id)
        with self._lock:
            try:
                self._folder.rename(folder)
            except OSError as error:
                if error.errno in _TAKEN:
                    raise JobExists(job_id) from error
                raise
            self._folder, self._target = folder, folder / self._target.name
            self._partial = folder / self._partial.name

    def commit(self) -> None:
        self.sync()
        with self._lock, _full_means_full():
            self._close()
            self._partial.rename(self._target)
            _sync_folder(self._folder)
            _sync_folder(self._folder.parent)

    def leave(self) -> None:
        with self._lock:
            self._close()

    def discard(self) -> None:
        with self._lock:
            self._close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _close(self) -> None:
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


class LocalStorage:
    """One folder per job below `root`, which is made on first use."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def free_bytes(self) -> int | None:
        with _full_means_full():
            self.root.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.root).free

    def create(self, job_id: str, audio: str) -> LocalUpload:
        return LocalUpload(self._folder(job_id), audio)

    def resume(self, job_id: str, audio: str) -> LocalUpload:
        return LocalUpload(self._folder(job_id), audio, resumed=True)

    def put(self, job_id: str, name: str, data: dict[str, Any]) -> None:
        folder = self._folder(job_id)
        partial = folder / f"{name}.{uuid.uuid4().hex}{_PARTIAL}"
        try:
            with _full_means_full():
                with partial.open("wb") as file:
                    file.write(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())
                    file.flush()
                    os.fsync(file.fileno())
                partial.rename(folder / name)
                _sync_folder(folder)
        finally:
            partial.unlink(missing_ok=True)

    def read(self, job_id: str, name: str) -> bytes | None:
        try:
            return (self._folder(job_id) / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def get(self, job_id: str, name: str) -> dict[str, Any] | None:
        data = self.read(job_id, name)
        record: dict[str, Any] | None = None if data is None else json.loads(data)
        return record

    def has(self, job_id: str, name: str) -> bool:
        return (self._folder(job_id) / name).is_file()

    @contextlib.contextmanager
    def fetch(self, job_id: str, name: str) -> Iterator[Path]:
        path = self._folder(job_id) / name
        if not path.is_file():
            raise FileNotFoundError(path)
        yield path

    def digest(self, job_id: str, name: str) -> str:
        return _digest(self._folder(job_id) / name)

    def written_at(self, job_id: str, name: str) -> float | None:
        try:
            return (self._folder(job_id) / name).stat().st_mtime
        except FileNotFoundError:
            return None

    def remove(self, job_id: str, name: str) -> None:
        folder = self._folder(job_id)
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
            _sync_folder(folder)

    def tidy(self, job_id: str, seconds: float) -> None:
        for name in self.names(job_id):
            if name.endswith(_PARTIAL) and time.time() - (self.written_at(job_id, name) or time.time()) > seconds:
                self.remove(job_id, name)

    def delete(self, job_id: str) -> None:
        folder = self._folder(job_id)
        for record in _INTENTIONS:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                (folder / record).unlink()
        # Whoever is just writing into it finds it gone, instead of keeping it from being removed. Should this process die
        # now, the janitor takes it for a broken upload.
        doomed = self._folder(str(uuid.uuid4()))
        with contextlib.suppress(FileNotFoundError):
            folder.rename(doomed)
            shutil.rmtree(doomed)

    def names(self, job_id: str) -> list[str]:
        try:
            return [path.name for path in self._folder(job_id).iterdir()]
        except FileNotFoundError:
            return []

    def job_ids(self) -> Iterator[str]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self.root) as entries:
            for entry in entries:
                if is_job_id(entry.name) and entry.is_dir(follow_symlinks=False):
                    yield entry.name

    def idle_seconds(self, job_id: str) -> float:
        try:
            folder = self._folder(job_id)
            newest = max((path.stat().st_mtime for path in (folder, *folder.iterdir())), default=0.0)
        except FileNotFoundError:
            return 0.0
        return max(0.0, time.time() - newest)

    def _folder(self, job_id: str) -> Path:
        return _below(self.root, job_id)
