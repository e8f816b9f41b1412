"""Why a job failed: one class per cause, with a stable code, a sentence for a person, and whether to try again."""

from typing import ClassVar


class JobError(Exception):
    """The job failed for a reason that Steno did not foresee; the worker's log has the details."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "") -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))

    def __str__(self) -> str:
        return str(self.args[0])


class AudioUnreadable(JobError):
    """The file holds no audio that can be decoded; check that it plays and upload it again."""

    code = "audio_unreadable"


class AudioEmpty(JobError):
    """The recording holds no sound at all: its length is zero."""

    code = "audio_empty"


class AudioTooLong(JobError):
    """The recording is longer than this server transcribes; split it, or raise STENO_MAX_AUDIO_HOURS."""

    code = "audio_too_long"


class AudioMissing(JobError):
    """The recording is no longer in storage; upload it again."""

    code = "audio_missing"


class EngineUnavailable(JobError):
    """The engine is not installed where the job was run."""

    code = "engine_unavailable"


class ModelUnavailable(JobError):
    """The model could not be loaded."""

    code = "model_unavailable"


class EngineFailed(JobError):
    """The engine could not transcribe this recording; the worker's log has the details."""

    code = "engine_failed"


class EngineDied(JobError):
    """The engine process ended in the middle of the job."""

    code = "engine_died"
    retryable = True


class EngineOutOfMemory(JobError):
    """The engine ran out of memory; use a smaller model, shorter recordings or a larger machine."""

    code = "out_of_memory"
    retryable = True


class TimeLimitExceeded(JobError):
    """The job took longer than its time limit; raise STENO_TIME_LIMIT_FACTOR or use a smaller model."""

    code = "time_limit"
    retryable = True


class WorkerDied(JobError):
    """The worker died in the middle of the job, every time it was tried."""

    code = "worker_died"
    retryable = True


class StorageFailed(JobError):
    """The worker could not read or write its storage; check the disk's free space and permissions."""

    code = "storage_failed"
    retryable = True


ERRORS: dict[str, type[JobError]] = {
    error.code: error
    for error in (
        JobError, AudioUnreadable, AudioEmpty, AudioTooLong, AudioMissing, EngineUnavailable, ModelUnavailable, EngineFailed,
        EngineDied, EngineOutOfMemory, TimeLimitExceeded, WorkerDied, StorageFailed,
    )
}  # fmt: skip


def job_error(code: str, message: str) -> JobError:
    """The error of a code, with its sentence; an unknown code (a newer process wrote it) is an internal error."""
    return ERRORS.get(code, JobError)(message)
