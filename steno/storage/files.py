"""What the file system is asked to do for `local`, and what its errors mean. Paths are text, as there."""

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator

from steno.storage.base import StorageFull, StorageUnusable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNUSABLE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV,
    errno.ETIMEDOUT, errno.EHOSTDOWN,
}  # fmt: skip
TAKEN = {errno.ENOTEMPTY, errno.EEXIST}
"""A folder that is there, and has something in it."""
_LATE_WRITE = {*TAKEN, errno.ENOENT}
_TRIES = 10
"""Far more than there can be late writes; on NFS a folder stays full while a file in it is open, and then that is told."""


@contextlib.contextmanager
def disk_faults() -> Iterator[None]:
    """Turn the system's words for a full disk into StorageFull, and for one that cannot be used into StorageUnusable."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull("no space left in the upload folder") from error
        if error.errno in _UNUSABLE:
            raise StorageUnusable(error.errno, error.strerror, error.filename) from error
        raise


def sync_folder(path: str) -> None:
    """Make names in a folder durable: a rename survives a power cut only once its folder was synced."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_file(path: str) -> bool:
    """Unlike os.path.isfile, a file system that cannot tell is an OSError, never a no."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def digest(path: str) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_folder(path: str) -> None:
    """Remove what has just been renamed: a write that had begun under the old name may still land in it, so look again."""
    for _ in range(_TRIES):
        try:
            return shutil.rmtree(path)
        except OSError as error:
            if error.errno not in _LATE_WRITE:
                raise
    raise OSError(errno.ENOTEMPTY, "something is written into it again and again", path)
