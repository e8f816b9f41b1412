"""`/v1/audio/transcriptions`, `/v1/audio/translations` and `/v1/models`: requests that wait for their transcript."""

import asyncio
import json
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api import errors
from api.accept import taken_in
from api.engines import models_at_hand
from api.errors import ApiError
from api.handlers import PlainRoute
from api.models import field_schemas, form_description
from api.names import Names
from api.openai.bodies import written
from api.openai.envelope import envelopes, fault_of, fault_of_job
from api.openai.fields import AudioFields, Reading, TranscriptionFields, TranslationFields
from api.openai.stream import TranscriptStream
from api.state import State, state_of
from api.waiting import admit, outcome_of
from steno.engines import ENGINES
from steno.transcript import Transcript

router = APIRouter(prefix="/v1", route_class=PlainRoute)

_FAILURES = envelopes(
    errors.UnsupportedFormat, errors.NotAudio, errors.EmptyFile, errors.MalformedUpload, errors.InvalidField,
    errors.ModelNotFound, errors.JobNotFound, errors.UploadTooSlow, errors.JobCanceled, errors.FileTooLarge, errors.ApiError,
    errors.QueueUnavailable, errors.QueueFull, errors.NoWorker, errors.ServerStops, errors.StillAtWork, errors.OutOfSpace,
    errors.StorageUnavailable,
)  # fmt: skip


def _form(kind: type[AudioFields]) -> dict[str, Any]:
    fields = field_schemas(kind).items()
    properties = {f"{name}[]" if told.get("type") == "array" else name: told for name, told in fields}
    return {"requestBody": form_description(properties, "model")}


@router.post(
    "/audio/transcriptions",
    summary="Transcribe, the way of OpenAI",
    openapi_extra=_form(TranscriptionFields),
    responses=_FAILURES,
)
async def create_transcription(request: Request) -> Response:
    """Waits for the transcript and answers with it. See docs/openai.md."""
    return await _answer(request, TranscriptionFields)


@router.post(
    "/audio/translations",
    summary="Translate into English, the way of OpenAI",
    openapi_extra=_form(TranslationFields),
    responses=_FAILURES,
)
async def create_translation(request: Request) -> Response:
    """Waits for the English text and answers with it. See docs/openai.md."""
    return await _answer(request, TranslationFields)


async def _answer(request: Request, kind: type[AudioFields]) -> Response:
    """What can be refused before the upload is read is."""
    state = state_of(request)
    reading = Reading(Names(state.settings, await admit(request, state)), kind)
    accepted = await taken_in(request, state, reading.form)
    if accepted is None or reading.told is None:
        return Response(status_code=400)  # nobody is there to read it
    job_id = accepted.request.job_id
    if reading.told.is_streamed:
        return TranscriptStream(state, job_id, reading.told)
    response = await _waited(request, state, job_id, reading.told)
    response.headers["X-Request-Id"] = job_id
    return response


async def _waited(request: Request, state: State, job_id: str, told: AudioFields) -> Response:
    seconds, keep = state.settings.openai_wait, state.settings.openai_keep_abandoned
    try:
        view = await outcome_of(request.receive, state, job_id, seconds, keep)
    except ApiError as error:
        return fault_of(error).response()
    if view is None:
        return Response(status_code=400)  # nobody is there to read it
    if view.result is None:
        return fault_of_job(view).response()
    return await asyncio.to_thread(_written, view.result, told)


def _written(result: bytes, told: AudioFields) -> Response:
    return written(Transcript.from_dict(json.loads(result)), told)


@router.get("/models", summary="List models, the way of OpenAI", responses=envelopes(errors.QueueUnavailable))
async def list_models(request: Request) -> Response:
    """What live workers offer, as `engine/model`, and the aliases that stand for something of that."""
    names, at_hand = await _models(state_of(request))
    told = [_model(f"{engine}/{model}", engine) for engine, model in at_hand]
    told += [_model(alias, at[0]) for alias, at in _aliases(names).items() if at in at_hand]
    return JSONResponse({"object": "list", "data": told})


@router.get(
    "/models/{id:path}",
    summary="Ask for a model, the way of OpenAI",
    responses=envelopes(errors.ModelNotFound, errors.QueueUnavailable),
)
async def retrieve_model(request: Request, id: str) -> Response:
    """A model by any name that a request may give it."""
    names, at_hand = await _models(state_of(request))
    engine, model = names.find(id) if names.offered else ("", "")
    if (engine, model) not in at_hand:
        about = [{"field": "model", "message": "not found"}]
        raise errors.ModelNotFound(f"There is no model '{id[:200]}' here; GET /v1/models lists those there are.", about)
    return JSONResponse(_model(id, engine))


async def _models(state: State) -> tuple[Names, list[tuple[str, str]]]:
    """The names there are, and engine and model of everything that can be asked for."""
    offered = await state.offered()
    offers = await asyncio.to_thread(state.roster.offers)
    at_hand = [
        (engine, model)
        for engine in ENGINES
        if not state.settings.engines or engine in state.settings.engines
        for model in models_at_hand(state.settings, engine, engine in offered, offers.get(engine, []))
    ]
    return Names(state.settings, offered), at_hand


def _aliases(names: Names) -> dict[str, tuple[str, str]]:
    return names.aliases() if names.offered else {}


def _model(name: str, engine: str) -> dict[str, Any]:
    """When a model was made is not known here."""
    return {"id": name, "object": "model", "created": 0, "owned_by": engine}
