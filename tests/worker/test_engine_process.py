import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from conftest import DATA, MODEL, MakeSettings
from steno.config import Settings
from steno.jobs.errors import (
    AudioUnreadable,
    EngineDied,
    EngineOutOfMemory,
    ModelUnavailable,
    TimeLimitExceeded,
)
from steno.jobs.options import Options
from steno.jobs.record import JobRequest
from steno.transcript.model import faults
from tests.processes import alive, engines, eventually
from worker.attempt import Attempt, GivenBack
from worker.engine_process import EngineProcess
from worker.tasks import Workplace

RECORDING = DATA / "exact-fr-5.flac"


@pytest.fixture
def engine(model_dir: Path) -> Iterator[EngineProcess]:
    process = EngineProcess({**os.environ, "STENO_LOCAL_MODELS": f"faster-whisper:{MODEL}={model_dir}"})
    yield process
    process.close()


def request(model: str = MODEL) -> JobRequest:
    options = Options("faster-whisper", model, "fr")
    return JobRequest("a", options, "a.flac", "audio.flac", 1, "2026-01-01T00:00:00Z")


@pytest.fixture
def attempt(engine: EngineProcess, make_settings: MakeSettings) -> Callable[..., Attempt]:
    def make(
        report: Callable[[str, float], None] = lambda stage, share: None,
        look_up: Callable[[], None] = lambda: None,
        **changes: Any,
    ) -> Attempt:
        return Attempt(make_settings(**changes), engine, report, look_up)

    return make


def test_the_engine_stays_warm_from_job_to_job(engine: EngineProcess, attempt: Callable[..., Attempt]) -> None:
    told: list[tuple[str, float]] = []
    first = attempt(lambda *news: told.append(news)).run(request(), RECORDING)
    pid = engine.pid
    stages = [stage for stage, _ in told]
    assert stages[:3] == ["loading", "decoding", "transcribing"]
    assert told[-1][1] > 0.5
    told.clear()
    second = attempt(lambda *news: told.append(news)).run(request(), RECORDING)
    assert engine.pid == pid
    assert "loading" not in [stage for stage, _ in told]
    assert first == second
    assert faults(first) == []
    assert first.engine == "faster-whisper"


def test_a_job_that_fails_leaves_the_engine_warm(
    engine: EngineProcess, attempt: Callable[..., Attempt], tmp_path: Path
) -> None:
    attempt().run(request(), RECORDING)
    pid = engine.pid
    (tmp_path / "bad.wav").write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(AudioUnreadable):
        attempt().run(request(), tmp_path / "bad.wav")
    with pytest.raises(ModelUnavailable, match=r"could not be fetched|not on this machine"):
        attempt().run(request("tiny"), RECORDING)
    assert engine.pid == pid
    assert attempt().run(request(), RECORDING).language == "fr"


@pytest.mark.parametrize(
    ("sent", "error", "said"),
    [
        (signal.SIGKILL, EngineOutOfMemory, "memory"),
        (signal.SIGSEGV, EngineDied, "SIGSEGV"),
        (signal.SIGTERM, EngineDied, "SIGTERM"),
    ],
)
def test_a_dying_engine_is_noticed_at_once_and_the_next_job_runs(
    engine: EngineProcess, attempt: Callable[..., Attempt], sent: signal.Signals, error: type[Exception], said: str
) -> None:
    def die(stage: str, share: float) -> None:
        if engine.pid:  # an event sent before its death may be heard after it
            os.kill(engine.pid, sent)

    begun = time.monotonic()
    with pytest.raises(error, match=said):
        attempt(die).run(request(), DATA / "exact-en-1.wav")
    assert time.monotonic() - begun < 30
    assert engine.pid is None
    assert attempt().run(request(), RECORDING).language == "fr"


def test_an_engine_that_hangs_is_killed_when_its_time_is_over(
    engine: EngineProcess, attempt: Callable[..., Attempt]
) -> None:
    attempt().run(request(), RECORDING)
    pid = engine.pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(TimeLimitExceeded):
        attempt(time_limit_base=0.5, time_limit_factor=0).run(request(), RECORDING)
    assert not alive(pid)
    assert attempt().run(request(), RECORDING).language == "fr"


def test_the_time_limit_grows_with_the_recording(attempt: Callable[..., Attempt]) -> None:
    made = attempt(time_limit_base=10, time_limit_factor=2, model_load_limit=100)
    for stage, allowed in (("loading", 10 + 2 * 60 + 100), ("decoding", 10 + 2 * 60)):
        made._follow({"event": "stage", "stage": stage, "duration": 60.0})
        assert made._deadline - time.monotonic() == pytest.approx(allowed, abs=1)


def test_it_begins_anew_with_each_stage_and_a_load_adds_to_none(attempt: Callable[..., Attempt]) -> None:
    made = attempt(time_limit_base=10, time_limit_factor=2, model_load_limit=100)
    made._follow({"event": "stage", "stage": "decoding", "duration": 60.0})
    for told in (
        {"event": "progress", "stage": "transcribing", "share": 0.1},
        {"event": "stage", "stage": "loading"},
        {"event": "progress", "stage": "transcribing", "share": 0.2},
        {"event": "progress", "stage": "aligning", "share": 0.3},
    ):
        made._deadline = 0.0
        made._follow({**told, "duration": 60.0})
        allowed = 10 + 2 * 60 + (100 if told["stage"] == "loading" else 0)
        assert made._deadline - time.monotonic() == pytest.approx(allowed, abs=1)
    made._deadline = 0.0
    made._follow({"event": "progress", "stage": "aligning", "share": 0.4, "duration": 60.0})
    assert made._deadline == 0.0  # progress alone gives no more time


def test_it_grows_with_every_channel_that_is_heard_even_if_a_model_must_be_loaded_meanwhile(
    attempt: Callable[..., Attempt],
) -> None:
    made = attempt(time_limit_base=10, time_limit_factor=2, model_load_limit=100)
    made._follow({"event": "stage", "stage": "decoding", "duration": 60.0, "times": 3})
    made._follow({"event": "stage", "stage": "loading", "duration": 60.0})
    assert made._deadline - time.monotonic() == pytest.approx(10 + 2 * 60 * 3 + 100, abs=1)
    made._follow({"event": "progress", "stage": "aligning", "share": 0.5, "duration": 90.0})
    assert made._deadline - time.monotonic() == pytest.approx(10 + 2 * 90 * 3, abs=1)


def give_back() -> None:
    raise GivenBack


def test_a_worker_that_must_stop_gives_the_job_back(engine: EngineProcess, attempt: Callable[..., Attempt]) -> None:
    attempt().run(request(), RECORDING)
    pid = engine.pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(GivenBack):
        attempt(look_up=give_back).run(request(), RECORDING)
    assert not alive(pid)


def test_an_engine_killed_between_jobs_is_started_again(engine: EngineProcess, attempt: Callable[..., Attempt]) -> None:
    attempt().run(request(), RECORDING)
    assert engine.pid
    os.kill(engine.pid, signal.SIGKILL)
    assert eventually(lambda: engine.pid is None)
    assert attempt().run(request(), RECORDING).language == "fr"


@pytest.mark.parametrize("busy", [False, True])
def test_the_engine_does_not_outlive_a_killed_worker(model_dir: Path, busy: bool) -> None:
    script = f"""
import os, sys, time
from worker.engine_process import EngineProcess
engine = EngineProcess()
job = {{"path": {str(RECORDING)!r}, "options": {{"engine": "faster-whisper", "model": "mini"}}}}
engine.send(job)
while {not busy} and engine.event(time.monotonic() + 60)["event"] != "done":
    pass
print(engine.pid, flush=True)
time.sleep(60)
"""
    environment = {**os.environ, "STENO_LOCAL_MODELS": f"faster-whisper:{MODEL}={model_dir}"}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as worker:
        assert worker.stdout
        pid = int(worker.stdout.readline())
        assert alive(pid)
        worker.kill()
        assert eventually(lambda: not alive(pid))


def spare_of(engine: EngineProcess) -> int:
    """The one process that stands by; a process that was just started has no command line for a moment."""

    def others() -> set[int]:
        return set(engines(os.getpid())) - {engine.pid}

    assert eventually(others)
    (spare,) = others()
    return spare


def test_a_process_that_stands_by_takes_over(engine: EngineProcess, attempt: Callable[..., Attempt]) -> None:
    attempt().run(request(), RECORDING)
    first = engine.pid
    for _ in range(3):
        engine.stand_by("faster-whisper")
    spare = spare_of(engine)
    assert first
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: engine.pid is None)
    assert attempt().run(request(), RECORDING).language == "fr"
    assert engine.pid == spare


def test_a_process_that_cannot_stand_by_or_hangs_costs_no_job(
    engine: EngineProcess, attempt: Callable[..., Attempt]
) -> None:
    attempt().run(request(), RECORDING)
    for _ in range(2):  # the second one replaces the first
        engine.stand_by("whisperx")  # not installed here
        spare = spare_of(engine)
        os.kill(spare, signal.SIGSTOP)
        for _ in range(5000):
            engine.stand_by("whisperx")
        assert attempt().run(request(), RECORDING).language == "fr"
        os.kill(spare, signal.SIGKILL)
        assert eventually(lambda spare=spare: not alive(spare))  # type: ignore[misc]
    engine.close()
    assert engines(os.getpid()) == []


def test_an_engine_may_run_under_an_interpreter_of_its_own(
    model_dir: Path, make_settings: MakeSettings, tmp_path: Path
) -> None:
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nOTHER_PYTHON=yes exec {sys.executable} "$@"\n')
    other.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STENO_LOCAL_MODELS", f"faster-whisper:{MODEL}={model_dir}")
        place = Workplace(make_settings(engine_pythons=(f"faster-whisper={other}",)))
        own, common = place.engine_process("faster-whisper"), place.engine_process("pocketsphinx")
    try:
        assert own is place.engine_process("faster-whisper")
        assert common is place.engine_process("whisperx")
        heard = Attempt(place.settings, own, lambda *told: None, lambda: None).run(request(), RECORDING)
        assert heard.language == "fr"
        assert b"OTHER_PYTHON=yes" in Path(f"/proc/{own.pid}/environ").read_bytes()
        assert common.pid is None
    finally:
        place.close()
    assert own.pid is None


def test_an_interpreter_that_is_not_there_is_named(settings: Settings) -> None:
    with pytest.raises(EngineDied, match="/nowhere/python"):
        Attempt(settings, EngineProcess(python="/nowhere/python"), lambda *told: None, lambda: None).run(
            request(), RECORDING
        )


def test_a_process_that_was_idle_for_long_is_a_fresh_one_and_works_on(
    model_dir: Path, make_settings: MakeSettings
) -> None:
    environment = {"STENO_LOCAL_MODELS": f"faster-whisper:{MODEL}={model_dir}", "STENO_MODEL_IDLE_MINUTES": "0.01"}
    engine = EngineProcess({**os.environ, **environment})
    first, again = list[str](), list[str]()
    for told in (first, again):
        attempt = Attempt(make_settings(), engine, lambda stage, share, told=told: told.append(stage), lambda: None)  # type: ignore[misc]
        attempt.run(request(), RECORDING)
        pid, seen = engine.pid, psutil.Process(engine.pid)
        assert eventually(lambda seen=seen: 10 << 20 < seen.memory_info().rss < 80 << 20)  # type: ignore[misc]
        assert engine.pid == pid
    assert first[0] == again[0] == "loading"
    engine.close()


def test_what_a_library_prints_is_not_taken_for_an_event() -> None:
    script = """
import os
from worker import horse
from steno.jobs.errors import ModelUnavailable

def chatty(*options):
    print('{"event": "done"}', flush=True)
    os.write(1, b'{"event": "done"}\\n')
    raise ModelUnavailable("no")

horse.load_engine = chatty
horse.main()
"""
    job = {"path": str(RECORDING), "options": {"engine": "faster-whisper", "model": "tiny"}}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], text=True, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["event"] == "failed"
        said, logged = process.communicate(timeout=20)  # its input ends, and so does the process
    assert said == ""
    assert logged.count('{"event": "done"}') == 2
