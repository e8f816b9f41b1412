"""A real worker process, a real engine process, a real Redis: what happens to a job when any of them dies."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from steno.config import Settings
from steno.jobs.options import Options
from steno.jobs.queue import job_key
from steno.jobs.record import TRANSCRIPT, Status
from steno.redis_server import RedisServer, free_port
from tests.bench import Bench, StartWorker, engine_of, known
from tests.processes import alive, engines, eventually


def waits(engine: int) -> bool:
    """Whether a job lies in the pipe to this engine process, which cannot take it out while it is frozen."""
    with Path(f"/proc/{engine}/fd/0").open("rb", buffering=0) as pipe:
        return fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)) != bytes(4)


def hold(bench: Bench, worker: "subprocess.Popen[bytes]", name: str = "exact-en-1.wav") -> tuple[str, int]:
    """A job in the worker's hands whose engine is frozen; its id and the engine's process id."""
    engine = engine_of(worker)
    os.kill(engine, signal.SIGSTOP)
    job_id = bench.submit(name)
    assert eventually(lambda: bench.started(job_id) and waits(engine))
    return job_id, engine


@pytest.fixture
def warm(bench: Bench, start_worker: StartWorker) -> "subprocess.Popen[bytes]":
    """A worker that has done a job."""
    worker = start_worker()
    job_id = bench.submit("exact-fr-5.flac")
    assert eventually(lambda: bench.over(job_id))
    return worker


def test_jobs_are_done_and_the_wire_is_json(
    bench: Bench, start_worker: StartWorker, truth: dict[str, Any], redis: Redis
) -> None:
    names = ["exact-en-1.wav", "exact-fr-4.mp3", "exact-de-5.flac"]
    jobs = {bench.submit(name): name for name in names}
    for job_id in jobs:
        stored = redis.hget(job_key(job_id), "data")
        assert isinstance(stored, bytes)
        data = zlib.decompress(stored)
        assert json.loads(data)[0] == "worker.tasks.transcribe"
        assert json.loads(data)[2] == [job_id]
    start_worker()
    assert eventually(lambda: all(bench.over(job_id) for job_id in jobs))
    for job_id, name in jobs.items():
        assert bench.words(job_id) == known(truth, name)
        assert eventually(lambda job_id=job_id: not bench.started(job_id))  # type: ignore[misc]
        state = bench.state(job_id)
        assert state
        assert (state.status, state.attempts) == (Status.FINISHED, 1)
        assert 0 < redis.ttl(job_key(job_id)) <= bench.settings.retention_seconds
    assert eventually(lambda: not bench.queue.unfinished())
    assert 0 < bench.settings.retention_seconds == 7 * 86_400


def test_a_killed_engine_costs_an_attempt_not_the_job(
    bench: Bench, warm: "subprocess.Popen[bytes]", truth: dict[str, Any]
) -> None:
    job_id, engine = hold(bench, warm)
    os.kill(engine, signal.SIGKILL)
    assert eventually(lambda: bench.over(job_id))
    assert bench.words(job_id) == known(truth, "exact-en-1.wav")
    assert eventually(lambda: (state := bench.state(job_id)) and state.status is Status.FINISHED)
    state = bench.state(job_id)
    assert state
    assert state.attempts == 2


def test_a_job_that_kills_every_engine_fails_and_the_next_one_runs(
    bench: Bench, warm: "subprocess.Popen[bytes]", truth: dict[str, Any]
) -> None:
    job_id, engine = hold(bench, warm)
    for _ in range(bench.settings.max_attempts - 1):
        os.kill(engine, signal.SIGKILL)
        assert eventually(lambda dead=engine: (now := engines(warm.pid)) and now[0] != dead)  # type: ignore[misc]
        engine = engine_of(warm)
        os.kill(engine, signal.SIGSTOP)
    os.kill(engine, signal.SIGKILL)
    assert eventually(lambda: bench.over(job_id))
    error = bench.error(job_id)
    assert error["enqueued_at"] <= error["started_at"]
    assert (error["code"], error["attempts"]) == ("out_of_memory", bench.settings.max_attempts)
    after = bench.submit("exact-fr-4.mp3")
    assert eventually(lambda: bench.over(after))
    assert bench.words(after) == known(truth, "exact-fr-4.mp3")


def test_a_hanging_engine_runs_out_of_time(bench: Bench, start_worker: StartWorker) -> None:
    worker = start_worker(STENO_TIME_LIMIT_BASE="8", STENO_TIME_LIMIT_FACTOR="0", STENO_MAX_ATTEMPTS="1")
    first = bench.submit("exact-fr-5.flac")
    assert eventually(lambda: bench.over(first))
    job_id, engine = hold(bench, worker)
    assert eventually(lambda: bench.over(job_id))
    assert bench.error(job_id)["code"] == "time_limit"
    assert not alive(engine)


def test_a_killed_worker_loses_nothing(
    bench: Bench, warm: "subprocess.Popen[bytes]", start_worker: StartWorker, truth: dict[str, Any]
) -> None:
    job_id, engine = hold(bench, warm)
    os.kill(warm.pid, signal.SIGKILL)
    assert eventually(lambda: not alive(engine))
    start_worker()
    assert eventually(lambda: bench.over(job_id))
    assert bench.words(job_id) == known(truth, "exact-en-1.wav")


def test_by_default_a_dead_worker_is_noticed_within_30_seconds(settings: Settings) -> None:
    from worker.pulse import BEATS

    assert settings.worker_ttl + 2 * settings.worker_ttl / BEATS <= 30


def test_a_job_whose_workers_always_die_fails_in_the_end(
    bench: Bench, warm: "subprocess.Popen[bytes]", start_worker: StartWorker
) -> None:
    job_id, engine = hold(bench, warm)
    os.kill(warm.pid, signal.SIGKILL)
    assert eventually(lambda: not alive(engine))  # a worker that lives writes its own count over this one
    bench.queue.redis.hset(
        job_key(job_id), "meta", f'{{"attempts": {bench.settings.max_attempts}, "stage": "decoding", "progress": 0}}'
    )
    start_worker()
    assert eventually(lambda: bench.over(job_id))
    assert bench.error(job_id)["code"] == "worker_died"


def test_a_job_popped_by_a_worker_that_died_at_once_comes_back(
    bench: Bench, start_worker: StartWorker, truth: dict[str, Any]
) -> None:
    job_id = bench.submit("exact-de-6.wav")
    queue = bench.queue.queue("faster-whisper")
    assert bench.queue.redis.lpop(queue.key) == job_id.encode()
    start_worker()
    assert eventually(lambda: bench.over(job_id))
    assert bench.words(job_id) == known(truth, "exact-de-6.wav")


def test_a_worker_told_to_stop_gives_its_job_back(
    bench: Bench, warm: "subprocess.Popen[bytes]", start_worker: StartWorker, truth: dict[str, Any]
) -> None:
    job_id, engine = hold(bench, warm)
    waiting = bench.submit("exact-fr-4.mp3")
    warm.terminate()
    assert warm.wait(20) == 0
    assert not alive(engine)
    state = bench.state(job_id)
    assert state
    assert (state.status, state.attempts) == (Status.QUEUED, 0)
    assert not bench.over(waiting)
    start_worker()
    assert eventually(lambda: bench.over(job_id) and bench.over(waiting))
    assert bench.words(job_id) == known(truth, "exact-en-1.wav")


def test_a_worker_told_to_stop_finishes_a_job_that_is_nearly_done(bench: Bench, start_worker: StartWorker) -> None:
    worker = start_worker(STENO_SHUTDOWN_GRACE="30")
    job_id = bench.submit("exact-en-1.wav")
    assert eventually(lambda: bench.started(job_id))
    worker.terminate()
    assert worker.wait(40) == 0
    assert bench.storage.has(job_id, TRANSCRIPT)


def test_an_idle_worker_stops_at_once(warm: "subprocess.Popen[bytes]") -> None:
    time.sleep(0.3)
    begun = time.monotonic()
    warm.terminate()
    assert warm.wait(10) == 0
    assert time.monotonic() - begun < 5


def test_an_emptied_redis_loses_nothing(
    bench: Bench, warm: "subprocess.Popen[bytes]", truth: dict[str, Any], redis: Redis
) -> None:
    job_id, engine = hold(bench, warm)
    waiting = [bench.submit("exact-fr-4.mp3"), bench.submit("exact-de-5.flac")]
    redis.flushdb()
    os.kill(engine, signal.SIGCONT)
    assert eventually(lambda: all(bench.over(job) for job in (job_id, *waiting)))
    assert bench.words(job_id) == known(truth, "exact-en-1.wav")
    assert bench.words(waiting[0]) == known(truth, "exact-fr-4.mp3")
    assert bench.words(waiting[1]) == known(truth, "exact-de-5.flac")


def test_a_job_that_cannot_be_decoded_fails_once_with_a_sentence(bench: Bench, warm: "subprocess.Popen[bytes]") -> None:
    job_id = bench.submit("a.wav", content=b"RIFF" + bytes(100))
    assert eventually(lambda: bench.over(job_id))
    error = bench.error(job_id)
    assert (error["code"], error["attempts"]) == ("audio_unreadable", 1)
    assert error["message"].endswith(".")
    assert eventually(lambda: (state := bench.state(job_id)) and state.status is Status.FAILED)


def test_a_worker_may_start_before_its_redis(bench: Bench, start_worker: StartWorker, tmp_path: Path) -> None:
    port = free_port()
    worker = start_worker(STENO_REDIS_URL=f"redis://127.0.0.1:{port}")
    time.sleep(2)
    assert worker.poll() is None
    server = RedisServer(tmp_path / "redis", port)
    server.start()
    late = Bench(bench.settings.model_copy(update={"redis_url": server.url}))
    try:
        job_id = late.submit("exact-fr-5.flac")
        assert eventually(lambda: late.over(job_id))
        assert late.words(job_id)
    finally:
        late.queue.redis.close()
        server.stop()


def test_a_worker_without_engines_says_so(start_worker: StartWorker) -> None:
    assert start_worker(STENO_ENGINES="whisperx").wait(20) == 1
    assert start_worker(STENO_WORKER_TTL="soon").wait(20) == 2


def test_a_worker_imports_no_speech_library() -> None:
    script = "import sys, worker.main; print(sorted(set(sys.modules) & set(sys.argv[1:])))"
    heavy = ["torch", "numpy", "av", "faster_whisper", "ctranslate2", "pocketsphinx", "onnxruntime", "worker.horse"]
    run = subprocess.run([sys.executable, "-c", script, *heavy], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_settings_reach_the_worker_whatever_its_folder(
    bench: Bench, start_worker: StartWorker, tmp_path: Path
) -> None:
    job_id = bench.submit("exact-fr-5.flac", Options("faster-whisper", "mini", "fr"))
    start_worker(STENO_ENGINES="faster-whisper")
    assert eventually(lambda: bench.over(job_id))
    assert bench.storage.has(job_id, TRANSCRIPT)
