"""Why a job failed: one class per cause, with a stable code, a sentence for a person, and whether to try again."""

from typing import ClassVar


class JobError(Exception):
    """What became of a job that failed."""

    code: ClassVar[str]
    fault: ClassVar[str]
    """Whose it is to mend: the client, who sent the recording, the operator, or Steno's own authors."""
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "") -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))

    def __str__(self) -> str:
        return str(self.args[0])


class Unforeseen(JobError):
    """The job failed for a reason that Steno did not foresee; the worker's log has the details."""

    code, fault = "internal", "Steno"
    retryable = True


class AudioUnreadable(JobError):
    """The file holds no audio that can be decoded; check that it plays and upload it again."""

    code, fault = "audio_unreadable", "client"


class NoAudioTrack(JobError):
    """The file has no audio track, only pictures or text; send one that has sound."""

    code, fault = "no_audio_track", "client"


class AudioEmpty(JobError):
    """The recording holds no sound at all: its length is zero."""

    code, fault = "audio_empty", "client"


class AudioTooLong(JobError):
    """The recording is longer than this server transcribes; split it, or raise STENO_MAX_AUDIO_HOURS."""

    code, fault = "audio_too_long", "client"


class TooManyChannels(JobError):
    """The recording has more channels than can each be transcribed on its own; leave out `channels`, or send fewer."""

    code, fault = "too_many_channels", "client"


class AudioMissing(JobError):
    """The recording is no longer in storage, though nobody deleted the job; upload it again, and look at the disk."""

    code, fault = "audio_missing", "operator"


class EngineUnavailable(JobError):
    """The engine is not installed where the job was run; `steno doctor` on that machine says how to install it."""

    code, fault = "engine_unavailable", "operator"


class ModelUnavailable(JobError):
    """The model could not be loaded; `steno models check` on the worker's machine says why, `steno models pull` fetches it."""

    code, fault = "model_unavailable", "operator"


class EngineFailed(JobError):
    """The engine's library failed on this recording; the worker's log has the details. Another engine may do."""

    code, fault = "engine_failed", "Steno"


class EngineDied(JobError):
    """The engine process ended in the middle of the job, each time it was tried; the worker's log has its last words."""

    code, fault = "engine_died", "operator"
    retryable = True


class EngineOutOfMemory(JobError):
    """The engine ran out of memory; use a smaller model, shorter recordings or a larger machine."""

    code, fault = "out_of_memory", "operator"
    retryable = True


class TimeLimitExceeded(JobError):
    """The job took longer than its time limit; raise STENO_TIME_LIMIT_FACTOR or use a smaller model."""

    code, fault = "time_limit", "operator"
    retryable = True


class WorkerDied(JobError):
    """The worker died in the middle of the job, every time it was tried; look at its machine's memory and logs."""

    code, fault = "worker_died", "operator"
    retryable = True


class StorageFailed(JobError):
    """The worker could not read or write its storage; check the disk's free space and permissions."""

    code, fault = "storage_failed", "operator"
    retryable = True


ERRORS: dict[str, type[JobError]] = {
    error.code: error
    for error in (
        Unforeseen, AudioUnreadable, NoAudioTrack, AudioEmpty, AudioTooLong, TooManyChannels, AudioMissing, EngineUnavailable,
        ModelUnavailable, EngineFailed, EngineDied, EngineOutOfMemory, TimeLimitExceeded, WorkerDied, StorageFailed,
    )
}  # fmt: skip


def is_clients_fault(code: str) -> bool:
    """Whether the recording is to blame for a job that failed so."""
    return code in ERRORS and ERRORS[code].fault == "client"


def kind_of(error: Exception) -> type[JobError]:
    """What an error of an engine's library is for the job. A GPU's may pass, in another process."""
    said = str(error).lower()
    if "out of memory" in said:
        return EngineOutOfMemory
    return EngineDied if any(name in said for name in ("cuda", "cublas", "cudnn")) else EngineFailed


def job_error(code: str, message: str) -> JobError:
    """The error of a code, with its sentence; an unknown code (a newer process wrote it) is an unforeseen error."""
    return ERRORS.get(code, Unforeseen)(message)
