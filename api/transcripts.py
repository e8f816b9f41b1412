"""Transcripts in every format, by the path's suffix or by the Accept header, with the options of subtitles."""

import asyncio
import json
import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from api import errors
from api.models import field_schemas
from api.problems import problems
from api.state import AppState, State
from api.views import job_view
from steno.jobs.record import Status
from steno.transcript import Transcript
from steno.transcript.subtitle_options import BOUNDS, Cues, SubtitleOptionRefused, SubtitleOptions
from steno.transcript.writers import WRITERS, Writer, options_for

router = APIRouter()


def _number(name: str, about: str) -> Any:
    low, high = BOUNDS[name]
    return Field(None, ge=low, le=high, description=about)


class SubtitleQuery(BaseModel):
    """What may be asked of a format that has subtitles; one that would ignore an option refuses it."""

    model_config = ConfigDict(extra="forbid")

    max_line_width: int | None = _number(
        "max_line_width", "Characters a line, 42 if absent. A Chinese, Japanese or Korean character counts as two."
    )
    max_lines: int | None = _number("max_lines", "Lines a cue, 2 if absent.")
    max_characters_per_second: float | None = _number(
        "max_characters_per_second",
        "How fast one must read at most, 17 if absent: cues stay on in the silence after them.",
    )
    highlight_words: bool | None = Field(
        None, description="True shows each cue once a word, the word that is spoken underlined; false if absent."
    )
    speaker_labels: bool | None = Field(
        None, description="False leaves out the speakers' names, where there are any; true if absent."
    )
    cues: Cues | None = Field(
        None, description="`segments` makes each segment of the engine a cue, however long; `readable` if absent."
    )


def subtitle_schemas() -> dict[str, Any]:
    """The JSON schema of each option."""
    return field_schemas(SubtitleQuery)


_Options = Annotated[SubtitleQuery, Query()]
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {writer.media_type.partition(";")[0]: {} for writer in WRITERS.values()},
        "headers": {
            "Steno-Warnings": {
                "description": "What of the options could not be kept, in sentences; absent if all was.",
                "schema": {"type": "string"},
            }
        },
    }
}
_PROBLEMS: Final = (
    errors.JobNotFound, errors.NotFinished, errors.JobFailed, errors.JobCanceled, errors.InvalidField,
    errors.QueueUnavailable,
)  # fmt: skip


@router.get(
    "/jobs/{job_id}/transcript.{format}",
    summary="Fetch a transcript in a format",
    response_class=Response,
    responses={**_ANSWERS, **problems(errors.FormatNotFound, *_PROBLEMS)},
)
async def get_transcript(job_id: str, format: str, state: AppState, options: _Options) -> Response:
    """The transcript of a finished job as json, txt, srt, vtt, tsv or md; the options are those of subtitles."""
    if format not in WRITERS:
        raise errors.FormatNotFound(f"There is no format '{format[:20]}'; choose one of {', '.join(WRITERS)}.")
    return await _answer(state, job_id, format, options)


@router.get(
    "/jobs/{job_id}/transcript",
    summary="Fetch a transcript in the format that the Accept header asks for",
    response_class=Response,
    responses={**_ANSWERS, **problems(errors.NotAcceptable, *_PROBLEMS)},
)
async def get_transcript_by_accept(job_id: str, request: Request, state: AppState, options: _Options) -> Response:
    """As with a suffix. Who accepts anything gets json."""
    format = preferred(",".join(request.headers.getlist("accept")))
    if format is None:
        types = ", ".join(f"{writer.media_type.partition(';')[0]} ({name})" for name, writer in WRITERS.items())
        raise errors.NotAcceptable(f"Transcripts are written as {types}; accept one of these.")
    answer = await _answer(state, job_id, format, options)
    answer.headers["Vary"] = "Accept"
    return answer


def preferred(accept: str) -> str | None:
    """The format that an Accept header (RFC 9110, 12.5.1) likes best, None if it allows none.

    Between equals the type that is named goes before a wildcard, then the one named first, then the order of our table.
    """
    ranges = [_range(part) for part in accept.split(",") if part.strip()] or [("*/*", 1.0)]
    found: list[tuple[tuple[float, int, int], str]] = []
    for name, writer in WRITERS.items():
        kind = writer.media_type.partition(";")[0]
        exact = (kind, f"{kind.partition('/')[0]}/*", "*/*")
        fitting = [(-exact.index(asked), -at, quality) for at, (asked, quality) in enumerate(ranges) if asked in exact]
        if fitting:
            closeness, place, quality = max(fitting)
            found.append(((quality, closeness, place), name))
    best = max(found, key=lambda each: each[0], default=None)
    return best[1] if best and best[0][0] > 0 else None


def _range(text: str) -> tuple[str, float]:
    """A media range without its parameters, and how much it is liked, 0 to 1; what cannot be read is not liked."""
    kind, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return kind, min(float(value), 1.0) if re.fullmatch(r"\s*\d(\.\d{0,3})?", value, re.ASCII) else 0.0
    return kind, 1.0


async def _answer(state: State, job_id: str, format: str, asked: SubtitleQuery) -> Response:
    try:
        options = options_for(format, **asked.model_dump())
    except SubtitleOptionRefused as error:
        raise errors.InvalidField(str(error), [{"field": error.field, "message": str(error)}]) from error
    result = await _finished(state, job_id)
    text, warnings = await asyncio.to_thread(_written, result, WRITERS[format], options)
    headers = {"Steno-Warnings": " ".join(warnings)} if warnings else None
    return PlainTextResponse(text, media_type=WRITERS[format].media_type, headers=headers)


async def _finished(state: State, job_id: str) -> bytes:
    view = await job_view(state, job_id)
    if view.fields["status"] == Status.FAILED:
        raise errors.JobFailed(view.fields["error"])
    if view.fields["status"] == Status.CANCELED:
        raise errors.JobCanceled
    if view.result is None:
        raise errors.NotFinished(f"The job is {view.fields['status']}; ask again when it is finished.")
    return view.result


def _written(result: bytes, writer: Writer, options: SubtitleOptions) -> tuple[str, tuple[str, ...]]:
    return writer.make(Transcript.from_dict(json.loads(result)), options)
