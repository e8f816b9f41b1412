"""How the engine process lives with both engines: what it keeps in memory, for how long, and that it never grows."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from conftest import DATA, MODEL
from steno.jobs.errors import ModelUnavailable
from steno.jobs.options import Options
from steno.jobs.record import JobRequest, utc_now
from steno.transcript import Transcript
from tests.hearing import events_of, hear, settings_from
from tests.processes import engines, eventually
from worker.attempt import Attempt
from worker.engine_process import EngineProcess
from worker.model_cache import ModelCache

pytestmark = [pytest.mark.torch, pytest.mark.timeout(1200), pytest.mark.filterwarnings("ignore")]

WHISPERX = Options("whisperx", MODEL)
TIMESTAMPED = Options("timestamped", MODEL)
SHORT = DATA / "fr-4.m4a"
MB = 1 << 20

Run = Callable[..., Transcript]


@pytest.fixture
def process(environment: dict[str, str]) -> Iterator[EngineProcess]:
    made = EngineProcess({**os.environ, **environment})
    yield made
    made.close()


@pytest.fixture
def run(process: EngineProcess, environment: dict[str, str]) -> Run:
    def do(options: Options, path: Path = SHORT, stages: list[str] | None = None) -> Transcript:
        request = JobRequest("a", options, path.name, "audio" + path.suffix, 1, utc_now())

        def report(stage: str, share: float) -> None:
            if stages is not None and stage not in stages:
                stages.append(stage)

        return Attempt(settings_from(environment), process, report, lambda: None).run(request, path)

    return do


def test_the_second_job_of_each_engine_loads_nothing(run: Run) -> None:
    for options in (WHISPERX, TIMESTAMPED):
        first, second = list[str](), list[str]()
        assert run(options, stages=first) == run(options, stages=second)
        assert first[0] == "loading"
        assert "loading" not in second
    stages: list[str] = []
    run(WHISPERX, stages=stages)
    assert stages == ["decoding", "transcribing", "aligning"]


def test_after_a_crash_the_next_job_need_not_wait_for_the_libraries(run: Run, process: EngineProcess) -> None:
    run(WHISPERX)
    (spare,) = set(engines(os.getpid())) - {process.pid}
    assert eventually(lambda: psutil.Process(spare).memory_info().rss > 700 * MB, 120)
    time.sleep(2)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    assert eventually(lambda: process.pid is None)
    began = time.monotonic()
    run(WHISPERX)
    print(f"whisperx: {time.monotonic() - began:.2f} s from its engine's death to the end of the next job")
    assert process.pid == spare


def test_five_hundred_jobs_in_a_row_leave_memory_flat(run: Run, process: EngineProcess) -> None:
    """Both engines in turn, three languages. What they keep from the first hundred jobs on must not grow with the rest."""
    jobs = [
        (options, DATA / name, language)
        for name, language in (("fr-4.m4a", "fr"), ("de-4.m4a", "de"), ("en-3.mp3", "en"))
        for options in (WHISPERX, TIMESTAMPED)
    ]
    resident: list[int] = []
    for number in range(500):
        options, path, language = jobs[number % len(jobs)]
        run(replace(options, language=language), path)
        assert process.pid
        resident.append(psutil.Process(process.pid).memory_info().rss)
    early, late = (sorted(part)[len(part) // 2] for part in (resident[80:120], resident[460:]))
    print(f"resident: {early / MB:.0f} MB after 100 jobs, {late / MB:.0f} MB after 500")
    assert late < early * 1.03


def test_two_models_under_a_budget_for_one_take_turns(environment: dict[str, str]) -> None:
    both = environment["STENO_LOCAL_MODELS"]
    twin = both.split("whisperx:mini=")[1].split(",")[0]
    settings = settings_from({**environment, "STENO_LOCAL_MODELS": f"{both},whisperx:twin={twin}"})
    cache = ModelCache(settings)
    for name in (MODEL, "twin"):
        hear(cache, SHORT, replace(WHISPERX, model=name, word_timestamps=False))
        print(f"{name}: {cache.size / MB:.0f} MB loaded by then")
    tight = ModelCache(settings.model_copy(update={"model_memory_mb": int(0.75 * cache.size / MB)}))
    for name, other in ((MODEL, "twin"), ("twin", MODEL), (MODEL, "twin")):
        hear(tight, SHORT, replace(WHISPERX, model=name, word_timestamps=False))
        assert tight.holds(("whisperx", name))
        assert not tight.holds(("whisperx", other))


def test_an_idle_process_gives_everything_back_and_works_on(environment: dict[str, str]) -> None:
    process = EngineProcess({**os.environ, **environment, "STENO_MODEL_IDLE_MINUTES": "0.05"})
    request = JobRequest("a", WHISPERX, "a", "audio.m4a", 1, utc_now())

    def once() -> Transcript:
        return Attempt(settings_from(environment), process, lambda *told: None, lambda: None).run(request, SHORT)

    first = once()
    pid = process.pid
    assert pid
    seen = psutil.Process(pid)
    loaded = seen.memory_info().rss
    assert loaded > 500 * MB
    assert eventually(lambda: 20 * MB < seen.memory_info().rss < 200 * MB)
    print(f"resident: {loaded / MB:.0f} MB loaded, {seen.memory_info().rss / MB:.0f} MB when idle")
    assert process.pid == pid
    assert once() == first
    process.close()


@pytest.mark.parametrize("engine", ["whisperx", "timestamped"])
def test_a_model_that_is_not_here_is_said_within_a_second_with_what_to_do(cache: ModelCache, engine: str) -> None:
    began = time.monotonic()
    with pytest.raises(ModelUnavailable, match=f"steno models pull {engine} tiny"):
        events_of(cache, SHORT, Options(engine, "tiny"))
    print(f"{engine}: said after {time.monotonic() - began:.2f} s")
