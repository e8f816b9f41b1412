"""What a running job tells of itself, in RQ's `meta`, and what it is told: to stop."""

import logging
import time
from collections.abc import Callable
from typing import Final

from redis.exceptions import RedisError
from rq.job import Job
from rq.utils import utcformat

from steno.jobs import news
from steno.jobs.course import Course, learn, speeds_of
from steno.jobs.options import Options
from steno.jobs.state import CANCEL_FIELD
from steno.transcript import Segment
from worker.attempt import Canceled

log = logging.getLogger(__name__)

_REPORT_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.5
_HUSH_SECONDS: Final = 5.0
"""How long nothing but another stage is told, or asked, after Redis failed: each try may take many seconds, and the engine waits
meanwhile."""


class Progress:
    """A Redis that is away costs the news, not the job. `job` is None where the job function runs outside RQ."""

    def __init__(self, job: Job | None) -> None:
        self._job = job
        self._last = 0.0
        self._looked = 0.0
        self._hush_until = 0.0
        self._stage = ""
        self._course: Course | None = None
        self.attempts = int(job.meta.get("attempts", 0)) if job else 0

    @property
    def times(self) -> dict[str, str | None]:
        """When the job was last queued, and begun: what stays to be told of it once RQ has forgotten it."""
        moments = {name: getattr(self._job, name, None) for name in ("enqueued_at", "started_at")}
        return {name: utcformat(moment) if moment else None for name, moment in moments.items()}

    def begin(self, options: Options) -> None:
        """Count this attempt."""
        self.attempts += 1
        self._course = Course(options, self._speeds(options))
        self.report("decoding", 0.0)
        self._say(lambda job: news.attempt_began(job.connection, job.id, self.attempts))

    def heard(self, segment: Segment) -> None:
        """Tell a segment to those who listen; the transcript does not depend on it."""
        if time.monotonic() >= self._hush_until:
            self._say(lambda job: news.segment_heard(job.connection, job.id, segment))

    def give_back(self) -> None:
        """An attempt cut short by its own worker does not count."""
        self.attempts -= 1
        self.wait()

    def wait(self) -> None:
        """The job goes back to its queue."""
        self._course = None
        self.report("queued", 0.0)

    def report(self, stage: str, share: float, duration: float = 0.0) -> None:
        """Tell stage and the share of it that is done (0 to 1); twice a second at most within a stage."""
        now = time.monotonic()
        if self._course is not None:
            self._course.duration = max(duration, self._course.duration)
            self._course.at(stage, share)
        if stage == self._stage and now < max(self._last + _REPORT_SECONDS, self._hush_until):
            return
        self._last, self._stage = now, stage
        self._tell()

    def finish(self, options: Options, duration: float, warnings: tuple[str, ...], seconds: float) -> None:
        """The transcript of `duration` seconds of audio is stored; the whole took so many `seconds`."""
        if self._job is None or self._course is None:
            return
        self._job.meta["warnings"] = list(warnings)
        self._tell()
        try:
            learn(self._job.connection, options, self._course.took(), duration, seconds)
        except RedisError as error:
            log.warning("Speed not learnt: %s", error, extra={"action": "speed_unlearnt"})

    def look_up(self) -> None:
        """Raises Canceled where the job was canceled; asks Redis twice a second at most."""
        now = time.monotonic()
        if self._job is None or now < max(self._looked + _LOOK_SECONDS, self._hush_until):
            return
        self._looked = now
        try:
            canceled = self._job.connection.hexists(self._job.key, CANCEL_FIELD)
        except RedisError:  # the job goes on; storage is asked before the transcript is written
            self._hush_until = time.monotonic() + _HUSH_SECONDS
            return
        if canceled:
            raise Canceled

    def _tell(self) -> None:
        self._say(self._save)

    def _save(self, job: Job) -> None:
        course = self._course
        job.meta.update(
            attempts=self.attempts,
            stage=self._stage,
            progress=round(course.progress, 3) if course else 0.0,
            seconds_left=course.seconds_left() if course else None,
        )
        job.save_meta()  # type: ignore[no-untyped-call]
        news.state_changed(job.connection, job.id)

    def _say(self, say: Callable[[Job], None]) -> None:
        if self._job is None:
            return
        try:
            say(self._job)
        except RedisError as error:
            self._hush_until = time.monotonic() + _HUSH_SECONDS
            log.warning("Progress not told: %s", error, extra={"action": "progress_untold"})

    def _speeds(self, options: Options) -> dict[str, float]:
        if self._job is None:
            return {}
        try:
            return speeds_of(self._job.connection, options.engine, options.model)
        except (RedisError, ValueError):
            return {}
