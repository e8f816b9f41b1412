"""Where a job is by RQ's account: the few fields of its hash that are asked for, and what they mean."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from steno.jobs.record import HISTORY, JobRequest, Status

CANCEL_FIELD: Final = "steno_canceled"
"""A field of our own in RQ's hash of a job: set where a job shall stop, read by the worker that has it."""
STATUS_FIELDS: Final = ("status", "meta", "origin", "enqueued_at", "started_at", "ended_at", CANCEL_FIELD)
"""The fields of RQ's job hash that tell where a job is."""

_QUEUE_PREFIX: Final = "steno-"
_STATUSES: Final = {
    b"finished": Status.FINISHED,
    b"failed": Status.FAILED,
    b"stopped": Status.FAILED,
    b"canceled": Status.CANCELED,
    b"started": Status.STARTED,
}


def queue_name(engine: str, priority: str = "normal") -> str:
    return _QUEUE_PREFIX + engine + ("" if priority == "normal" else f":{priority}")


def queue_key(engine: str, priority: str) -> str:
    """The Redis key of RQ's list of the jobs that wait."""
    return f"rq:queue:{queue_name(engine, priority)}"


def started_key(engine: str, priority: str) -> str:
    """The Redis key of RQ's set of attempts under way: `job id:attempt's id`."""
    return f"rq:wip:{queue_name(engine, priority)}"


def engine_of_queue(name: str) -> str:
    return name.removeprefix(_QUEUE_PREFIX).partition(":")[0]


def priority_of_queue(name: str) -> str:
    return name.partition(":")[2] or "normal"


def described(request: JobRequest) -> dict[str, Any]:
    """What RQ's `meta` says of a job from the start, so that no file is read to show one that waits or runs."""
    return {
        "model": request.options.model,
        "filename": request.filename,
        "created_at": request.created_at,
        "labels": list(request.labels),
        "metadata": request.metadata,
        "run": request.run,
    }


@dataclass(frozen=True)
class JobState:
    """Where a job is by RQ's account. Times are ISO 8601 or None, `progress` is 0 to 1, `seconds_left` an estimate.

    `paused` is whether it waits for the time of another attempt, `held` whether a worker has it, which for a canceled
    job is so until the worker has heard of it; `about` is what
    `described` said.
    """

    status: Status
    held: bool
    paused: bool
    engine: str
    priority: str
    stage: str
    progress: float
    attempts: int
    seconds_left: float | None
    enqueued_at: str | None
    started_at: str | None
    ended_at: str | None
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def history(self) -> dict[str, Any]:
        """What stays to be told of the job once RQ has forgotten it."""
        return {name: getattr(self, name) for name in HISTORY}


def parse_state(values: Sequence[Any]) -> JobState | None:
    """The values of STATUS_FIELDS as read from Redis; None where there is no such job, or only a torn one."""
    status, meta, origin, enqueued_at, started_at, ended_at, canceled = values
    if status is None or origin is None:
        return None
    told, queue = _parse_meta(meta), origin.decode()
    known = _STATUSES.get(status, Status.QUEUED)
    return JobState(
        status=Status.CANCELED if canceled else known,
        held=known is Status.STARTED,
        paused=status == b"scheduled",
        engine=engine_of_queue(queue),
        priority=priority_of_queue(queue),
        stage=str(told.get("stage", "queued")),
        progress=float(told.get("progress", 0.0)),
        attempts=int(told.get("attempts", 0)),
        seconds_left=told.get("seconds_left"),
        enqueued_at=_text(enqueued_at),
        started_at=_text(started_at),
        ended_at=_text(ended_at),
        about=told,
    )


def _parse_meta(meta: bytes | None) -> dict[str, Any]:
    if not meta:
        return {}
    told = json.loads(meta)
    return told if isinstance(told, dict) else {}


def _text(value: Any) -> str | None:
    return value.decode() if value else None
