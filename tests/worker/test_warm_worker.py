"""RQ's worker as Steno runs it, in this process."""

import gc
import signal
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from redis.exceptions import RedisError

from tests.bench import Bench
from worker import main, tasks
from worker.main import WarmWorker


@pytest.fixture
def worker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[WarmWorker]:
    """One that ends when its queue is empty, and collects no garbage by Python's own rules."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(tasks, "_workplace", tasks.Workplace(bench.settings))
    gc.disable()
    yield WarmWorker(bench.settings, bench.queue, ("faster-whisper",))
    gc.enable()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_what_a_job_leaves_in_cycles_goes_with_it(
    bench: Bench, worker: WarmWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[str] = []

    class Knot:
        itself: "Knot"

    def tie(job_id: str) -> dict[str, Any]:
        knot = Knot()
        knot.itself = knot
        weakref.finalize(knot, gone.append, job_id)
        return {}

    monkeypatch.setattr(tasks, "transcribe", tie)
    jobs = [bench.submit("exact-fr-5.flac") for _ in range(2)]
    worker.work(burst=True, logging_level="WARNING")
    assert gone == jobs


def test_a_job_that_cannot_be_put_in_order_does_not_end_the_worker(
    bench: Bench, worker: WarmWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settled: list[str] = []

    def fail_once(settings: object, storage: object, queue: object, job_id: str) -> None:
        settled.append(job_id)
        if len(settled) == 1:
            raise RuntimeError("whatever it is")

    monkeypatch.setattr(main, "settle", fail_once)
    monkeypatch.setattr(tasks, "transcribe", lambda job_id: {})
    jobs = [bench.submit("exact-fr-5.flac") for _ in range(2)]
    worker.work(burst=True, logging_level="WARNING")
    assert settled == jobs
    assert [getattr(record, "action", "") for record in caplog.records if record.exc_info] == ["settle_failed"]


def test_a_redis_that_is_away_when_a_job_ends_is_waited_for(
    bench: Bench, worker: WarmWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*asked: object) -> None:
        raise RedisError("gone")

    monkeypatch.setattr(main, "settle", away)
    monkeypatch.setattr(tasks, "transcribe", lambda job_id: {})
    bench.submit("exact-fr-5.flac")
    worker.work(burst=True, logging_level="WARNING")
    assert "settle_failed" not in [getattr(record, "action", "") for record in caplog.records]
