"""`recovery`: an engine process is killed, between two jobs or in the middle of one; when does the next job run?"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.engine_jobs import LOADING, EngineJobs, engine_jobs
from benchmarks.models import small_models
from benchmarks.recordings import ONE_A_LANGUAGE, joined
from benchmarks.result import Goal, Result
from steno.engines import ENGINES
from steno.jobs.errors import JobError

_ENGINES: Final = ("faster-whisper", "whisperx", "timestamped")
_TIMES: Final = 5
_CALM_SECONDS: Final = 15.0
"""Between two kills: engines with large libraries have a second process stand by, which imports them meanwhile."""
_SHORT: Final = ONE_A_LANGUAGE[1]


def run(folder: Path) -> Iterator[Result]:
    models = small_models(folder)
    long = joined(folder / "minute.wav", 60)
    for engine in _ENGINES:
        with engine_jobs(engine, models) as jobs:
            jobs.run(_SHORT)
            calm = _CALM_SECONDS if ENGINES[engine].imports else 0.0
            for moment, kill in (
                ("between two jobs", jobs.kill),
                ("in the middle of a job", partial(_kill_in_the_middle, jobs, long)),
            ):
                seconds = []
                for _ in range(_TIMES):
                    time.sleep(calm)
                    seconds.append(_until_next_runs(jobs, kill()))
                yield _told(engine, moment, seconds)


def _kill_in_the_middle(jobs: EngineJobs, long: Path) -> float:
    """Begin a job, kill the process once it hears speech; the moment of that."""
    killed: list[float] = []

    def report(stage: str, share: float) -> None:
        if stage == "transcribing" and not killed:
            killed.append(jobs.kill())

    with contextlib.suppress(JobError):
        jobs.run(long, report)
        raise RuntimeError("the job was over before its process could be killed")
    return killed[0]


def _until_next_runs(jobs: EngineJobs, killed: float) -> float:
    """Seconds from the kill until the next job is past loading, which it is then let finish."""
    running: list[float] = []

    def report(stage: str, share: float) -> None:
        if stage != LOADING and not running:
            running.append(time.monotonic())

    jobs.run(_SHORT, report)
    return running[0] - killed


def _told(engine: str, moment: str, seconds: Sequence[float]) -> Result:
    values = {"max_s": max(seconds), "median_s": median(seconds), "kills": len(seconds)}
    return Result("recovery", f"{engine}: SIGKILL {moment} until the next runs", values, Goal("max_s", "<", 5))
