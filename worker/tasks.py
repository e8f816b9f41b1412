"""The job functions, named by string on the queue. Each may run twice; each says why that is safe."""

import logging
import os
import sys
import time
from typing import Any, Final

from rq import Retry, get_current_job

from steno.config import Settings, load_settings
from steno.jobs.errors import AudioMissing, JobError, StorageFailed, Unforeseen
from steno.jobs.queue import LONGEST_PAUSE
from steno.jobs.record import ERROR, REQUEST, TRANSCRIPT, JobRequest, error_record, outcome
from steno.storage import LocalStorage, Storage, StorageRefused
from steno.transcript import Transcript
from worker.attempt import Attempt, Canceled, GivenBack
from worker.engine_process import EngineProcess
from worker.progress import Progress

log = logging.getLogger(__name__)

_AGAIN: Final = Retry(max=sys.maxsize)
"""Steno counts attempts itself, since RQ does not count those that died with their worker."""
_REFUSED_SECONDS: Final = 15


class Workplace:
    """What a worker process has at hand for its jobs. One a process; the warm worker and its jobs share it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.storage: Storage = LocalStorage(settings.upload_dir)
        self._engines: dict[str, EngineProcess] = {}
        self.give_back_at: float | None = None
        """The moment (time.monotonic) from which a job in hand goes back to the queue; None while all is well."""

    def look_up(self) -> None:
        """Raises GivenBack where the job in hand is to go back."""
        if self.give_back_at is not None and time.monotonic() >= self.give_back_at:
            raise GivenBack

    def engine_process(self, engine: str) -> EngineProcess:
        """The process that runs this engine: one an interpreter, so one for all engines but those with their own."""
        python = self.settings.pythons.get(engine, sys.executable)
        if python not in self._engines:
            # Some libraries hear of it in no other way. That 0 is every core, all are told anyway: steno.interpreters.CALM.
            threads = self.settings.threads
            told = {"OMP_NUM_THREADS": str(threads)} if threads else {}
            self._engines[python] = EngineProcess({**told, **os.environ}, python)
        return self._engines[python]

    def close(self) -> None:
        """End the engine processes."""
        for process in self._engines.values():
            process.close()


_workplace: Workplace | None = None


def workplace() -> Workplace:
    """This process's workplace, made on first use so that RQ's own workers can run the jobs, too."""
    global _workplace
    if _workplace is None:
        _workplace = Workplace(load_settings())
    return _workplace


def transcribe(job_id: str) -> dict[str, Any] | Retry:
    """Make the transcript of a job and store it; what RQ keeps is a summary.

    Safe to run twice: what came of a job first stays, and one that is over or deleted is not done. A failure that may pass is
    tried again up to STENO_MAX_ATTEMPTS, after a pause; any other is written to storage and raised.
    """
    place, progress = workplace(), Progress(get_current_job())
    data = place.storage.get(job_id, REQUEST)
    if data is None or outcome(place.storage, job_id) is not None:
        return _summary_of(place, job_id)
    request = JobRequest.from_dict(data)
    progress.begin(request.options)
    try:
        return _tried(place, request, progress)
    except StorageRefused as error:
        # The operator's to mend, and no fault of the job: it waits as long as that takes.
        log.error("Job %s waits: %s", job_id, error, extra={"action": "storage_refused"})
        progress.give_back()
        return Retry(max=sys.maxsize, interval=_REFUSED_SECONDS)


def _tried(place: Workplace, request: JobRequest, progress: Progress) -> dict[str, Any] | Retry:
    """One attempt, and what follows from it. Raises StorageRefused, and the JobError that ended the job."""
    job_id, started = request.job_id, time.monotonic()
    try:
        transcript = _transcribe(place, request, progress)
    except GivenBack:
        log.info("Job %s given back: this worker stops", job_id, extra={"action": "job_given_back"})
        progress.give_back()
        return _AGAIN
    except Canceled:
        log.info("Job %s let go: it was canceled, or is over", job_id, extra={"action": "job_canceled"})
        return _summary_of(place, job_id)
    except StorageRefused:
        raise
    except Exception as cause:  # noqa: BLE001 - whatever it is, the job must end
        return _after_failure(place, request, progress, cause)
    took, length = time.monotonic() - started, transcript.duration
    progress.finish(request.options, length, transcript.warnings, took)
    log.info("Job %s finished: %.1f s of audio in %.1f s", job_id, length, took, extra={"action": "job_finished"})
    return _summary(transcript)


def _after_failure(
    place: Workplace, request: JobRequest, progress: Progress, cause: Exception
) -> dict[str, Any] | Retry:
    """Try again what may pass, store why the rest failed and raise it; unless the job is no longer to be done."""
    job_id = request.job_id
    if not _is_wanted(place, request):
        return _summary_of(place, job_id)
    error = cause if isinstance(cause, JobError) else Unforeseen()
    if error is not cause:
        log.error("Job %s met an unforeseen error", job_id, exc_info=cause, extra={"action": "job_error"})
    if error.retryable and progress.attempts < place.settings.max_attempts:
        pause = _pause(place.settings.retry_delay, progress.attempts)
        log.warning("Job %s will be tried again in %.1f s: %s", job_id, pause, error, extra={"action": "job_retried"})
        progress.wait()
        return Retry(max=sys.maxsize, interval=round(pause)) if pause >= 1 else _AGAIN
    record = error_record(error.code, str(error), progress.attempts, request.run, **progress.times)
    place.storage.put(job_id, ERROR, record)
    if error is cause:
        raise error
    raise error from cause


def _pause(delay: float, attempts: int) -> float:
    """Seconds before the next attempt: four times as long each time, so that a job that kills its engine lets others go on."""
    return min(delay * 4.0 ** min(attempts - 1, 100), LONGEST_PAUSE)


def _transcribe(place: Workplace, request: JobRequest, progress: Progress) -> Transcript:
    def look_up() -> None:
        place.look_up()
        progress.look_up()

    def report(stage: str, share: float) -> None:
        progress.report(stage, share, attempt.duration)

    process = place.engine_process(request.options.engine)
    attempt = Attempt(place.settings, process, report, look_up, progress.heard)
    try:
        with place.storage.fetch(request.job_id, request.audio) as path:
            transcript = attempt.run(request, path)
        progress.report("writing", 1.0)
        if not _is_wanted(place, request):
            raise Canceled
        place.storage.put(request.job_id, TRANSCRIPT, transcript.to_dict())
    except FileNotFoundError as error:
        raise AudioMissing from error
    except StorageRefused:
        raise
    except OSError as error:
        raise StorageFailed(f"The worker could not use its storage: {error}.") from error
    return transcript


def _is_wanted(place: Workplace, request: JobRequest) -> bool:
    """Whether the job is still to be done, by storage's account.

    While this attempt was under way, or its process frozen, the job may have been canceled, deleted, retried, or ended by another
    worker or the sweep; and an Idempotency-Key may have brought another recording under its id.
    """
    data = place.storage.get(request.job_id, REQUEST)
    return data is not None and JobRequest.from_dict(data) == request and outcome(place.storage, request.job_id) is None


def _summary_of(place: Workplace, job_id: str) -> dict[str, Any]:
    """Of what came of the job so far; nothing where that is no transcript."""
    done = place.storage.get(job_id, TRANSCRIPT)
    return {} if done is None else _summary(Transcript.from_dict(done))


def _summary(transcript: Transcript) -> dict[str, Any]:
    words = sum(len(segment.words) for segment in transcript.segments)
    return {"language": transcript.language, "duration": transcript.duration, "words": words}
