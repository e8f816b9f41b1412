"""The contract of a storage: one folder (or prefix) per job, in which every file is complete or absent."""

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

_JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_job_id(text: str) -> bool:
    """A UUID as Python writes it, as is every id that Steno makes: what is called otherwise is not Steno's to show or delete."""
    return _JOB_ID.fullmatch(text) is not None


class StorageRefused(Exception):
    """Nothing can be written at present: the operator's to mend, and no fault of what was to be written."""


class StorageFull(StorageRefused):
    """There is no room left for what was to be written."""


class StorageUnusable(StorageRefused, OSError):
    """The folder of recordings cannot be written, by its rights, its mount or its disk."""


class JobExists(Exception):
    """There is a job of that id already."""


class Upload(Protocol):
    """A recording on its way in. One of `commit`, `leave` and `discard` ends it; `discard` may be called after either."""

    size: int
    """Bytes so far. They are all that was written, in order and without a gap, whatever process was killed in between."""

    def write(self, buffers: Sequence[memoryview]) -> None:
        """Append the buffers in order. Raises StorageFull."""

    def sync(self) -> None:
        """Return when the bytes so far will survive a power cut. Raises StorageFull."""

    def digest(self) -> str:
        """SHA-256 of the bytes so far, in hexadecimal."""

    def head(self, count: int) -> bytes:
        """The first bytes so far, at most so many."""

    def append(self, other: "Upload") -> None:
        """Append all that another upload of the same storage holds; that one stays as it is. Raises StorageFull."""

    def move_to(self, job_id: str) -> None:
        """Become the recording of another job. Of two that try the same one wins; the other gets JobExists."""

    def commit(self) -> None:
        """Make the recording appear under its name, whole and durable. Raises StorageFull."""

    def leave(self) -> None:
        """Let go of it unfinished: what was written stays, and `Storage.resume` goes on from there. Raises nothing."""

    def discard(self) -> None:
        """Remove every trace of the job, unless another has come to be under its id. Raises nothing."""


class Storage(Protocol):
    """All methods are plain and blocking; call them from a thread where that matters. A job id is never a path.

    Whatever writes, removes or begins may raise StorageUnusable.
    """

    def free_bytes(self) -> int | None:
        """Room left, in bytes; None where that has no meaning. Raises StorageUnusable where nothing can be written."""

    def create(self, job_id: str, audio: str) -> Upload:
        """Begin a recording called `audio` in a new folder. Raises StorageFull."""

    def resume(self, job_id: str, audio: str) -> Upload:
        """Go on with a recording that was left, or whose process died; one that was committed may be committed again.

        Only one at a time may write to it, for which the caller answers. Raises FileNotFoundError.
        """

    def put(self, job_id: str, name: str, data: dict[str, Any]) -> None:
        """Write a JSON record atomically and durably, over any earlier one. Raises StorageFull."""

    def read(self, job_id: str, name: str) -> bytes | None:
        """A JSON record as it was written, unparsed; None if there is none."""

    def get(self, job_id: str, name: str) -> dict[str, Any] | None:
        """Read a JSON record; None if there is none."""

    def has(self, job_id: str, name: str) -> bool:
        """Whether a file of that name is there."""

    def fetch(self, job_id: str, name: str) -> AbstractContextManager[str]:
        """The path of a local file while the context lasts. Raises FileNotFoundError."""

    def digest(self, job_id: str, name: str) -> str:
        """SHA-256 of a file, in hexadecimal. Raises FileNotFoundError."""

    def written_at(self, job_id: str, name: str) -> float | None:
        """When a file was written, in seconds since 1970; None if there is none."""

    def remove(self, job_id: str, name: str) -> None:
        """Remove one file, durably; nothing happens where there is none."""

    def tidy(self, job_id: str, seconds: float) -> None:
        """Remove what writes that died left behind, if nobody has touched it for so many seconds."""

    def delete(self, job_id: str) -> None:
        """Remove the job's folder, first the records that say what shall become of the recording, so that a half-deleted job
        is never taken for a waiting one.

        When this returns, nothing of it is left. Raises OSError.
        """

    def names(self, job_id: str) -> list[str]:
        """The files of a job."""

    def job_ids(self) -> Iterator[str]:
        """Every folder that is called like a job, in no order."""

    def idle_seconds(self, job_id: str) -> float:
        """Seconds since anything in the folder was written; 0 if it is gone."""
