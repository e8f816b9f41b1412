"""The fields of OpenAI's forms, and what they ask of an engine."""

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, WithJsonSchema

from api.errors import InvalidField, ModelNotFound, NoWorker, wrong_field
from api.forms import Fields, Form, asked_for, invalid
from api.names import WITH_SPEAKERS, Names
from steno.config import Settings
from steno.engines import ENGINES
from steno.jobs.options import Options, honoured
from steno.jobs.record import Handling

_UNKNOWN_SPEAKERS: Final = "This server tells speakers apart but recognises nobody; leave this field out."
_REFUSED: Final = {
    f"known_speaker_{what}{mark}": _UNKNOWN_SPEAKERS for what in ("names", "references") for mark in ("", "[]")
}
_LISTS: Final = ("timestamp_granularities", "include", "languages", "keywords")
_THEIR_NAMES: Final = {"engine": "model", "task": "model", "hotwords": "keywords", "diarize": "response_format"}
"""Of the native fields that are called otherwise here: which field of the form had the engine asked for it."""


def _parsed(value: Any) -> Any:
    """An object may come as JSON."""
    try:
        return json.loads(value) if isinstance(value, str) and value.startswith("{") else value
    except ValueError:
        raise ValueError("give `auto` or a JSON object") from None


class ServerVad(BaseModel):
    """How OpenAI's voice detector would be set; checked, and no more than that."""

    type: Literal["server_vad"]
    prefix_padding_ms: int = Field(300, ge=0)
    silence_duration_ms: int = Field(200, ge=0)
    threshold: float = Field(0.5, ge=0, le=1)


ChunkingStrategy = Annotated[
    Literal["auto"] | ServerVad,
    BeforeValidator(_parsed),
    WithJsonSchema({"anyOf": [{"type": "string", "const": "auto"}, {"type": "object"}]}),
]


class AudioFields(BaseModel):
    """What the forms of both routes have beside the file."""

    task: ClassVar[Literal["transcribe", "translate"]]
    """Of the route that has the form."""

    model: str = Field(max_length=200, description="`engine/model`, a model's name, or an alias: see `GET /v1/models`.")
    language: str | None = Field(
        None, max_length=40, description="Language code or English name of what is spoken; detected if absent."
    )
    prompt: str | None = Field(None, max_length=2000, description="Text that might have come before.")
    response_format: str = Field("json", description="See docs/openai.md.")
    temperature: float | None = Field(
        None, ge=0, le=1, description="Sampling temperature; 0 is the engine's own way, as it is at OpenAI."
    )
    channels: Literal["mix", "separate"] | None = Field(
        None, description="Not OpenAI's: `separate` makes each channel a speaker; `mix` if absent."
    )

    @property
    def is_streamed(self) -> bool:
        return False

    @property
    def wants_words(self) -> bool:
        return False

    @property
    def wants_segments(self) -> bool:
        return True

    @property
    def wants_logprobs(self) -> bool:
        return False

    def check(self) -> None:
        """Raises InvalidField for what does not go together."""

    def native(self) -> dict[str, Any]:
        """The same as fields of `POST /transcribe`, but for the engine and what hangs on it."""
        return {
            "language": self.language,
            "prompt": self.prompt,
            "temperature": self.temperature or None,
            "channels": self.channels,
        }


class TranslationFields(AudioFields):
    """The form of `/v1/audio/translations`, but for its file."""

    task = "translate"

    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] = Field(
        "json", description="See docs/openai.md."
    )


class TranscriptionFields(AudioFields):
    """The form of `/v1/audio/transcriptions`, but for its file."""

    task = "transcribe"

    response_format: Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"] = Field(
        "json", description="See docs/openai.md."
    )
    timestamp_granularities: list[Literal["word", "segment"]] = Field(
        default_factory=list, description="What verbose_json holds; segments alone if absent."
    )
    include: list[Literal["logprobs"]] = Field(
        default_factory=list, description="`logprobs`, with json: the logarithm of each word's confidence."
    )
    stream: bool = Field(False, description="Answer with Server-Sent Events, as segments are heard.")
    chunking_strategy: ChunkingStrategy | None = Field(
        None, description="Taken and passed over: the engine decides where it cuts."
    )
    languages: list[str] = Field(default_factory=list, description="As `language`; one at most.")
    keywords: list[str] = Field(default_factory=list, description="Words that are likely to be spoken.")

    @property
    def is_streamed(self) -> bool:
        return self.stream

    @property
    def wants_words(self) -> bool:
        return "word" in self.timestamp_granularities

    @property
    def wants_segments(self) -> bool:
        return self.timestamp_granularities != ["word"]

    @property
    def wants_logprobs(self) -> bool:
        return bool(self.include)

    def check(self) -> None:
        if self.timestamp_granularities and self.response_format != "verbose_json":
            raise wrong_field("timestamp_granularities", "only response_format=verbose_json has them")
        if self.include and self.response_format != "json":
            raise wrong_field("include", "only response_format=json has logprobs")
        if self.stream and self.response_format in ("srt", "vtt", "verbose_json"):
            raise wrong_field("stream", f"a transcript in {self.response_format} cannot be streamed; json, text can")
        if len({*self.languages, *filter(None, [self.language])}) > 1:
            raise wrong_field("languages", "give one language, or none to have it detected")

    def native(self) -> dict[str, Any]:
        languages = [*filter(None, [self.language]), *self.languages]
        return {
            **super().native(),
            "language": languages[0] if languages else None,
            "hotwords": ", ".join(self.keywords) or None,
        }


class Reading:
    """One request's form: `form` is for the upload, and `told` what it said, once it has been read."""

    def __init__(self, names: Names, kind: type[AudioFields]) -> None:
        self._names = names
        self._kind = kind
        self.told: AudioFields | None = None
        self.form = Form(self._asked, "model", _REFUSED)

    def _asked(self, settings: Settings, fields: Fields) -> tuple[Options, Handling]:
        try:
            self.told = told = self._kind.model_validate(gathered(fields))
        except ValidationError as error:
            raise invalid(error) from error
        _check(told)
        engine, model = self._names.find(told.model)
        speakers = told.model == WITH_SPEAKERS and honoured(ENGINES[engine], "diarize", True)
        given = {**told.native(), "engine": engine, "model": model, "task": told.task}
        if told.channels != "separate":  # where it is, the speakers are known without telling voices apart
            given["diarize"] = speakers or told.response_format == "diarized_json"
        options, handling = _in_their_words(lambda: asked_for(settings, {k: v for k, v in given.items() if v}))
        if engine not in self._names.offered:
            raise NoWorker(f"No running worker offers the engine '{engine}'; send the request again later.")
        return options, handling


def gathered(fields: Fields) -> dict[str, Any]:
    """Lists come as `name[]` or `name`, objects as `name[key]`, and what is empty is as absent."""
    found: dict[str, Any] = {}
    for name, values in fields.items():
        plain, _, key = name.removesuffix("]").partition("[")
        if plain in _LISTS:
            found.setdefault(plain, []).extend(filter(None, values))
        elif key and isinstance(inner := found.setdefault(plain, {}), dict):
            inner[key] = values[-1]
        elif values[-1]:
            found[plain] = values[-1]
    return found


def _in_their_words(check: Callable[[], tuple[Options, Handling]]) -> tuple[Options, Handling]:
    """Errors name the fields that this form has. A model that is not there is 404 to OpenAI's clients."""
    try:
        return check()
    except InvalidField as error:
        faults = [{**fault, "field": _name(fault)} for fault in error.errors or ()]
        if any(fault["field"] in ("model", "engine") for fault in error.errors or ()):
            raise ModelNotFound(str(error), faults) from error
        refused = InvalidField(str(error), faults)
        # Speakers may be asked for by the response_format, and be had by channel.
        refused.is_tentative = error.is_tentative or any(fault["field"] == "diarize" for fault in error.errors or ())
        raise refused from error


def _check(told: AudioFields) -> None:
    try:
        told.check()
    except InvalidField as error:
        error.is_tentative = True
        raise


def _name(fault: Mapping[str, str]) -> str:
    return _THEIR_NAMES.get(fault["field"], fault["field"])
