"""Steering jobs that a real worker has: cancel, delete, priority, pauses between attempts, what is kept and for how long."""

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from steno.jobs import steer
from steno.jobs.course import SPEEDS
from steno.jobs.queue import job_key
from steno.jobs.record import CANCELED, TRANSCRIPT, Status, outcome
from steno.jobs.reuse import find
from steno.jobs.sweep import Sweep
from tests.bench import Bench, StartWorker, engine_of, known
from tests.processes import alive, eventually

LONG = "en-ten-minutes.mp3"


def listening(bench: Bench, job_id: str) -> bool:
    state = bench.state(job_id)
    return state is not None and state.status is Status.STARTED and state.progress > 0


def test_a_running_job_is_canceled_its_engine_ends_and_the_next_one_runs(
    bench: Bench, start_worker: StartWorker, truth: dict[str, Any]
) -> None:
    worker = start_worker()
    job_id = bench.submit(LONG)
    assert eventually(lambda: listening(bench, job_id))
    engine = engine_of(worker)
    waiting = bench.submit("exact-fr-5.flac")
    began = time.monotonic()
    steer.cancel(bench.storage, bench.queue, job_id)
    assert eventually(lambda: not alive(engine))
    print(f"the engine was gone {time.monotonic() - began:.2f} s after the cancel")
    assert eventually(lambda: bench.over(waiting))
    assert bench.words(waiting) == known(truth, "exact-fr-5.flac")
    assert bench.storage.has(job_id, CANCELED)
    assert not bench.storage.has(job_id, TRANSCRIPT)
    assert eventually(lambda: not bench.queue.unfinished())
    assert eventually(lambda: bench.state(job_id) is None)


def test_a_canceled_job_can_be_retried_and_is_heard(
    bench: Bench, start_worker: StartWorker, truth: dict[str, Any]
) -> None:
    job_id = bench.submit("exact-fr-4.mp3")
    steer.cancel(bench.storage, bench.queue, job_id)
    start_worker()
    steer.retry(bench.storage, bench.queue, job_id)
    assert eventually(lambda: bench.storage.has(job_id, TRANSCRIPT))
    assert bench.words(job_id) == known(truth, "exact-fr-4.mp3")


def test_a_job_deleted_while_it_runs_leaves_no_byte(bench: Bench, start_worker: StartWorker, redis: Redis) -> None:
    start_worker()
    job_id = bench.submit(LONG)
    assert eventually(lambda: listening(bench, job_id))
    steer.delete(bench.storage, bench.queue, job_id)
    assert eventually(lambda: not redis.exists(job_key(job_id)))
    assert list(bench.storage.root.iterdir()) == []
    assert eventually(lambda: not any(job_id.encode() in key for key in redis.scan_iter()))
    assert bench.queue.unfinished() == set()


def test_a_cancel_whose_worker_dies_stays_canceled(bench: Bench, start_worker: StartWorker) -> None:
    worker = start_worker()
    job_id = bench.submit(LONG)
    assert eventually(lambda: listening(bench, job_id))
    os.kill(worker.pid, signal.SIGSTOP)
    steer.cancel(bench.storage, bench.queue, job_id)
    os.kill(worker.pid, signal.SIGKILL)
    start_worker()
    assert eventually(lambda: not bench.queue.unfinished())
    assert outcome(bench.storage, job_id) is Status.CANCELED
    assert eventually(lambda: bench.state(job_id) is None)


def finished_order(bench: Bench, jobs: dict[str, str]) -> str:
    written = {job_id: bench.storage.written_at(job_id, TRANSCRIPT) or 0.0 for job_id in jobs}
    return "".join(jobs[job_id] for job_id in sorted(jobs, key=lambda job_id: written[job_id]))


def test_the_urgent_come_first_and_nobody_starves(bench: Bench, start_worker: StartWorker) -> None:
    jobs: dict[str, str] = {}
    for priority, count in (("low", 4), ("normal", 5), ("high", 9)):
        for _ in range(count):
            jobs[bench.submit("exact-fr-5.flac", priority=priority)] = priority[0]
    start_worker()
    assert eventually(lambda: all(bench.over(job_id) for job_id in jobs), 100)
    order = finished_order(bench, jobs)
    assert order[:2] == "hh"
    assert "l" in order[:11], order
    assert "n" in order[:4], order
    assert order.rindex("h") < len(order) - 3, order


def test_a_job_that_kills_its_engine_pauses_and_lets_others_go_first(
    bench: Bench, start_worker: StartWorker, truth: dict[str, Any]
) -> None:
    worker = start_worker(STENO_RETRY_DELAY="2")
    poison = bench.submit(LONG)
    assert eventually(lambda: listening(bench, poison))
    behind = bench.submit("exact-fr-4.mp3")
    os.kill(engine_of(worker), signal.SIGKILL)
    assert eventually(lambda: (state := bench.state(poison)) is not None and state.paused)
    assert eventually(lambda: bench.over(behind))
    assert not bench.over(poison)
    assert eventually(lambda: (state := bench.state(poison)) is not None and state.attempts == 2)


def test_what_a_job_learns_of_speed_is_told_of_the_next(bench: Bench, start_worker: StartWorker, redis: Redis) -> None:
    start_worker()
    first = bench.submit("exact-en-1.wav")
    assert eventually(lambda: bool(redis.hexists(SPEEDS, "faster-whisper")))
    job_id = bench.submit("en-minute.flac")
    seen = []

    def done() -> bool:
        state = bench.state(job_id)
        if state is not None and state.status is Status.STARTED:
            seen.append((state.progress, state.seconds_left))
        return bench.over(job_id)

    assert eventually(done, 90)
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert any(left is not None and left >= 0 for _, left in seen)
    assert bench.over(first)


@pytest.mark.parametrize("asked", ["by the job", "by the server"])
def test_a_recording_that_need_not_be_kept_goes_when_there_is_a_transcript(
    bench: Bench, start_worker: StartWorker, asked: str
) -> None:
    start_worker(**({"STENO_AUDIO_RETENTION_DAYS": "0"} if asked == "by the server" else {}))
    job_id = bench.submit("exact-fr-5.flac", keep_audio=asked == "by the server")
    other = bench.submit("a.wav", content=b"RIFF" + bytes(100), keep_audio=False)
    assert eventually(lambda: bench.over(job_id) and not bench.storage.has(job_id, "audio.flac"))
    assert bench.words(job_id)
    assert eventually(lambda: bench.over(other))
    assert bench.storage.has(other, "audio.wav")  # it failed, and may be retried


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_job_with_its_own_retention_goes_by_it(bench: Bench, start_worker: StartWorker) -> None:
    short = bench.submit("exact-fr-5.flac", delete_after=60)
    usual = bench.submit("exact-fr-5.flac")
    worker = start_worker()
    assert eventually(lambda: bench.over(short) and bench.over(usual) and not bench.queue.unfinished())
    worker.kill()
    worker.wait()
    for job_id in (short, usual):
        age(bench.storage.root / job_id / TRANSCRIPT, 61)
    bench.queue.redis.delete("steno:sweep")  # the worker may have been killed in the middle of a round
    sweep = Sweep(bench.settings, bench.storage, bench.queue)
    for _ in range(2):
        bench.queue.redis.delete("steno:remembers")
        sweep.run()
    assert list(bench.storage.job_ids()) == [usual]
    assert bench.state(short) is None


def test_a_finished_job_can_be_found_by_its_recording(bench: Bench, start_worker: StartWorker) -> None:
    start_worker()
    job_id = bench.submit("exact-fr-5.flac")
    assert eventually(lambda: bench.over(job_id) and not bench.queue.unfinished())
    request = bench.request(job_id)
    digest = bench.storage.digest(job_id, request.audio)
    assert find(bench.queue.redis, bench.storage, digest, request.options) == job_id
    assert re.fullmatch("[0-9a-f]{64}", digest)
