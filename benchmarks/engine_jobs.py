"""Jobs on one engine process, as a worker runs them, but with neither queue nor storage around."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.loop import Heard
from benchmarks.models import python_of
from benchmarks.servers import environment_with
from benchmarks.usage import usage
from scripts.small_models import MODEL
from steno.config import load_settings
from steno.jobs.options import Options
from steno.jobs.record import JobRequest, utc_now
from worker.attempt import Attempt, Report
from worker.engine_process import EngineProcess

LOADING: Final = "loading"


class EngineJobs:
    """An engine and the process that runs it, which starts with the first job."""

    def __init__(self, engine: str, process: EngineProcess, *, standby: bool) -> None:
        self._options = Options(engine, MODEL)
        self._process = process
        self._settings = load_settings(standby=standby)

    def run(self, path: Path, report: Report = lambda stage, share: None) -> Heard:
        """One job. `report` is told what the worker would be. Raises JobError."""
        attempt = Attempt(self._settings, self._process, report, look_up=lambda: None)
        request = JobRequest("", self._options, path.name, path.name, path.stat().st_size, utc_now())
        began = time.monotonic()
        transcript = attempt.run(request, path)
        seconds, pid = time.monotonic() - began, self._process.pid
        assert pid is not None
        return Heard(seconds, sum(len(segment.words) for segment in transcript.segments), usage(pid).peak_mb)

    def kill(self) -> float:
        """Send the process SIGKILL, as Linux's memory killer would, and see it die; when it was sent (time.monotonic)."""
        pid = self._process.pid
        assert pid is not None
        sent = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        while self._process.pid is not None:
            time.sleep(0.001)
        return sent


@contextmanager
def engine_jobs(
    engine: str, environment: Mapping[str, str], python: str | None = None, *, standby: bool = True
) -> Iterator[EngineJobs]:
    """A fresh engine process, under its engine's interpreter unless another is given; it ends with the context.

    Without `standby` no second process imports libraries while the first one computes.
    """
    process = EngineProcess(environment_with(environment), python or python_of(engine))
    try:
        yield EngineJobs(engine, process, standby=standby)
    finally:
        process.close()
