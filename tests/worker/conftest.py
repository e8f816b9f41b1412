"""Worker processes over a bench of the test's own."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from redis import Redis

from conftest import MakeSettings
from tests.bench import Bench, StartWorker
from tests.office import SECRET, Office
from tests.processes import alive, engines, eventually

TTL = 2


@pytest.fixture
def bench(make_settings: MakeSettings) -> Iterator[Bench]:
    made = Bench(make_settings(worker_ttl=TTL, shutdown_grace=0.5, retry_delay=0))
    yield made
    made.queue.redis.close()


@pytest.fixture
def start_worker(bench: Bench) -> Iterator[StartWorker]:
    """Start a worker process over the bench's settings; all are gone at the end."""
    workers: list[subprocess.Popen[bytes]] = []

    def start(**more: str) -> "subprocess.Popen[bytes]":
        settings = bench.settings
        environment = {
            **os.environ,
            "STENO_REDIS_URL": settings.redis_address,
            "UPLOAD_DIR": str(settings.upload_dir),
            "STENO_LOCAL_MODELS": ",".join(settings.local_models),
            "STENO_WORKER_TTL": str(settings.worker_ttl),
            "STENO_SHUTDOWN_GRACE": str(settings.shutdown_grace),
            "STENO_RETRY_DELAY": str(settings.retry_delay),
            **more,
        }
        workers.append(subprocess.Popen([sys.executable, "-m", "worker.main"], env=environment))
        return workers[-1]

    yield start
    for worker in workers:
        found = engines(worker.pid)
        worker.kill()
        worker.wait()
        assert eventually(lambda found=found: not any(map(alive, found)))  # type: ignore[misc]


@pytest.fixture
def office(make_settings: MakeSettings, redis: Redis) -> Iterator[Office]:
    made = Office(make_settings(webhook_secrets=(SECRET,), webhook_networks="127.0.0.0/8"), redis)
    yield made
    for courier in made.couriers:
        courier.stop()
