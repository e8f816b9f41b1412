"""What the parameters of `/asr` ask for, and of which engine."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeVar

from fastapi import Request
from pydantic import BaseModel, Field, ValidationError

from api.asr.bodies import BODIES
from api.errors import InvalidField, NoWorker
from api.forms import Form, asked_for, invalid
from api.names import Names
from steno.engines import ENGINES
from steno.jobs.options import Options, honoured
from steno.jobs.record import Handling

_THEIR_NAMES: Final = {"prompt": "initial_prompt", "vad": "vad_filter"}
"""Of the native fields that are called otherwise here."""


class FileQuery(BaseModel):
    """The parameters of `POST /detect-language`."""

    encode: bool = Field(
        True,
        description="False: `audio_file` holds raw samples, 16 kHz, mono, signed 16-bit little-endian, whatever its name.",
    )


class AsrQuery(FileQuery):
    """The parameters of `POST /asr`. Others are ignored, as whisper-asr-webservice does."""

    task: Literal["transcribe", "translate"] = Field("transcribe", description="`translate` gives English text.")
    language: str | None = Field(
        None, max_length=40, description="Language code or English name of what is spoken; detected if absent."
    )
    initial_prompt: str | None = Field(None, max_length=2000, description="Text that might have come before.")
    vad_filter: bool | None = Field(
        None, description="Whether to leave out what is taken for no speech; the engine's own way if absent."
    )
    word_timestamps: bool = Field(False, description="True adds the words with their times to json.")
    diarize: bool = Field(
        False, description="Name the speaker of each segment, with an engine that can if there is one."
    )
    min_speakers: int | None = Field(None, ge=1, le=100, description="With `diarize`: at least so many speakers.")
    max_speakers: int | None = Field(None, ge=1, le=100, description="With `diarize`: at most so many speakers.")
    output: str = Field(
        "txt",
        max_length=40,
        description=f"The format of the answer: {', '.join(BODIES)}. Any other is txt.",
    )
    model: str | None = Field(
        None, description="One of `GET /v1/models`, by any name; the server's default for any other, and if absent."
    )
    hotwords: str | None = Field(
        None, max_length=2000, description="Words likely to be spoken, for engines that take them."
    )


@dataclass(frozen=True)
class Asked:
    """The job that a request asks for; `notes` are sentences on what it asked for in vain."""

    options: Options
    handling: Handling
    taken: Literal["by_content", "as_samples"]
    notes: tuple[str, ...] = ()

    @property
    def form(self) -> Form:
        """The form has nothing but the file: what else is in it is ignored."""
        return Form(
            lambda settings, fields: (self.options, self.handling),
            file="audio_file",
            others_pass=True,
            taken=self.taken,
        )


_Query = TypeVar("_Query", bound=FileQuery)


def read(kind: type[_Query], request: Request) -> _Query:
    """The parameters; the last of several values counts, and an empty one is as one that is absent. Raises InvalidField."""
    try:
        return kind.model_validate({name: value for name, value in request.query_params.items() if value})
    except ValidationError as error:
        raise invalid(error) from error


def transcription(query: AsrQuery, names: Names) -> Asked:
    """Refuses what would make another text than was asked for; what makes it a little better or richer, it notes and leaves out.

    Words are heard in any case: a segment that begins and ends with its words is placed better than Whisper places it. Raises
    InvalidField, NoWorker.
    """
    engine, model, notes = _engine(query, names)
    known = ENGINES[engine]
    diarize = query.diarize and honoured(known, "diarize", True)
    given = {
        "engine": engine,
        "model": model,
        "task": query.task,
        "language": query.language,
        "prompt": query.initial_prompt,
        "hotwords": query.hotwords if honoured(known, "hotwords", query.hotwords) else None,
        "vad": query.vad_filter if honoured(known, "vad", query.vad_filter) else None,
        "diarize": diarize,
        "min_speakers": query.min_speakers if diarize else None,
        "max_speakers": query.max_speakers if diarize else None,
    }
    if query.diarize and not diarize:
        notes.append(f"Engine '{engine}' does not tell speakers apart.")
    if query.vad_filter is not None and given["vad"] is None:
        notes.append(
            f"Engine '{engine}' has its own way with silence; vad_filter={str(query.vad_filter).lower()} changed nothing."
        )
    if query.hotwords and not given["hotwords"]:
        notes.append(f"Engine '{engine}' takes no hotwords.")
    options, handling = _checked(names, {name: value for name, value in given.items() if value is not None})
    return Asked(options, handling, _taken(query), tuple(notes))


def language_detection(query: FileQuery, names: Names) -> Asked:
    """The recording is not kept: clients send whole films for this, and send them again for their subtitles. Raises NoWorker."""
    given = {"engine": names.default_engine, "word_timestamps": False, "keep_audio": False}
    options, handling = _checked(names, given)
    return Asked(replace(options, language_only=True), handling, _taken(query))


def _engine(query: AsrQuery, names: Names) -> tuple[str, str, list[str]]:
    """Engine and model, and what is to be said of the choice."""
    settings = names.settings
    notes: list[str] = []
    if query.model:
        engine, model = names.find(query.model)
        if names.is_at_hand(engine) and model in settings.models_of(engine):
            return engine, model, notes
        notes.append(f"There is no model '{ascii(query.model[:100])[1:-1]}' here; the default one has listened.")
    engine = names.speaker_engine if query.diarize else names.default_engine
    return engine, settings.default_model_of(engine), notes


def _checked(names: Names, given: Mapping[str, Any]) -> tuple[Options, Handling]:
    """The native check, its errors in the names that the parameters have here."""
    try:
        options, handling = asked_for(names.settings, given)
    except InvalidField as error:
        faults = [{**fault, "field": _THEIR_NAMES.get(fault["field"], fault["field"])} for fault in error.errors or ()]
        raise InvalidField(str(error), faults) from error
    if options.engine not in names.offered:
        raise NoWorker(f"No running worker offers the engine '{options.engine}'; send the request again later.")
    return options, handling


def _taken(query: FileQuery) -> Literal["by_content", "as_samples"]:
    return "by_content" if query.encode else "as_samples"


def parameters(kind: type[FileQuery]) -> list[dict[str, Any]]:
    """For the API's description."""
    properties: dict[str, Any] = kind.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": told["description"],
            "schema": {**told.get("anyOf", [_bare(told)])[0], **_default(told)},
        }
        for name, told in properties.items()
    ]


def _bare(told: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in told.items() if key not in ("title", "description", "default")}


def _default(told: Mapping[str, Any]) -> dict[str, Any]:
    return {} if told.get("default") is None else {"default": told["default"]}
