"""The native routes."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from redis.exceptions import RedisError

from api import errors
from api.accept import taken_in
from api.hold import WAIT, hold, patience
from api.idempotency import claimed, key_of
from api.models import (
    JobStatus,
    TranscribeResponse,
    UrlRequest,
    field_schemas,
    form_description,
    handling_schemas,
    option_schemas,
)
from api.problems import problems
from api.room import refuse_early
from api.state import AppState, state_of
from api.views import job_view
from steno.storage import StorageRefused


class PlainRoute(APIRoute):
    """A route whose function takes the request and gives the response itself; FastAPI only describes it.

    Clients poll: what FastAPI does for every other route costs a third of the answers a second.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def handler(request: Request) -> Response:
            answer: Response = await self.endpoint(request=request, **request.path_params)
            return answer

        return handler


_STEPS: Final = (
    "get_job_status", "follow_job", "get_transcript_by_accept", "cancel_job", "retry_job", "delete_job", "list_deliveries",
)  # fmt: skip
"""What can be done with the job that an upload makes, by the names of the routes' functions."""

router = APIRouter()
polled = APIRouter(route_class=PlainRoute)


def _form() -> dict[str, Any]:
    key = {"type": "string", "maxLength": 255}
    about = "A repeated request with the same key is answered with the job of the first, as long as that is kept."
    header = {"name": "Idempotency-Key", "in": "header", "schema": key, "description": about}
    fields = {**field_schemas(UrlRequest), **option_schemas(), **handling_schemas()}
    body = form_description(fields, "engine", instead="url")
    return {"requestBody": body, "parameters": [header]}


def _next_steps() -> dict[int | str, dict[str, Any]]:
    """Links from the job's id to the routes that take it, for the API's description."""
    links = {step: {"operationId": step, "parameters": {"job_id": "$response.body#/job_id"}} for step in _STEPS}
    return {200: {"links": links}}


@router.post(
    "/transcribe",
    response_model=TranscribeResponse,
    summary="Upload a recording",
    openapi_extra=_form(),
    responses=_next_steps() | problems(
        errors.UnsupportedFormat, errors.NotAudio, errors.FileTooLarge, errors.EmptyFile, errors.MalformedUpload,
        errors.BadIdempotencyKey, errors.UploadTooSlow, errors.RequestInProgress, errors.InvalidField, errors.KeyReused,
        errors.UrlsNotFetched, errors.RefusedUrl, errors.FetchFailed, errors.QueueUnavailable, errors.ServerStops,
        errors.OutOfSpace,
        errors.StorageUnavailable,
    ),
)  # fmt: skip
async def upload_and_transcribe(request: Request) -> Response:
    """Stores the recording and queues its transcription. The answer comes when the job can no longer be lost."""
    state = state_of(request)
    await asyncio.to_thread(refuse_early, request, state.settings, state.storage)
    await state.redis.ping()
    key = key_of(request)
    async with claimed(key, state.redis) as claiming:
        accepted = await taken_in(request, state, claiming=claiming)
    if accepted is None:
        return Response(status_code=400)  # nobody is there to read it
    headers = {"Idempotency-Replayed": "true"} if accepted.replayed else None
    return JSONResponse(TranscribeResponse(job_id=accepted.request.job_id).model_dump(), headers=headers)


@polled.get(
    "/status/{job_id}",
    response_model=JobStatus,
    summary="Ask for a job",
    openapi_extra={"parameters": [WAIT]},
    responses=problems(errors.JobNotFound, errors.InvalidField, errors.QueueUnavailable),
)
async def get_job_status(job_id: str, request: Request) -> Response:
    """Where the job is, and its transcript once it is finished."""
    state = state_of(request)
    seconds = patience(request)
    view = await job_view(state, job_id)
    if seconds and not view.is_over:
        await hold(request, state, job_id, view, seconds)
        view = await job_view(state, job_id)
    return Response(view.json(), media_type="application/json")


@router.head("/health", include_in_schema=False)
@router.get("/health", summary="Is the process alive?")
async def health_check() -> dict[str, str]:
    """Answers at once, whatever the workers do and whether or not Redis is there."""
    return {"status": "ok"}


@router.get(
    "/ready",
    summary="Can jobs be taken and done?",
    responses={503: {"description": "Something that jobs need is missing; the body says what."}},
)
async def readiness(state: AppState) -> Response:
    """Whether Redis answers, a worker is alive and the disk has room and can be written."""
    checks = {"redis": True, "worker": False, "disk": True}
    try:
        checks["worker"] = bool(await state.offered())
    except RedisError:
        checks["redis"] = False
    try:
        free = await asyncio.to_thread(state.storage.free_bytes)
        checks["disk"] = free is None or free > state.settings.max_file_size + state.settings.min_free_bytes
    except (OSError, StorageRefused):
        checks["disk"] = False
    ready = all(checks.values())
    return JSONResponse({"ready": ready, **checks}, status_code=200 if ready else 503)
