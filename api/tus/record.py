"""What is kept beside the bytes of an upload that comes in pieces."""

import time
from dataclasses import asdict, dataclass, fields
from typing import Any

from api.errors import UploadExpired, UploadNotFound
from steno.config import Settings
from steno.jobs.options import Options
from steno.jobs.record import REQUEST, UPLOAD, Handling
from steno.storage import Storage, Upload, is_job_id


@dataclass(frozen=True)
class UploadRecord:
    """One upload: `audio` is its name in its folder, `length` in bytes or None while the client does not know it.

    `metadata` and `concat` are the client's headers, to the letter. A partial upload is a piece of another one: nothing is asked
    of it, so it has neither options nor handling.
    """

    audio: str
    filename: str
    length: int | None
    metadata: str | None
    concat: str | None
    options: Options | None
    handling: Handling | None

    @property
    def is_partial(self) -> bool:
        return self.options is None

    @property
    def is_final(self) -> bool:
        return self.concat is not None and not self.is_partial

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "UploadRecord":
        """Fields that a newer Steno added are passed over, so that versions may run side by side."""
        options, handling = data["options"], data["handling"]
        known = {f.name: data[f.name] for f in fields(cls) if f.name not in ("options", "handling")}
        return cls(
            **known,
            options=None if options is None else Options.from_dict(options),
            handling=None if handling is None else _handling(handling),
        )


def _handling(data: dict[str, Any]) -> Handling:
    known = {f.name: data[f.name] for f in fields(Handling) if f.name in data}
    return Handling(**{**known, "labels": tuple(data["labels"])})


@dataclass(frozen=True)
class Found:
    """An upload as it was a moment ago. `size` is how many of its bytes are in storage; `expires_at` in seconds since 1970."""

    upload_id: str
    record: UploadRecord
    size: int
    is_job: bool
    expires_at: float

    @property
    def is_whole(self) -> bool:
        """All its bytes are there."""
        return self.size == self.record.length

    @property
    def is_due(self) -> bool:
        """It should be a job, and is none: its last byte came just now, or before a process died."""
        return self.is_whole and not self.is_job and not self.record.is_partial


def find(settings: Settings, storage: Storage, upload_id: str) -> Found:
    """Look an upload up. Raises UploadNotFound, UploadExpired."""
    found, upload = opened(settings, storage, upload_id)
    if upload is not None:
        upload.leave()
    return found


def opened(settings: Settings, storage: Storage, upload_id: str) -> tuple[Found, Upload | None]:
    """An upload, and its bytes to go on with; None of them where it is a job. Raises UploadNotFound, UploadExpired."""
    data = storage.get(upload_id, UPLOAD) if is_job_id(upload_id) else None
    if data is None:
        raise UploadNotFound
    record = UploadRecord.from_dict(data)
    if storage.has(upload_id, REQUEST):
        return Found(upload_id, record, record.length or 0, is_job=True, expires_at=0.0), None
    idle = storage.idle_seconds(upload_id)
    if idle > settings.tus_expiry:
        raise UploadExpired
    try:
        upload = storage.resume(upload_id, record.audio)
    except FileNotFoundError as error:  # half deleted
        raise UploadNotFound from error
    return Found(upload_id, record, upload.size, False, time.time() - idle + settings.tus_expiry), upload
