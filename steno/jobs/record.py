"""What is written down about a job: the request beside its recording, and the states it passes through."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from steno.jobs.options import Options

REQUEST: Final = "request.json"
TRANSCRIPT: Final = "transcript.json"
ERROR: Final = "error.json"


class Status(StrEnum):
    """Where a job is."""

    QUEUED = "queued"  # accepted; waits for a worker
    STARTED = "started"  # a worker has it
    FINISHED = "finished"  # its transcript is in storage
    FAILED = "failed"  # its error is in storage; it will not be tried again by itself


MOVES: Final[dict[Status, tuple[Status, ...]]] = {
    Status.QUEUED: (Status.STARTED, Status.FAILED),
    Status.STARTED: (Status.FINISHED, Status.FAILED, Status.QUEUED),
    Status.FINISHED: (),
    Status.FAILED: (),
}
"""The allowed moves. ARCHITECTURE.md gives the cause of each."""


@dataclass(frozen=True)
class JobRequest:
    """What was asked, of which recording. `audio` is its name inside the job's folder; `filename` the client's, for display.

    `size` is in bytes, `created_at` in ISO 8601, UTC. Written to storage before the client is answered, read again
    by whoever runs or recovers the job, so that Redis may forget everything.
    """

    job_id: str
    options: Options
    filename: str
    audio: str
    size: int
    created_at: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "JobRequest":
        """Fields that a newer Steno added are passed over, so that versions may run side by side.

        Requests of 0.1.0's first days have engine, model and language beside the rest, and no other option.
        """
        fields = {key: data[key] for key in cls.__dataclass_fields__ if key != "options"}
        return cls(options=Options.from_dict(data.get("options", data)), **fields)


def utc_now() -> str:
    """This moment in ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def error_record(code: str, message: str, attempts: int) -> dict[str, Any]:
    """What `error.json` holds."""
    return {"code": code, "message": message, "attempts": attempts, "failed_at": utc_now()}
