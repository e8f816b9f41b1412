"""The processes under measurement: Steno's own and their bare counterparts, started, waited for and always ended."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from redis import Redis

from steno.parent import die_with_parent
from steno.redis_server import RedisServer, free_port

HOST: Final = "127.0.0.1"
_ROOT: Final = Path(__file__).parents[1]
_OURS: Final = {"REDIS_HOST", "REDIS_PORT", "UPLOAD_DIR", "MAX_FILE_SIZE", "ALLOWED_FORMATS"}
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 20.0
_ASK_SECONDS: Final = 1200.0


@dataclass(frozen=True)
class Server:
    """A running server: what /proc knows it by, and where on the loopback interface it listens."""

    pid: int
    port: int


def environment_with(more: Mapping[str, str]) -> dict[str, str]:
    """Ours without Steno's settings, so that a benchmark does not depend on who runs it, and `more`."""
    inherited = {name: value for name, value in os.environ.items() if name not in _OURS and name[:6] != "STENO_"}
    return {**inherited, **more}


@contextmanager
def program(
    module: str, *arguments: str, log: Path | None = None, **environment: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """`python -m module arguments`, ended with the context. What it prints goes to `log`, or else to standard error."""
    with log.open("ab") if log else nullcontext(sys.stderr) as out:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=_ROOT,
            env=environment_with(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            process_group=0,  # Ctrl-C is ours alone, so that the processes end in order
            preexec_fn=die_with_parent,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def server(module: str, arguments: Sequence[str], port: int, **environment: str) -> Iterator[Server]:
    """A program that listens on `port`; the context begins when it accepts connections."""
    with program(module, *arguments, log=None, **environment) as process:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection((HOST, port)).close()
                break
            except ConnectionRefusedError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{module} did not start; its message is above") from error
                time.sleep(0.02)
        yield Server(process.pid, port)


@contextmanager
def web_app(app: str, **environment: str) -> Iterator[Server]:
    """An ASGI app under one uvicorn process, started as `steno serve` starts Steno's."""
    port = free_port()
    arguments = [app, "--host", HOST, "--port", str(port), "--no-access-log", "--log-level", "warning"]
    with server("uvicorn", arguments, port, **environment) as running:
        yield running


@contextmanager
def redis_server(folder: Path) -> Iterator["Redis"]:
    """A Redis of our own, on a unix socket as under `steno serve`; gives a client of it."""
    own = RedisServer(folder / "redis")
    try:
        own.start()
        with Redis.from_url(own.url) as client:
            yield client
    finally:
        own.stop()


def address(redis: "Redis") -> str:
    """The URL under which another process finds the server of this client."""
    return f"unix://{redis.connection_pool.connection_kwargs['path']}"


def steno_settings(redis: "Redis", uploads: Path, **more: str) -> Mapping[str, str]:
    """The environment of an API and a worker that share this Redis and this folder of uploads."""
    return {"STENO_REDIS_URL": address(redis), "UPLOAD_DIR": str(uploads), "MAX_FILE_SIZE": str(4 << 30), **more}


def ask(module: str, *arguments: str, python: str = sys.executable, **environment: str) -> Any:
    """Run a program of this package to its end, under this interpreter, and return the JSON that it printed."""
    process = subprocess.run(
        [python, "-m", module, *arguments],
        cwd=_ROOT,
        env=environment_with(environment),
        stdout=subprocess.PIPE,
        check=True,
        timeout=_ASK_SECONDS,
        process_group=0,
        preexec_fn=die_with_parent,
    )
    return json.loads(process.stdout)
