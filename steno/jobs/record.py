"""What is written down about a job: the request beside its recording, and the states it passes through."""

import math
import time
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from steno.jobs.options import Options
from steno.storage import Storage

RECORDING: Final = "audio."
"""What the name of a recording begins with, or of a piece of one; its extension follows."""
UPLOAD: Final = "upload.json"
"""Only where the recording comes in pieces: what is asked of it once it is whole. Stays beside the request afterwards."""
REQUEST: Final = "request.json"
TRANSCRIPT: Final = "transcript.json"
ERROR: Final = "error.json"
CANCELED: Final = "canceled.json"
RETENTION: Final = "retention.json"
"""Only where a job is to be kept for another time than the rest: what the janitor must know, without reading every request."""

PRIORITIES: Final = ("high", "normal", "low")


class Status(StrEnum):
    """Where a job is."""

    QUEUED = "queued"  # accepted; waits for a worker
    STARTED = "started"  # a worker has it
    FINISHED = "finished"  # its transcript is in storage
    FAILED = "failed"  # its error is in storage; it will not be tried again by itself
    CANCELED = "canceled"  # somebody said so; the engine no longer listens


MOVES: Final[dict[Status, tuple[Status, ...]]] = {
    Status.QUEUED: (Status.STARTED, Status.FINISHED, Status.FAILED, Status.CANCELED),
    Status.STARTED: (Status.FINISHED, Status.FAILED, Status.CANCELED, Status.QUEUED),
    Status.FINISHED: (),
    Status.FAILED: (Status.QUEUED,),
    Status.CANCELED: (Status.QUEUED,),
}
"""The allowed moves. docs/jobs.md gives the cause of each."""

OUTCOMES: Final = {CANCELED: Status.CANCELED, TRANSCRIPT: Status.FINISHED, ERROR: Status.FAILED}
"""The record that says how a job ended. Where a race left two, the first counts: what was answered with "canceled" stays so."""


def outcome(storage: Storage, job_id: str) -> Status | None:
    """How a job ended, by storage's account; None while it is not over, or not there."""
    return next((status for name, status in OUTCOMES.items() if storage.has(job_id, name)), None)


@dataclass(frozen=True, kw_only=True)
class Handling:
    """How a job is to be treated, whatever its engine: what a client may say of it beside the options.

    `delete_after` is in seconds after the job's end, None for the server's own retention; `labels` are for finding jobs,
    `metadata` is given back as it came.
    """

    priority: str = "normal"
    labels: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    callback_url: str | None = None
    delete_after: float | None = None
    keep_audio: bool = True
    reuse: bool = False

    def keep_seconds(self, seconds: int) -> int:
        """For how long Redis is to know the job once it is over, where the server keeps jobs for so many seconds."""
        return max(seconds, math.ceil(self.delete_after or 0))

    def retention(self) -> dict[str, Any] | None:
        """What the janitor must know of this job; None where it is as any other."""
        if self.delete_after is None and self.keep_audio:
            return None
        return {"delete_after": self.delete_after, "keep_audio": self.keep_audio}


@dataclass(frozen=True)
class JobRequest(Handling):
    """What was asked, of which recording. `audio` is its name inside the job's folder; `filename` the client's, for display.

    `size` is in bytes, `created_at` in ISO 8601, UTC; `run` counts how often the job was retried by hand; `reused_from` is
    the job whose transcript answered this one; `fingerprint` tells a repeated request from another with the same key. Written to
    storage before the client is answered, read again by whoever runs or recovers the job, so that Redis may forget everything.
    """

    job_id: str
    options: Options
    filename: str
    audio: str
    size: int
    created_at: str
    run: int = 0
    reused_from: str | None = None
    fingerprint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "JobRequest":
        """Fields that a newer Steno added are passed over, so that versions may run side by side.

        Requests of 0.1.0's first days have engine, model and language beside the rest, and no other option.
        """
        known = {f.name: data[f.name] for f in fields(cls) if f.name in data and f.name != "options"}
        known["labels"] = tuple(data.get("labels", ()))
        return cls(options=Options.from_dict(data.get("options", data)), **known)


def utc_now() -> str:
    """This moment in ISO 8601, UTC, to the millisecond."""
    return iso_time(time.time())


def iso_time(seconds: float) -> str:
    """A moment, in seconds since 1970, in ISO 8601, UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


HISTORY: Final = ("attempts", "enqueued_at", "started_at")
"""What RQ knew of a job, and would take with it; where a record holds it, that is what the job tells."""


def error_record(code: str, message: str, attempts: int, run: int = 0, **times: str | None) -> dict[str, Any]:
    """What `error.json` holds; `run` is the request's, `times` are those of HISTORY."""
    return {"code": code, "message": message, "attempts": attempts, "failed_at": utc_now(), "run": run, **times}


def canceled_record(run: int, **history: Any) -> dict[str, Any]:
    """What `canceled.json` holds; `run` is the request's, `history` as in HISTORY, where it is known."""
    return {"canceled_at": utc_now(), "run": run, **history}
