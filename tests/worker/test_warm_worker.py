"""RQ's worker as Steno runs it, in this process."""

import gc
import signal
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from tests.bench import Bench
from worker import tasks
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
