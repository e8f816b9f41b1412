"""What may be done with jobs after they were accepted: list them, cancel, retry and delete them."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api import errors
from api.models import EngineName, JobList, JobSummary, RetriedJobs
from api.problems import problems
from api.state import AppState, State
from api.views import brief_views, job_view
from steno.jobs import steer
from steno.jobs.listing import CURSOR, newest_first
from steno.storage import is_job_id

router = APIRouter()

_LOOKED_AT = 5000
"""Jobs that one page may pass over in search of those that match; the cursor goes on from there."""
_UNAVAILABLE: Final = (errors.QueueUnavailable, errors.StorageUnavailable, errors.OutOfSpace)
StatusName = Literal["queued", "started", "finished", "failed", "canceled"]


class JobFilter(BaseModel):
    """Which jobs are meant. A parameter that there is not is refused: the jobs that it should leave out would be retried."""

    model_config = ConfigDict(extra="forbid")

    engine: EngineName | None = Field(None, description="Only jobs of this engine.")
    label: str | None = Field(None, min_length=1, description="Only jobs with this label.")

    def matches(self, fields: dict[str, Any]) -> bool:
        """Whether a job, by the fields of its view, is meant."""
        return self.engine in (None, fields["engine"]) and (self.label is None or self.label in fields["labels"])


class ListQuery(JobFilter):
    """The parameters of `GET /jobs`."""

    status: StatusName | None = Field(None, description="Only jobs in this state; `failed` is the dead-letter list.")
    limit: int = Field(50, ge=1, le=200, description="Jobs a page.")
    cursor: str | None = Field(None, description="`next_cursor` of the page before.", pattern=CURSOR)

    def matches(self, fields: dict[str, Any]) -> bool:
        return self.status in (None, fields["status"]) and super().matches(fields)


class RetryQuery(JobFilter):
    """The parameters of `POST /jobs/retry`."""

    error_code: str | None = Field(None, description="Only jobs that failed with this error.")

    def matches(self, fields: dict[str, Any]) -> bool:
        failed = fields["status"] == "failed" and self.error_code in (None, fields["error_code"])
        return failed and super().matches(fields)


@router.get("/jobs", summary="List jobs", responses=problems(errors.InvalidField, errors.QueueUnavailable))
async def list_jobs(state: AppState, query: Annotated[ListQuery, Query()]) -> JobList:
    """Newest first. A page with a filter may hold fewer jobs than `limit` and yet not be the last: see `next_cursor`."""
    found: list[JobSummary] = []
    looked_at, last = 0, None
    chunks = await asyncio.to_thread(newest_first, state.queue.redis, query.cursor)
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        for (_, place), view in zip(chunk, await brief_views(state, [job_id for job_id, _ in chunk]), strict=True):
            last, looked_at = place, looked_at + 1
            if view is not None and query.matches(view.fields):
                found.append(JobSummary.model_validate(view.fields))
            if len(found) >= query.limit or looked_at >= _LOOKED_AT:
                return JobList(jobs=found, next_cursor=last)
    return JobList(jobs=found, next_cursor=None)


@router.post("/jobs/retry", summary="Retry all failed jobs", responses=problems(errors.InvalidField, *_UNAVAILABLE))
async def retry_failed_jobs(request: Request, state: AppState, query: Annotated[RetryQuery, Query()]) -> RetriedJobs:
    """Queues every failed job again, those that match only, as if it had never been tried."""
    async for piece in request.stream():
        if piece:
            raise errors.wrong_field("body", "say in the URL which jobs are meant, as in ?label=court; send no body")
    failed: list[str] = []
    for chunk in await asyncio.to_thread(lambda: list(newest_first(state.queue.redis))):
        for view in await brief_views(state, [job_id for job_id, _ in chunk]):
            if view and query.matches(view.fields):
                failed.append(view.fields["job_id"])
    told = RetriedJobs(retried=[], skipped=[])
    for job_id in failed:
        try:
            await asyncio.to_thread(steer.retry, state.storage, state.queue, job_id)
            told.retried.append(job_id)
        except (steer.MoveRefused, steer.NoSuchJob):
            told.skipped.append(job_id)
    return told


@router.post(
    "/jobs/{job_id}/cancel",
    summary="Cancel a job",
    responses=problems(errors.JobNotFound, errors.MoveRefused, *_UNAVAILABLE),
)
async def cancel_job(job_id: str, state: AppState) -> JobSummary:
    """At once if it waits; if it runs, its engine is stopped within two seconds and gives its memory back. Twice does no harm."""
    await _steered(steer.cancel, state, job_id)
    return await _summary(state, job_id)


@router.post(
    "/jobs/{job_id}/retry",
    summary="Retry a job",
    responses=problems(errors.JobNotFound, errors.MoveRefused, *_UNAVAILABLE),
)
async def retry_job(job_id: str, state: AppState) -> JobSummary:
    """Queues a failed or canceled job again, without a new upload, as if it had never been tried."""
    await _steered(steer.retry, state, job_id)
    return await _summary(state, job_id)


@router.delete(
    "/jobs/{job_id}",
    status_code=204,
    summary="Delete a job",
    responses=problems(errors.JobNotFound, errors.MoveRefused, *_UNAVAILABLE),
)
async def delete_job(job_id: str, state: AppState) -> Response:
    """Removes its recording, transcript and every other trace; when this is answered, they are gone. One that runs is stopped."""
    await _steered(steer.delete, state, job_id)
    return Response(status_code=204)


async def _steered(move: Callable[..., Any], state: State, job_id: str) -> None:
    if not is_job_id(job_id):
        raise errors.JobNotFound
    with _as_problems():
        # What was begun is finished, even if the client goes away meanwhile.
        await asyncio.shield(asyncio.to_thread(move, state.storage, state.queue, job_id))


@contextmanager
def _as_problems() -> Iterator[None]:
    try:
        yield
    except steer.NoSuchJob as error:
        raise errors.JobNotFound from error
    except steer.MoveRefused as error:
        raise errors.MoveRefused(str(error)) from error


async def _summary(state: State, job_id: str) -> JobSummary:
    return JobSummary.model_validate((await job_view(state, job_id, brief=True)).fields)
