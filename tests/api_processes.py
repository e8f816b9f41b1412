"""API processes of their own, for tests that kill and freeze them: as an operator runs them, under gunicorn."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from benchmarks.servers import environment_with
from steno.config import Settings
from steno.parent import die_with_parent
from steno.redis_server import free_port
from tests.processes import alive, children, eventually

_ROOT: Final = Path(__file__).parent.parent


@dataclass(frozen=True)
class Api:
    """One process that serves, and a master that replaces it as soon as it dies, which takes no import and so no second."""

    port: int
    master: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process that serves now."""
        assert eventually(lambda: children(self.master))
        return children(self.master)[0]

    def kill(self) -> None:
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not alive(pid))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped, but not dead, while the context lasts."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False


def settings_in(folder: Path, database: int, tus_lock: float = 2.0) -> Settings:
    """Settings over a folder and a database of the session's Redis that no other test uses."""
    address = f"redis://127.0.0.1:{os.environ['REDIS_PORT']}/{database}"
    return Settings(redis_url=address, upload_dir=folder / "jobs", tus_lock=tus_lock)


@contextmanager
def apis(settings: Settings, count: int) -> Iterator[list[Api]]:
    """So many of them, all over the same Redis and the same folder; their log lies beside it."""
    log = settings.upload_dir.parent / "log"
    shared = {
        "STENO_REDIS_URL": settings.redis_address,
        "UPLOAD_DIR": str(settings.upload_dir),
        "PYTHONWARNINGS": "ignore",
        "STENO_TUS_LOCK": str(settings.tus_lock),
    }
    with ExitStack() as stack:
        made = [stack.enter_context(_api(environment_with(shared), log)) for _ in range(count)]
        assert all(eventually(api.answers) for api in made), log.read_text()
        yield made


@contextmanager
def _api(environment: dict[str, str], log: Path) -> Iterator[Api]:
    port = free_port()
    serve = ["gunicorn", "-w", "1", "-k", "uvicorn.workers.UvicornWorker", "--preload", "-b", f"127.0.0.1:{port}"]
    with log.open("ab") as out:
        master = subprocess.Popen(
            [sys.executable, "-m", *serve, "--graceful-timeout", "1", "--timeout", "0", "api.main:app"],
            cwd=_ROOT, env=environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
        )  # fmt: skip
    try:
        yield Api(port, master.pid)
    finally:
        master.terminate()
        try:
            master.wait(20)
        except subprocess.TimeoutExpired:
            for pid in children(master.pid):
                os.kill(pid, signal.SIGKILL)
            master.kill()
            master.wait()
