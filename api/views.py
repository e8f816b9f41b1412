"""What a job looks like from outside: RQ's account of where it is, storage's account of what came of it."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import RedisError

from api.errors import JobNotFound
from api.outlook import Ahead
from api.state import State
from steno.jobs.queue import job_key
from steno.jobs.record import CANCELED, ERROR, HISTORY, REQUEST, TRANSCRIPT, JobRequest, Status, iso_time
from steno.jobs.state import STATUS_FIELDS, JobState, parse_state
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


async def job_view(state: State, job_id: str, brief: bool = False) -> JobView:
    """Where a job is and what came of it. One read from Redis for a job that is not over.

    `brief` leaves out the result, and what it costs to read. A job that Redis no longer knows is looked up in storage; so is
    one that is over, even while Redis is away. Raises JobNotFound, and RedisError where the answer needs Redis.
    """
    if not is_job_id(job_id):
        raise JobNotFound
    try:
        known = parse_state(await state.redis.hmget(job_key(job_id), STATUS_FIELDS))
    except RedisError:
        stored = await asyncio.to_thread(_stored_view, state.storage, job_id, None, brief)
        if stored is None or stored.fields["status"] == Status.QUEUED:
            raise
        return stored
    view = await _known_view(state, job_id, known, await _line(state, {job_id: known}), brief)
    if view is None:
        raise JobNotFound
    return view


async def brief_views(state: State, job_ids: Sequence[str]) -> list[JobView | None]:
    """The jobs without their results, None for one that is not there; Redis is asked for all of them at once.

    Raises RedisError.
    """
    async with state.redis.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.hmget(job_key(job_id), STATUS_FIELDS)
        found = dict(zip(job_ids, map(parse_state, await pipe.execute()), strict=True))
    line = await _line(state, found)
    return await asyncio.gather(
        *(_known_view(state, job_id, known, line, brief=True) for job_id, known in found.items())
    )


@dataclass(frozen=True)
class _Line:
    """What there is to say of jobs that wait for a worker: what each has ahead, and the engines that are offered."""

    ahead: Mapping[str, Ahead]
    offered: frozenset[str]


_NOBODY_WAITS: Final = _Line({}, frozenset())


async def _line(state: State, found: Mapping[str, JobState | None]) -> _Line:
    """With few questions, however many jobs: those that are asked at once take a connection each."""
    queued = {job_id: known for job_id, known in found.items() if known and known.status is Status.QUEUED}
    if not queued:
        return _NOBODY_WAITS
    return _Line(await state.outlook.of(state.redis, queued), await state.offered())


async def _known_view(state: State, job_id: str, known: JobState | None, line: _Line, brief: bool) -> JobView | None:
    if known is not None and known.status in (Status.QUEUED, Status.STARTED):
        return _waiting_view(job_id, known, line)
    return await asyncio.to_thread(_stored_view, state.storage, job_id, known, brief)


def _waiting_view(job_id: str, known: JobState, line: _Line) -> JobView:
    message, position, seconds_left = None, None, known.seconds_left
    stage, progress = known.stage, known.progress
    if known.status is Status.QUEUED:
        stage, progress = "queued", 0.0  # a worker that Redis forgot may still tell of another
        position, seconds_left = line.ahead[job_id]
        if known.engine not in line.offered:
            message = f"No running worker offers the engine '{known.engine}'; the job waits until one does."
            seconds_left = None
        elif known.paused:
            message = "The last attempt failed for a reason that may pass; the next one comes after a pause."
    return _view(
        job_id,
        known.status,
        stage=stage,
        progress=progress,
        message=message,
        position=position,
        seconds_left=seconds_left,
        **{**_redis_says(known), "ended_at": None},  # RQ keeps the end of the attempt before
    )


def _redis_says(known: JobState) -> dict[str, Any]:
    about = known.about
    return {
        "engine": known.engine,
        "priority": known.priority,
        "attempts": known.attempts,
        "enqueued_at": known.enqueued_at,
        "started_at": known.started_at,
        "ended_at": known.ended_at,
        **{name: about[name] for name in ("model", "filename", "labels", "metadata", "created_at") if name in about},
    }


def _stored_view(storage: Storage, job_id: str, known: JobState | None, brief: bool) -> JobView | None:
    try:
        data = storage.get(job_id, REQUEST)
        request = None if data is None else JobRequest.from_dict(data)
    except (ValueError, KeyError, TypeError):  # a disk that lies; the job's error says so
        return _outcome_view(storage, job_id, {}, brief)
    return None if request is None else _outcome_view(storage, job_id, _storage_says(request, known), brief)


def _storage_says(request: JobRequest, known: JobState | None) -> dict[str, Any]:
    return {
        "engine": request.options.engine,
        "model": request.options.model,
        "filename": request.filename,
        "priority": request.priority,
        "labels": list(request.labels),
        "metadata": request.metadata,
        "reused_from": request.reused_from,
        "created_at": request.created_at,
        "enqueued_at": known.enqueued_at if known else request.created_at,
        "started_at": known.started_at if known else None,
        "ended_at": known.ended_at if known else None,
        "attempts": known.attempts if known else 0,
        "warnings": known.about.get("warnings") if known else None,
    }


def _outcome_view(storage: Storage, job_id: str, told: dict[str, Any], brief: bool) -> JobView:
    """What came of the job; of two records that a race left, the first in OUTCOMES counts."""
    warnings = told.pop("warnings", None)
    if (canceled := storage.get(job_id, CANCELED)) is not None:
        return _view(job_id, Status.CANCELED, **{**told, **_history(canceled), "ended_at": canceled["canceled_at"]})
    if storage.has(job_id, TRANSCRIPT):
        result = None if brief and warnings is not None else storage.read(job_id, TRANSCRIPT)
        if warnings is None:
            warnings = json.loads(result or b"{}").get("warnings", [])
        ended_at = told.get("ended_at") or _moment(storage.written_at(job_id, TRANSCRIPT))
        told |= {"warnings": warnings, "ended_at": ended_at, "progress": 1.0}
        return _view(job_id, Status.FINISHED, None if brief else result, **told)
    if (error := storage.get(job_id, ERROR)) is not None:
        told |= {**_history(error), "ended_at": error["failed_at"]}
        return _view(job_id, Status.FAILED, error=error["message"], error_code=error["code"], **told)
    # Accepted, not over, and Redis has no word of it: the sweep will queue it again.
    return _view(job_id, Status.QUEUED, stage="queued", **{**told, "ended_at": None})


def _history(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in HISTORY if record.get(name) is not None}


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else iso_time(seconds)


_BLANK: Final[dict[str, Any]] = {
    "error": None, "error_code": None, "engine": "", "model": None, "filename": None, "stage": None, "progress": 0.0,
    "position": None, "seconds_left": None, "attempts": 0, "message": None, "warnings": (), "priority": "normal",
    "labels": (), "metadata": {}, "reused_from": None, "created_at": None, "enqueued_at": None, "started_at": None,
    "ended_at": None,
}  # fmt: skip


def _view(job_id: str, status: Status, result: bytes | None = None, **more: Any) -> JobView:
    return JobView({"job_id": job_id, "status": status.value, **_BLANK, **more}, result)
