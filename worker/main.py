"""Start a worker: `python -m worker.main`, or `steno worker`.

RQ's worker with two differences. Jobs run in this process, which imports no speech library, while the engine process
behind it does the listening and stays warm; and a heartbeat thread makes RQ notice a dead worker within seconds.
"""

import contextlib
import gc
import logging
import signal
import sys
import time
from functools import partial
from types import FrameType
from typing import Any, Final

from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer

from steno import interpreters
from steno.collector import spare_what_is_here
from steno.config import Settings, SettingsError, load_settings
from steno.engines import ENGINES, install_hints
from steno.jobs.errors import JobError
from steno.jobs.queue import JobQueue
from steno.jobs.roster import Offer, Roster
from steno.jobs.settle import settle
from steno.jobs.state import engine_of_queue
from steno.jobs.sweep import Sweep
from steno.unknown_settings import warn_of_unknown_settings
from worker import tasks
from worker.courier import Courier
from worker.pulse import Pulse
from worker.turns import Turns

log = logging.getLogger("worker.main")

_RECONNECT_SECONDS: Final = 1.0
_DEQUEUE_TTL: Final = 20
"""RQ waits 15 s less than this for a job before it looks up from the queue."""


class WarmWorker(SimpleWorker):
    """One job at a time, from the queues of its engines in turn, the urgent ones first."""

    max_connection_wait_time = 2.0  # seconds between two tries to reach Redis; RQ would double them up to a minute

    def __init__(self, settings: Settings, queue: JobQueue, engines: tuple[str, ...]) -> None:
        self._turns = Turns(engines)
        super().__init__(
            [queue.queue(engine, priority) for engine, priority in self._turns.order()],
            connection=queue.redis,
            serializer=JSONSerializer,
            worker_ttl=_DEQUEUE_TTL,
            default_result_ttl=settings.retention_seconds,
        )
        self._settings = settings
        self._job_queue = queue
        self._place = tasks.workplace()
        self._held: tuple[Job, Execution] | None = None

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run the job in this process, with its heartbeat kept by the pulse."""
        execution = self.prepare_execution(job)
        self._held = job, execution
        try:
            self.perform_job(job, queue, execution)
            settle(self._settings, self._place.storage, self._job_queue, job.id)
        except RedisError:
            raise  # the crew waits until it is back
        except Exception:  # one job's trouble is no other's: the sweep sees to it
            log.exception("Job %s could not be put in order; the sweep will", job.id, extra={"action": "settle_failed"})
        finally:
            self._held = None
        gc.collect()  # what the job left in cycles, RQ's and those of tracebacks: a millisecond
        self.set_state("idle")

    def reorder_queues(self, reference_queue: Queue) -> None:
        """Called by RQ when it has taken a job from this queue."""
        self._turns.taken(engine_of_queue(reference_queue.name))
        self._ordered_queues = [self._job_queue.queue(*pair) for pair in self._turns.order()]

    def subscribe(self) -> None:
        """No commands by pub/sub: its thread and connection would outlive an outage of Redis."""

    def heartbeat_of_job(self) -> None:
        """Called by the pulse: keep the job in hand from counting as abandoned."""
        if held := self._held:
            self.maintain_heartbeats(*held)

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        return self._settings.worker_ttl

    def run_maintenance_tasks(self) -> None:
        """The sweep does this, by what storage says; RQ's own would fail jobs that only lost their worker."""

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """A failure that was foreseen is one line in the log; only what was not gets its traceback."""
        if isinstance(exc_info[1], JobError):
            log.error("Job %s failed: %s", job.id, exc_info[1], extra={"action": "job_failed"})
        else:
            super().handle_exception(job, *exc_info)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """First signal: take no new job, and give back the one in hand when the grace is over. Second: give it back."""
        grace = 0.0 if self._place.give_back_at is not None else self._settings.shutdown_grace
        self._place.give_back_at = time.monotonic() + grace
        self._stop_requested = True
        if self._held is None:
            raise StopRequested


def work(settings: Settings, engines: tuple[str, ...]) -> None:
    """Serve until told to stop, through every outage of Redis, with the engine process kept warm across them."""
    place = tasks.workplace()
    crew = Crew(settings, engines)
    sweep = Sweep(settings, place.storage, JobQueue(settings))
    roster = Roster(JobQueue(settings).redis)
    describe = partial(described, settings, engines)
    pulse = Pulse(roster, sweep, engines, settings.worker_ttl, crew.heartbeat, describe)
    courier = Courier(settings, place.storage)
    spare_what_is_here()
    pulse.start()
    courier.start()
    try:
        while place.give_back_at is None:  # whichever worker was there to hear the signal
            with contextlib.suppress(StopRequested):
                crew.work_until_redis_is_lost()
                if place.give_back_at is None:
                    time.sleep(_RECONNECT_SECONDS)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        pulse.stop()
        place.close()
        courier.stop()


def described(settings: Settings, engines: tuple[str, ...]) -> dict[str, Offer]:
    """What this worker offers, by engine. An interpreter that cannot say so is left out; its jobs will tell why."""
    offers = {}
    by_python: dict[str | None, list[str]] = {}
    for engine in engines:
        by_python.setdefault(settings.pythons.get(engine), []).append(engine)
    for group in by_python.values():
        try:
            for told in interpreters.ask(settings, group[0], "describe", *group):
                offers[told["engine"]] = Offer(told["versions"], tuple(told["models"]), told["device"])
        except interpreters.NoAnswer as error:
            log.warning("%s cannot be described: %s", ", ".join(group), error, extra={"action": "engine_mute"})
    return offers


class Crew:
    """The RQ worker of this process, made anew whenever Redis was lost; the engine process outlives it."""

    def __init__(self, settings: Settings, engines: tuple[str, ...]) -> None:
        self._settings = settings
        self._engines = engines
        self._queue = JobQueue(settings)
        self._worker: WarmWorker | None = None

    def heartbeat(self) -> None:
        if self._worker is not None:
            self._worker.heartbeat_of_job()

    def work_until_redis_is_lost(self) -> None:
        """Returns when told to stop, too. A Redis that is not there, at the start or later, is a line in the log."""
        try:
            self._worker = WarmWorker(self._settings, self._queue, self._engines)
            self._worker.work(logging_level="WARNING")
        except RedisError as error:
            log.warning("Redis does not answer: %s", error, extra={"action": "redis_lost"})


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a webhook, with all that its URL may hold
    try:
        settings = load_settings()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    warn_of_unknown_settings()
    engines = settings.runnable_engines
    if not engines:
        hints = install_hints(settings.engines or ENGINES)
        print(f"No engine is installed that this worker could serve. {hints}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until RQ's handlers are in place
    log.info("Worker serves %s", ", ".join(engines), extra={"action": "worker_started"})
    with contextlib.suppress(KeyboardInterrupt):
        work(settings, engines)
    log.info("Worker stopped", extra={"action": "worker_stopped"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
