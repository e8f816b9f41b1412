"""Everything on one machine with one command: a Redis-compatible server, workers and the API, kept alive together."""

import fcntl
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import httpx

from steno.config import Settings
from steno.engines import ENGINES, install_hints
from steno.parent import die_with_parent
from steno.redis_server import RedisServer, RedisServerError
from steno.webhooks.signing import kept_secret

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.2
_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 5.0
_LONGEST_PAUSE: Final = 2.0
_CALM_SECONDS: Final = 10.0
"""A child that lived so long before it died is started again at once; others after ever longer pauses."""


class ServeError(Exception):
    """The stack could not be started; the message says what to do."""


@dataclass
class Child:
    """A process that is started again whenever it dies."""

    name: str
    command: list[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = 0.0

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C reaches the supervisor alone, which stops its children in order
            preexec_fn=die_with_parent,
        )

    def revive(self) -> None:
        """Start it again, no sooner than its pause after its last start."""
        lived = time.monotonic() - self.started
        if lived > _CALM_SECONDS:
            self.pause = 0.0
        if lived >= self.pause:
            self.pause = min(_LONGEST_PAUSE, self.pause * 2 or 0.1)
            code = self.process.returncode if self.process else None
            log.warning(
                "The %s process ended (%s); started again", self.name, code, extra={"action": "child_restarted"}
            )
            self.start()

    def stop(self, patience: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Stack:
    """The processes of one machine. `start` returns when they serve; `tend` keeps them alive; `stop` ends them all."""

    settings: Settings
    data_dir: Path
    host: str
    port: int
    workers: int = 1
    children: list[Child] = field(default_factory=list)
    redis: RedisServer | None = None
    _lock: IO[str] | None = None

    @property
    def url(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def webhook_secret_file(self) -> Path:
        """Holds the secret that signs webhooks, unless the operator gave one."""
        return self.data_dir / "webhook-secret"

    @property
    def engines(self) -> tuple[str, ...]:
        """What its workers offer."""
        return self.settings.runnable_engines

    def start(self) -> None:
        """Raises ServeError and steno.redis_server.RedisServerError; then nothing is left running."""
        if not self.engines:
            raise ServeError("No engine is installed. " + install_hints(self.settings.engines or ENGINES))
        self._claim()
        try:
            environment = self._environment()
            worker = [sys.executable, "-m", "worker.main"]
            self.children = [Child(f"worker {n + 1}", worker, environment) for n in range(self.workers)]
            self.children.append(Child("api", self._api_command(), environment))
            for child in self.children:
                child.start()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def tend(self) -> None:
        """Start again whatever died, until a signal raises KeyboardInterrupt out of here."""
        while True:
            self.revive()
            time.sleep(_LOOK_SECONDS)

    def revive(self) -> None:
        """One look at every process."""
        if self.redis is not None and self.redis.pid is None:
            try:
                self.redis.start()
            except (RedisServerError, OSError) as error:
                log.error("Redis could not be started again: %s", error, extra={"action": "redis_down"})
                time.sleep(_LONGEST_PAUSE)
        for child in self.children:
            if not child.alive:
                child.revive()

    def stop(self) -> None:
        """End API and workers, then Redis, so that a worker can still give its job back."""
        for child in reversed(self.children):
            if child.process is not None:
                child.process.terminate()
        for child in self.children:
            child.stop(self.settings.shutdown_grace + _STOP_SECONDS)
        if self.redis is not None:
            self.redis.stop()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _claim(self) -> None:
        """Make sure that nobody else uses the folder or the port."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            self._lock = (self.data_dir / "lock").open("w")
        except OSError as error:
            raise ServeError(
                f"Cannot use {self.data_dir} as the data folder ({error.strerror}); give --data-dir another one."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ServeError(
                f"Another Steno uses {self.data_dir}; stop it or give --data-dir another folder."
            ) from error
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                other = "--host" if isinstance(error, socket.gaierror) else "--port"
                raise ServeError(
                    f"Cannot listen on {self.host}:{self.port} ({error.strerror}); give another {other}."
                ) from error

    def _environment(self) -> dict[str, str]:
        """What the children are told; a Redis given by the operator is used, otherwise one is started."""
        environment = dict(os.environ)
        if not environment.get("REDIS_HOST") and not self.settings.redis_url:
            self.redis = RedisServer(self.data_dir / "redis")
            self.redis.start()
            environment["STENO_REDIS_URL"] = self.redis.url
        environment["UPLOAD_DIR"] = environment.get("UPLOAD_DIR") or str(self.data_dir.absolute() / "jobs")
        environment["STENO_ENGINES"] = ",".join(self.engines)
        if not self.settings.webhook_secrets:
            environment["STENO_WEBHOOK_SECRETS"] = self._kept_secret()
        return environment

    def _kept_secret(self) -> str:
        try:
            return kept_secret(self.webhook_secret_file)
        except (OSError, ValueError) as error:
            raise ServeError(
                f"Cannot use {self.webhook_secret_file} as the secret of webhooks ({error}); mend it, or delete it and a "
                "new one is made."
            ) from error

    def _api_command(self) -> list[str]:
        listen = ["--host", self.host, "--port", str(self.port)]
        calm = ["--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "5"]
        return [sys.executable, "-m", "uvicorn", "api.main:app", *listen, *calm]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        with httpx.Client(base_url=self.url, timeout=2, trust_env=False) as client:
            while time.monotonic() < deadline:
                for child in self.children:
                    if not child.alive:
                        raise ServeError(f"The {child.name} process ended at its start; its message is above.")
                try:
                    checks = client.get("/ready").json()
                except (httpx.HTTPError, ValueError):
                    checks = {}
                if checks.get("redis") and checks.get("worker"):
                    return
                time.sleep(0.05)
        raise ServeError(f"Steno was not ready within {_READY_SECONDS:.0f} s; see the messages above.")


@contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    """The stack, started; stopped at the end, whatever happens."""
    stack.start()
    try:
        yield stack
    finally:
        stack.stop()
