"""`POST /asr` and `POST /detect-language`: requests that wait for their transcript."""

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from api import errors
from api.accept import taken_in
from api.asr.bodies import detected, written
from api.asr.query import Asked, AsrQuery, FileQuery, language_detection, parameters, read, transcription
from api.errors import ApiError
from api.handlers import PlainRoute
from api.models import Problem, form_description
from api.names import Names
from api.problems import problem_of, problems, write_problem
from api.state import state_of
from api.views import JobView
from api.waiting import admit, outcome_of
from steno.jobs.errors import is_clients_fault
from steno.jobs.record import JobRequest, Status
from steno.transcript import Transcript

router = APIRouter(route_class=PlainRoute)

_Write = Callable[[JobRequest, Transcript], Response]
_FAILURES: Final = problems(
    errors.UnsupportedFormat, errors.NotAudio, errors.FileTooLarge, errors.EmptyFile, errors.MalformedUpload,
    errors.JobNotFound, errors.UploadTooSlow, errors.JobCanceled, errors.InvalidField, errors.ApiError,
    errors.QueueUnavailable, errors.QueueFull, errors.NoWorker, errors.ServerStops, errors.StillAtWork, errors.OutOfSpace,
    errors.StorageUnavailable,
)  # fmt: skip
_TEXT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The transcript, in the format of `output`.", "content": {"text/plain": {}}}
}
_LANGUAGE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "`und` where nobody speaks.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "detected_language": {"type": "string"},
                        "language_code": {"type": "string"},
                        "confidence": {"type": "number"},
                    },
                }
            }
        },
    }
}


def _described(kind: type[FileQuery]) -> dict[str, Any]:
    return {"requestBody": form_description({}, file="audio_file"), "parameters": parameters(kind)}


@router.post(
    "/asr",
    summary="Transcribe, the way of whisper-asr-webservice",
    response_class=PlainTextResponse,
    openapi_extra=_described(AsrQuery),
    responses={**_FAILURES, **_TEXT},
)
async def transcribe_and_wait(request: Request) -> Response:
    """Waits for the transcript and answers with it. See docs/asr.md."""
    query = read(AsrQuery, request)
    names = Names(state_of(request).settings, await admit(request, state_of(request)))
    asked = transcription(query, names)

    def write(job: JobRequest, transcript: Transcript) -> Response:
        headers = {
            "Asr-Engine": job.options.engine.replace("-", "_"),
            "Content-Disposition": f'attachment; filename="{quote(job.filename)}.{quote(query.output)}"',
        }
        if warnings := (*asked.notes, *transcript.warnings):
            headers["Steno-Warnings"] = " ".join(" ".join(warnings).split()).encode("ascii", "replace").decode()
        return PlainTextResponse(written(transcript, query.output, query.word_timestamps), headers=headers)

    return await _answer(request, asked, write)


@router.post(
    "/detect-language",
    summary="Detect the language, the way of whisper-asr-webservice",
    openapi_extra=_described(FileQuery),
    responses={**_FAILURES, **_LANGUAGE},
)
async def detect_language(request: Request) -> Response:
    """Listens to the beginning, waits for the language and answers with it. See docs/asr.md."""
    query = read(FileQuery, request)
    names = Names(state_of(request).settings, await admit(request, state_of(request)))
    return await _answer(
        request, language_detection(query, names), lambda job, transcript: JSONResponse(detected(transcript))
    )


async def _answer(request: Request, asked: Asked, write: _Write) -> Response:
    accepted = await taken_in(request, state_of(request), asked.form)
    if accepted is None:
        return Response(status_code=400)  # nobody is there to read it
    response = await _waited(request, accepted.request, write)
    response.headers["X-Request-Id"] = accepted.request.job_id
    return response


async def _waited(request: Request, job: JobRequest, write: _Write) -> Response:
    state = state_of(request)
    seconds, keep = state.settings.asr_wait, state.settings.openai_keep_abandoned
    try:
        view = await outcome_of(request.receive, state, job.job_id, seconds, keep)
        if view is None:
            return Response(status_code=400)  # nobody is there to read it
        if view.fields["status"] == Status.CANCELED:
            raise errors.JobCanceled
    except ApiError as error:
        return write_problem(problem_of(error), error.headers)
    if (result := view.result) is None:
        return write_problem(_problem_of_job(view), {})
    return await asyncio.to_thread(lambda: write(job, Transcript.from_dict(json.loads(result))))


def _problem_of_job(view: JobView) -> Problem:
    """Of one that failed: the request's fault, or the server's."""
    code, message = view.fields["error_code"], view.fields["error"]
    status = 400 if is_clients_fault(code) else 500
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=message, code=code)
