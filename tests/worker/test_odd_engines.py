"""What the worker makes of an engine process that behaves oddly: one by a script of the test's."""

import subprocess
import sys
import time

import pytest

from conftest import DATA, MODEL, MakeSettings
from steno.config import Settings
from steno.jobs.errors import EngineDied, JobError, TimeLimitExceeded
from steno.jobs.options import Options
from steno.jobs.record import JobRequest
from worker.attempt import Attempt, GivenBack
from worker.engine_process import EngineProcess

RECORDING = DATA / "exact-fr-5.flac"
REQUEST = JobRequest("a", Options("faster-whisper", MODEL, "fr"), "a.flac", "audio.flac", 1, "2026-01-01T00:00:00Z")


class Scripted(EngineProcess):
    """An engine process whose events are those given, for ever."""

    def __init__(self, script: str) -> None:
        super().__init__()
        self._script = script

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self._script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )


TALKATIVE = """
import time
while True:
    print('{"event": "progress", "stage": "transcribing", "share": 0.5, "duration": 1.0}', flush=True)
    time.sleep(0.01)
"""
ENDLESS_LINE = """
import sys, time
while True:
    sys.stdout.write("x"); sys.stdout.flush(); time.sleep(0.01)
"""


def test_a_talkative_engine_does_not_keep_its_worker_from_stopping(settings: Settings) -> None:
    engine = Scripted(TALKATIVE)
    told: list[object] = []

    def look_up() -> None:
        if len(told) > 5:
            raise GivenBack

    attempt = Attempt(settings, engine, lambda *news: told.append(news), look_up)
    with pytest.raises(GivenBack):
        attempt.run(REQUEST, RECORDING)
    engine.close()


def test_a_line_without_end_does_not_escape_the_time_limit(make_settings: MakeSettings) -> None:
    engine = Scripted(ENDLESS_LINE)
    limits = make_settings(time_limit_base=0.5, time_limit_factor=0, model_load_limit=0.1)
    with pytest.raises(TimeLimitExceeded):
        Attempt(limits, engine, lambda *news: None, lambda: None).run(REQUEST, RECORDING)
    engine.close()


LONG = """
import json, time
text = "é" * 300_000
print(json.dumps({"event": "segment", "text": text}), json.dumps({"event": "done"}), sep="\\n", flush=True)
time.sleep(60)
"""


def test_an_event_longer_than_one_read_arrives_whole_and_so_does_the_next() -> None:
    engine = Scripted(LONG)
    engine.send({})
    until = time.monotonic() + 30
    assert [engine.event(until), engine.event(until)] == [
        {"event": "segment", "text": "é" * 300_000},
        {"event": "done"},
    ]
    engine.close()


FAILS = """
import time
print('{{"event": "failed", "code": "{code}", "message": "No."}}', flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("code", "stays"),
    [
        ("audio_unreadable", True),
        ("model_unavailable", True),
        ("engine_failed", False),
        ("engine_died", False),
        ("out_of_memory", False),
    ],
)
def test_a_process_whose_library_failed_is_not_trusted_with_another_job(
    settings: Settings, code: str, stays: bool
) -> None:
    engine = Scripted(FAILS.format(code=code))
    with pytest.raises(JobError, match="No\\."):
        Attempt(settings, engine, lambda *news: None, lambda: None).run(REQUEST, RECORDING)
    assert (engine.pid is not None) == stays
    engine.close()


def test_an_engine_that_closes_its_output_but_lives_is_not_out_of_memory(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.engine_process._LAST_BREATH", 0.3)
    engine = Scripted("import os, time; os.close(1); time.sleep(60)")
    with pytest.raises(EngineDied, match="closed its output"):
        Attempt(settings, engine, lambda *news: None, lambda: None).run(REQUEST, RECORDING)
    assert engine.pid is None
