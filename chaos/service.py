"""The service under fault: Redis behind a proxy, and the stack of `steno serve` on a disk that can fill up."""

import contextlib
import logging
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, cast

import psutil
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from benchmarks.servers import environment_with
from chaos.disk import Disk
from chaos.proxy import HOST, Proxy
from scripts.small_models import settings as models
from scripts.small_models import unpack
from steno.config import Settings
from steno.jobs.state import started_key
from steno.redis_server import RedisServer, RedisServerError, free_port
from steno.serve import Stack

log = logging.getLogger(__name__)

MARK: Final = "CHAOS_FOLDER"
"""In the environment of every process of a run, with the run's folder: how what is left over is known."""
ENGINE: Final = "faster-whisper"
_SHIM: Final = Path(__file__).parent / "shim"
_ROOT: Final = Path(__file__).parents[1]
_LOOK_SECONDS: Final = 0.05
_START_SECONDS: Final = 120.0


class Service:
    """Started and ended with its context; whatever dies in between is started again at once by a thread."""

    def __init__(self, folder: Path, disk: Disk, workers: int, **more: str) -> None:
        """`more` are settings beside those that make a run. They and the models become this process's environment."""
        self.folder = folder
        self.disk = disk
        self.redis_server = RedisServer(disk.data / "redis", free_port())
        self.redis = Redis.from_url(self.redis_server.url, socket_timeout=2, retry=Retry(NoBackoff(), 0))
        self.proxy = Proxy(int(self.redis_server.url.rpartition(":")[2]))
        for name in ("tmp", "models"):
            (folder / name).mkdir()
        environment = environment_with({**models(unpack(folder / "models")), **self._settings(), **more})
        os.environ.clear()
        os.environ.update(environment)
        self.set_clock(0.0)
        self.stack = Stack(Settings(), disk.data, HOST, free_port(), workers)
        self.redis_back = 0.0
        """When the Redis that runs now began to answer (time.monotonic)."""
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._ready = threading.Event()
        self._trouble: Exception | None = None
        self._thread = threading.Thread(target=self._supervise, name="supervisor")

    @property
    def url(self) -> str:
        return self.stack.url

    @property
    def jobs(self) -> Path:
        return self.disk.data / "jobs"

    def pids(self, kind: str) -> list[int]:
        """The live processes of a kind: api, worker, engine or redis."""
        if kind == "redis":
            return [pid] if (pid := self.redis_server.pid) else []
        workers = [c.process.pid for c in self.stack.children if c.name != "api" and c.alive and c.process]
        if kind == "worker":
            return workers
        if kind == "engine":
            return [engine for worker in workers for engine in engines_of(worker)]
        return [c.process.pid for c in self.stack.children if c.name == "api" and c.alive and c.process]

    def set_clock(self, ahead: float) -> None:
        """Seconds by which every Python process's clock is ahead of the true one."""
        partial = self.folder / "clock.new"
        partial.write_text(str(ahead))
        partial.rename(self.folder / "clock")

    def empty_redis(self) -> None:
        """Kill Redis and remove what it kept, so that it comes back knowing nothing."""
        with self._lock:
            for pid in self.pids("redis"):
                os.kill(pid, signal.SIGKILL)
            while self.pids("redis"):
                time.sleep(_LOOK_SECONDS)
            shutil.rmtree(self.disk.data / "redis" / "appendonlydir", ignore_errors=True)

    def __enter__(self) -> "Service":
        self.proxy.start()
        self._thread.start()
        if not self._ready.wait(_START_SECONDS) or self._trouble:
            self.__exit__(None, None, None)
            raise RuntimeError(f"the service did not start: {self._trouble}; see {self.folder / 'log'}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.proxy.stop()
        self.redis.close()

    def _settings(self) -> dict[str, str]:
        return {
            MARK: str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
            "PYTHONPATH": os.pathsep.join((str(_SHIM), str(_ROOT))),
            "STENO_REDIS_URL": f"redis://{HOST}:{self.proxy.port}",
            "STENO_ENGINES": ENGINE,
            "STENO_MAX_ATTEMPTS": "1000",
            "STENO_RETRY_DELAY": "0.2",
            "STENO_THREADS": "1",
            "MAX_FILE_SIZE": str(4 << 20),
            "STENO_MIN_FREE_MB": "1",  # the disk is small
        }

    def _supervise(self) -> None:
        """From one thread, the first start and the last end too: the kernel ends children with the thread that made them."""
        try:
            self._start_redis()
            self.stack.start()
            self._ready.set()
            while not self._over.wait(_LOOK_SECONDS):
                with self._lock:
                    self._revive()
        except Exception as error:
            log.exception("The supervisor failed")
            self._trouble = error
            self._ready.set()
        finally:
            self.stack.stop()
            self.redis_server.stop()

    def _revive(self) -> None:
        if self.redis_server.pid is None:
            with contextlib.suppress(RedisServerError, OSError):  # the disk may be full just now
                self._start_redis()
        self.stack.revive()

    def _start_redis(self) -> None:
        self.redis_server.start()
        self.redis_back = time.monotonic()


def engines_of(worker: int) -> list[int]:
    """The engine processes of a worker process; for a moment after its start it has another child, which asks for versions."""
    with contextlib.suppress(psutil.Error):
        return [child.pid for child in psutil.Process(worker).children() if "worker.horse" in child.cmdline()]
    return []


def held_by(redis: "Redis", worker: int) -> str | None:
    """The job that a worker process has in hand, by RQ's account; None if it has none or Redis does not say."""
    with contextlib.suppress(RedisError):
        for entry in cast("list[bytes]", redis.zrange(started_key(ENGINE, "normal"), 0, -1)):
            job_id = entry.decode().partition(":")[0]
            name = cast("bytes | None", redis.hget(f"rq:job:{job_id}", "worker_name")) or b""
            if redis.hget(f"rq:worker:{name.decode()}", "pid") == str(worker).encode():
                return job_id
    return None
