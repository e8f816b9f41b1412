"""The job functions, named by string on the queue. Each may run twice; each says why that is safe."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from redis.exceptions import RedisError
from rq import Retry, get_current_job
from rq.job import Job

from steno.config import Settings, load_settings
from steno.jobs import news
from steno.jobs.errors import AudioMissing, JobError, StorageFailed
from steno.jobs.record import ERROR, REQUEST, TRANSCRIPT, JobRequest, error_record
from steno.storage import LocalStorage, Storage, StorageFull
from steno.transcript import Segment, Transcript
from worker.attempt import Attempt, GivenBack
from worker.engine_process import EngineProcess

log = logging.getLogger(__name__)

_AGAIN: Final = Retry(max=sys.maxsize)
"""Steno counts attempts itself, since RQ does not count those that died with their worker."""
_REPORT_SECONDS: Final = 0.5
_HUSH_SECONDS: Final = 5.0
"""How long no segment is told after Redis failed: each try may take seconds, and the engine waits meanwhile."""


class Workplace:
    """What a worker process has at hand for its jobs. One a process; the warm worker and its jobs share it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.storage: Storage = LocalStorage(settings.upload_dir)
        self._engines: dict[str, EngineProcess] = {}
        self.give_back_at: float | None = None
        """The moment (time.monotonic) from which a job in hand goes back to the queue; None while all is well."""

    def must_stop(self) -> bool:
        return self.give_back_at is not None and time.monotonic() >= self.give_back_at

    def engine_process(self, engine: str) -> EngineProcess:
        """The process that runs this engine: one an interpreter, so one for all engines but those with their own."""
        python = self.settings.pythons.get(engine, sys.executable)
        if python not in self._engines:
            self._engines[python] = EngineProcess(python=python)
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

    Safe to run twice: the same transcript is written over the first, whole; and a job that has its transcript is not
    done again. A failure that may pass is tried again up to STENO_MAX_ATTEMPTS; any other is written to storage and
    raised.
    """
    place, progress = workplace(), Progress(get_current_job())
    data = place.storage.get(job_id, REQUEST)
    if data is None:
        raise AudioMissing
    if (done := place.storage.get(job_id, TRANSCRIPT)) is not None:
        return _summary(Transcript.from_dict(done))
    progress.begin()
    started = time.monotonic()
    try:
        transcript = _transcribe(place, JobRequest.from_dict(data), progress)
    except GivenBack:
        log.info("Job %s given back: this worker stops", job_id, extra={"action": "job_given_back"})
        progress.give_back()
        return _AGAIN
    except Exception as cause:  # noqa: BLE001 - whatever it is, the job must end
        return _after_failure(place, job_id, progress, cause)
    took = time.monotonic() - started
    log.info(
        "Job %s finished: %.1f s of audio in %.1f s",
        job_id,
        transcript.duration,
        took,
        extra={"action": "job_finished"},
    )
    return _summary(transcript)


def _after_failure(place: Workplace, job_id: str, progress: "Progress", cause: Exception) -> dict[str, Any] | Retry:
    """Try again what may pass, store why the rest failed and raise it; unless another worker was faster and succeeded."""
    if (done := place.storage.get(job_id, TRANSCRIPT)) is not None:
        return _summary(Transcript.from_dict(done))
    error, retryable = (cause, cause.retryable) if isinstance(cause, JobError) else (JobError(), True)
    if error is not cause:
        log.error("Job %s met an unforeseen error", job_id, exc_info=cause, extra={"action": "job_error"})
    if retryable and progress.attempts < place.settings.max_attempts:
        log.warning("Job %s will be tried again: %s", job_id, error, extra={"action": "job_retried"})
        progress.report("queued", 0.0)
        return _AGAIN
    place.storage.put(job_id, ERROR, error_record(error.code, str(error), progress.attempts))
    if error is cause:
        raise error
    raise error from cause


def _transcribe(place: Workplace, request: JobRequest, progress: "Progress") -> Transcript:
    process = place.engine_process(request.options.engine)
    attempt = Attempt(place.settings, process, progress.report, place.must_stop, progress.heard)
    try:
        with place.storage.fetch(request.job_id, request.audio) as path:
            transcript = attempt.run(request, path)
        progress.report("writing", 1.0)
        place.storage.put(request.job_id, TRANSCRIPT, transcript.to_dict())
    except FileNotFoundError as error:
        raise AudioMissing from error
    except (StorageFull, OSError) as error:
        raise StorageFailed(f"The worker could not use its storage: {error}.") from error
    return transcript


def _summary(transcript: Transcript) -> dict[str, Any]:
    words = sum(len(segment.words) for segment in transcript.segments)
    return {"language": transcript.language, "duration": transcript.duration, "words": words}


class Progress:
    """What a running job tells of itself, in RQ's `meta`. A Redis that is away costs the news, not the job."""

    def __init__(self, job: Job | None) -> None:
        self._job = job
        self._last = 0.0
        self._hush_until = 0.0
        self._stage = ""
        self.attempts = int(job.meta.get("attempts", 0)) if job else 0

    def begin(self) -> None:
        """Count this attempt."""
        self.attempts += 1
        self.report("decoding", 0.0)
        self._tell(lambda job: news.attempt_began(job.connection, job.id, self.attempts))

    def give_back(self) -> None:
        """An attempt cut short by its own worker does not count."""
        self.attempts -= 1
        self.report("queued", 0.0)

    def report(self, stage: str, share: float) -> None:
        """Tell stage and share done (0 to 1); twice a second at most within a stage."""
        now = time.monotonic()
        if stage == self._stage and now - self._last < _REPORT_SECONDS:
            return
        self._last, self._stage = now, stage
        self._tell(lambda job: self._save(job, share))

    def heard(self, segment: Segment) -> None:
        """Tell a segment to those who listen; the transcript does not depend on it."""
        if time.monotonic() >= self._hush_until:
            self._tell(lambda job: news.segment_heard(job.connection, job.id, segment))

    def _save(self, job: Job, share: float) -> None:
        job.meta.update(attempts=self.attempts, stage=self._stage, progress=round(share, 3))
        job.save_meta()  # type: ignore[no-untyped-call]
        news.state_changed(job.connection, job.id)

    def _tell(self, tell: Callable[[Job], None]) -> None:
        if self._job is None:
            return
        try:
            tell(self._job)
        except RedisError as error:
            self._hush_until = time.monotonic() + _HUSH_SECONDS
            log.warning("Progress not told: %s", error, extra={"action": "progress_untold"})
