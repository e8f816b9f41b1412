"""What the native routes take and give."""

import functools
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema

from steno.controls import steers
from steno.jobs.record import Handling
from steno.transcript.model import Transcript

EngineName = Literal["whisperx", "timestamped", "faster-whisper", "pocketsphinx"]


class TranscribeRequest(BaseModel):
    """The fields that come beside the file. What an engine cannot honour is refused: see docs/options.md."""

    engine: EngineName = Field(description="What listens: see docs/engines.md.")
    language: str | None = Field(
        None, max_length=40, description="Language code or English name (`en`, `german`); detected if absent."
    )
    model: str | None = Field(
        None, max_length=200, description="One of the engine's models, by name; the server's default if absent."
    )
    task: Literal["transcribe", "translate"] | None = Field(
        None, description="`translate` gives English text, whatever is spoken; `transcribe` if absent."
    )
    prompt: str | None = Field(
        None,
        max_length=2000,
        description="Text that might have come before: sets style, spelling and names. Whisper heeds its last 223 tokens.",
    )
    hotwords: str | None = Field(
        None,
        max_length=2000,
        description="Words that are likely to be spoken: 112 tokens, some 80 words. What is more is left out, with a warning.",
    )
    temperature: float | None = Field(
        None, ge=0, le=1, description="Sampling temperature, this one alone; the engine's own way if absent."
    )
    beam_size: int | None = Field(None, ge=1, le=16, description="Beams searched at once; the engine's own if absent.")
    batch_size: int | None = Field(
        None, ge=1, le=64, description="Stretches of 30 s heard at once: faster, and more memory. 8 if absent."
    )
    vad: bool | None = Field(
        None, description="Leave out, before listening, what the voice detector takes for no speech."
    )
    diarize: bool | None = Field(None, description="Name the speaker of every word: `SPEAKER_00` and so on.")
    min_speakers: int | None = Field(None, ge=1, le=100, description="With `diarize`: at least so many speakers.")
    max_speakers: int | None = Field(None, ge=1, le=100, description="With `diarize`: at most so many speakers.")
    word_timestamps: bool | None = Field(
        None, description="False leaves out the words with their times, and the work they take; true if absent."
    )
    disfluencies: bool | None = Field(None, description="Write `[*]` for hesitations, fillers and false starts.")
    suppress_numerals: bool | None = Field(
        None, description="Write numbers as words, which can be aligned, and no currency signs."
    )
    channels: Literal["mix", "separate"] | None = Field(
        None,
        description="`separate` hears each channel on its own and makes it a speaker, `CHANNEL_0` and so on; `mix` if absent.",
    )


def _header_value(value: str) -> str:
    value = value.strip()
    if not (value.isascii() and value.isprintable()):
        raise ValueError("give the value of an Authorization header, such as Bearer TOKEN: one line of plain ASCII")
    return value


class UrlRequest(BaseModel):
    """The fields that come instead of the file. What is wrong with them is said without what was given: it may be secret."""

    url: str | None = Field(
        None, description="Where the recording is, instead of `file`, if the operator allows that: see docs/urls.md."
    )
    url_authorization: Annotated[str, AfterValidator(_header_value)] | None = Field(
        None,
        max_length=4096,
        description="With `url`: the Authorization header sent to its host, and to no other. Neither stored nor logged.",
        json_schema_extra={"format": "password", "writeOnly": True},
    )


def _labels(value: Any) -> Any:
    """Labels come comma separated; one that comes twice counts once."""
    if not isinstance(value, str):
        return value
    return list(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))


def _json_object(value: Any) -> Any:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):  # deeply nested
        found = None
    if not isinstance(found, dict):
        raise ValueError('give a JSON object of texts, such as {"case": "12"}')
    return found


def _one_line(value: str) -> str:
    """It is listed on terminals."""
    if any(map(steers, value)):
        raise ValueError("give one line without control characters")
    return value


Label = Annotated[str, Field(max_length=64), AfterValidator(_one_line)]
Labels = Annotated[
    list[Label], Field(max_length=16), BeforeValidator(_labels), WithJsonSchema({"type": "string", "maxLength": 1100})
]
MetadataKey = Annotated[str, Field(max_length=64), AfterValidator(_one_line)]
MetadataValue = Annotated[str, Field(max_length=512)]
Metadata = Annotated[
    dict[MetadataKey, MetadataValue],
    Field(max_length=16),
    BeforeValidator(_json_object),
    WithJsonSchema({"type": "string", "contentMediaType": "application/json", "maxLength": 64000}),
]


class HandlingRequest(BaseModel):
    """The fields that say how the job is treated, whatever its engine."""

    priority: Literal["high", "normal", "low"] | None = Field(
        None,
        description="Which jobs are taken first; `normal` if absent. Of ten jobs one is always of the lowest that waits.",
    )
    labels: Labels | None = Field(
        None, description="For finding the job again: at most 16 of 64 characters, comma separated or a field each."
    )
    metadata: Metadata | None = Field(
        None,
        description="Yours, given back with the job: a JSON object of at most 16 texts of 512 characters, by names of 64.",
    )
    callback_url: str | None = Field(
        None, max_length=2000, description="Called when the job is over: see docs/webhooks.md."
    )
    delete_after: float | None = Field(
        None,
        ge=0,
        le=10 * 365 * 86400,
        description="Seconds after its end at which the job is deleted; the server's own retention if absent.",
    )
    keep_audio: bool | None = Field(
        None, description="False removes the recording as soon as there is a transcript; true if absent."
    )
    reuse: bool | None = Field(
        None,
        description="True finishes the job at once with the transcript of an earlier one, if there is one of the same "
        "recording, engine, model and options; `reused_from` names it.",
    )

    def handling(self) -> Handling:
        asked = self.model_dump(exclude_none=True)
        return Handling(**{**asked, "labels": tuple(asked.get("labels", ()))})


@functools.cache
def option_schemas() -> dict[str, Any]:
    """The JSON schema of each option that a client may send. A form has no null: an optional field is absent or empty."""
    return field_schemas(TranscribeRequest)


@functools.cache
def handling_schemas() -> dict[str, Any]:
    """The JSON schema of the other fields of the form but the file."""
    return field_schemas(HandlingRequest)


def field_schemas(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of each field, without the null of one that may be absent."""
    fields: dict[str, Any] = model.model_json_schema()["properties"]
    return {name: {**told.get("anyOf", [told])[0], "description": told["description"]} for name, told in fields.items()}


def form_description(
    properties: Mapping[str, Any], *required: str, file: str = "file", instead: str | None = None
) -> dict[str, Any]:
    """A door's form with a file, for the API's description: the routes read it as a stream, so FastAPI cannot see it.

    `instead` is the field that may come in place of the file; the form that has one takes no fields but these.
    """
    recording = {"type": "string", "format": "binary", "description": "The recording."}
    schema: dict[str, Any] = {"type": "object", "properties": {file: recording, **properties}, "required": [*required]}
    if instead is None:
        schema["required"].append(file)
    else:
        schema["additionalProperties"] = False
        schema["oneOf"] = [{"required": [file]}, {"required": [instead]}]
    named = {"schema": {"type": "string"}, "example": f'form-data; name="{file}"; filename="talk.flac"'}
    encoding = {file: {"headers": {"Content-Disposition": named}}}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema, "encoding": encoding}}}


class TranscribeResponse(BaseModel):
    job_id: str
    status: str = "queued"


class JobSummary(BaseModel):
    """Where a job is. `error` is a sentence once it is `failed`. Times are ISO 8601, UTC."""

    job_id: str
    status: Literal["queued", "started", "finished", "failed", "canceled"]
    error: str | None = None
    error_code: str | None = Field(None, description="Stable name of the error: see docs/errors.md.")
    engine: str
    model: str | None = None
    filename: str | None = Field(None, description="As the client named it.")
    stage: str | None = Field(
        None,
        description="queued, loading, decoding, transcribing, aligning, diarizing or writing; absent once the job is over.",
    )
    progress: float = Field(
        description="Share of the whole work that is done, 0 to 1; it falls only if another attempt begins."
    )
    position: int | None = Field(None, description="Place in the line, 1 being next, while the job is queued.")
    seconds_left: float | None = Field(
        None,
        description="Estimate of the time until the job is done, from speed measured here; absent while none is known.",
    )
    attempts: int = Field(description="How often the job was begun.")
    message: str | None = Field(None, description="A sentence on why the job still waits, where there is a reason.")
    warnings: list[str] = Field(description="What did not go as asked though there is a transcript.")
    priority: str
    labels: list[str]
    metadata: dict[str, str]
    reused_from: str | None = Field(None, description="The job whose transcript this is, where `reuse` found one.")
    created_at: str | None = Field(None, description="When it was accepted.")
    enqueued_at: str | None = Field(None, description="When it was last queued.")
    started_at: str | None = Field(None, description="When its last attempt began.")
    ended_at: str | None = None


class JobStatus(JobSummary):
    """With `result`, the transcript, once `status` is `finished`."""

    result: Transcript | None = None


class JobList(BaseModel):
    jobs: list[JobSummary]
    next_cursor: str | None = Field(description="Ask with this `cursor` for what comes after; null on the last page.")


class RetriedJobs(BaseModel):
    retried: list[str] = Field(description="Ids of the jobs that are queued again.")
    skipped: list[str] = Field(
        description="Ids of those that cannot be: their recording is no longer kept, or they just changed."
    )


class EngineDescription(BaseModel):
    """An engine, and what may be asked of it here."""

    name: EngineName
    available: bool = Field(description="Whether a live worker offers it; a job for any other waits until one does.")
    workers: int = Field(description="How many live workers have said what they offer.")
    models: list[str] = Field(description="What `model` may be: allowed here, and known to a live worker.")
    default_model: str | None = Field(None, description="Used where a request names none.")
    languages: list[str] = Field(description="Codes of the languages it knows. Some models know English only.")
    options: dict[str, Any] = Field(description="The options it honours, each with the JSON schema of its values.")
    versions: list[dict[str, str]] = Field(description="Of its libraries; one entry for each combination in use.")
    devices: list[str] = Field(description="What it computes on: cpu, cuda.")
    licence: str
    install: str = Field(description="How an operator would get it.")


class EngineList(BaseModel):
    engines: list[EngineDescription]


class DeliveryAttempt(BaseModel):
    """One try to tell the callback URL."""

    at: str
    status: int | None = Field(description="The receiver's HTTP status; absent where it gave no answer.")
    error: str | None = Field(description="What went wrong, if anything did.")
    took_ms: int


class DeliveryEvent(BaseModel):
    """Something that the callback URL is told."""

    id: str = Field(description="The `webhook-id`: the same in every attempt.")
    type: Literal["transcription.completed", "transcription.failed", "transcription.canceled"]
    timestamp: str = Field(description="When the job ended.")
    state: Literal["pending", "delivered", "failed", "disabled"] = Field(
        description="`failed` after the last attempt, `disabled` once the receiver has answered 410."
    )
    next_at: str | None = Field(description="When it is tried next, while it is pending.")
    data: dict[str, Any] = Field(description="What is told: see docs/webhooks.md.")
    attempts: list[DeliveryAttempt]


class Deliveries(BaseModel):
    """The delivery log of a job. No event: the job is not over, or it ended a moment ago."""

    job_id: str
    url: str
    events: list[DeliveryEvent]


class Problem(BaseModel):
    """An error, as RFC 9457 has it: `detail` is for a person, `code` for a program."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    errors: list[dict[str, str]] | None = Field(None, description="The fields at fault, where it was a field.")
