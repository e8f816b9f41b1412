"""What a job looks like from outside: RQ's account of where it is, storage's account of what came of it."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from api.errors import JobNotFound
from api.state import State
from steno.jobs.queue import STATUS_FIELDS, JobState, job_key, parse_state
from steno.jobs.record import ERROR, REQUEST, TRANSCRIPT, Status
from steno.storage import Storage, is_job_id


@dataclass(frozen=True)
class JobView:
    """The fields of models.JobStatus but for `result`, which stays the JSON that storage holds: never parsed to be sent."""

    fields: dict[str, Any]
    result: bytes | None = None

    @property
    def is_over(self) -> bool:
        return self.fields["status"] not in (Status.QUEUED, Status.STARTED)

    def json(self) -> bytes:
        """As one JSON object."""
        fields = json.dumps(self.fields, ensure_ascii=False, separators=(",", ":")).encode()
        return b"".join((fields[:-1], b',"result":', self.result or b"null", b"}"))


async def job_view(state: State, job_id: str) -> JobView:
    """Where a job is and what came of it. One read from Redis for a job that is not over.

    A job that Redis no longer knows is looked up in storage; so is one that is over, even while Redis is away. Raises
    JobNotFound, and RedisError where the answer needs Redis.
    """
    if not is_job_id(job_id):
        raise JobNotFound
    try:
        known = parse_state(await state.redis.hmget(job_key(job_id), STATUS_FIELDS))
    except RedisError:
        stored = await asyncio.to_thread(_stored_view, state.storage, job_id, None)
        if stored is None or stored.fields["status"] == Status.QUEUED:
            raise
        return stored
    if known is not None and known.status in (Status.QUEUED, Status.STARTED):
        return await _waiting_view(state, job_id, known)
    stored = await asyncio.to_thread(_stored_view, state.storage, job_id, known)
    if stored is None:
        raise JobNotFound
    return stored


async def _waiting_view(state: State, job_id: str, known: JobState) -> JobView:
    message = None
    if known.status is Status.QUEUED and known.engine not in await state.offered():
        message = f"No running worker offers the engine '{known.engine}'; the job waits until one does."
    return _view(
        job_id,
        known.status,
        engine=known.engine,
        stage=known.stage,
        progress=known.progress,
        attempts=known.attempts,
        message=message,
        enqueued_at=known.enqueued_at,
        started_at=known.started_at,
        ended_at=None,
    )


def _stored_view(storage: Storage, job_id: str, known: JobState | None) -> JobView | None:
    try:
        request = storage.get(job_id, REQUEST)
    except ValueError:  # a disk that lies; the job's error says so
        request = {"options": {"engine": ""}, "created_at": None}
    if request is None:
        return None
    times = {
        "enqueued_at": known.enqueued_at if known else request["created_at"],
        "started_at": known.started_at if known else None,
        "ended_at": known.ended_at if known else None,
        "engine": request.get("options", request)["engine"],
        "attempts": known.attempts if known else 0,
    }
    if (result := storage.read(job_id, TRANSCRIPT)) is not None:
        return _view(job_id, Status.FINISHED, result=result, progress=1.0, **times)
    if (error := storage.get(job_id, ERROR)) is not None:
        times |= {"attempts": error["attempts"], "ended_at": error["failed_at"]}
        return _view(job_id, Status.FAILED, error=error["message"], error_code=error["code"], **times)
    # Accepted, not over, and Redis has no word of it: the sweep will queue it again.
    return _view(job_id, Status.QUEUED, stage="queued", **times)


def _view(job_id: str, status: Status, result: bytes | None = None, **more: Any) -> JobView:
    blank = {
        "error": None, "error_code": None, "engine": "", "stage": None, "progress": 0.0, "attempts": 0,
        "message": None,
    }  # fmt: skip
    return JobView({"job_id": job_id, "status": status.value, **blank, **more}, result)
