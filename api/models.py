"""What the native routes take and give."""

from typing import Literal

from pydantic import BaseModel, Field

from steno.transcript.model import Transcript

EngineName = Literal["whisperx", "timestamped", "faster-whisper", "pocketsphinx"]


class TranscribeRequest(BaseModel):
    """The fields that come beside the file."""

    engine: EngineName = Field(description="What listens: see docs/engines.md.")
    language: str | None = Field(
        None, max_length=40, description="Language code or English name (`en`, `german`); detected if absent."
    )
    model: str | None = Field(
        None, max_length=200, description="One of the engine's models, by name; the server's default if absent."
    )


class TranscribeResponse(BaseModel):
    job_id: str
    status: str = "queued"


class JobStatus(BaseModel):
    """Where a job is. `result` is the transcript once `status` is `finished`, `error` a sentence once it is `failed`."""

    job_id: str
    status: Literal["queued", "started", "finished", "failed"]
    result: Transcript | None = None
    error: str | None = None
    error_code: str | None = Field(None, description="Stable name of the error: see docs/errors.md.")
    engine: str
    stage: str | None = Field(
        None, description="queued, loading, decoding, transcribing or writing; absent once the job is over."
    )
    progress: float = Field(description="Share of the recording transcribed, 0 to 1.")
    attempts: int = Field(description="How often the job was begun.")
    message: str | None = Field(None, description="A sentence on why the job still waits, where there is a reason.")
    enqueued_at: str | None = None
    started_at: str | None = None
    ended_at: str | None = None


class Problem(BaseModel):
    """An error, as RFC 9457 has it: `detail` is for a person, `code` for a program."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    errors: list[dict[str, str]] | None = Field(None, description="The fields at fault, where it was a field.")
