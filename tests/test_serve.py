"""`steno serve`: up in seconds, one service a folder and port, and no process left behind."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from steno.config import Settings
from steno.redis_server import free_port
from steno.serve import Stack
from tests.processes import alive, children, eventually

Serve = Callable[..., "subprocess.Popen[str]"]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("fd00::7", "http://[fd00::7]:8000"),
    ],
)
def test_it_is_asked_where_it_listens(settings: Settings, tmp_path: Path, host: str, url: str) -> None:
    assert Stack(settings, tmp_path, host, 8000).url == url


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start `steno serve` as a user would; its output is in a pipe."""
    started: list[subprocess.Popen[str]] = []
    clean = {key: value for key, value in os.environ.items() if key not in ("REDIS_HOST", "REDIS_PORT", "UPLOAD_DIR")}

    def start(port: int, data_dir: Path = tmp_path / "data", **more: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "steno.cli", "serve", "--port", str(port), "--data-dir", str(data_dir)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "preexec_fn": hear_ctrl_c}
        started.append(subprocess.Popen(command, env={**clean, **more}, text=True, **pipes))  # type: ignore[call-overload]
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def hear_ctrl_c() -> None:
    """A shell that runs the tests in the background has its children ignore SIGINT; a terminal does not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def until_ready(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    said = ""
    for line in process.stdout:
        said += line
        if "Stop" in line:
            return said
    raise AssertionError(said)


def family(pid: int) -> list[int]:
    """A process's descendants."""
    return [member for child in children(pid) for member in (child, *family(child))]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_says_where_it_is_and_leaves_no_process_behind(serve: Serve, sent: signal.Signals) -> None:
    port = free_port()
    process = serve(port)
    said = until_ready(process)
    assert f"http://127.0.0.1:{port}/docs" in said
    assert "faster-whisper, pocketsphinx" in said
    assert httpx.get(f"http://127.0.0.1:{port}/ready").json()["ready"]
    assert eventually(lambda: len(family(process.pid)) == 3)  # Redis, worker, API, once the worker knows its versions
    members = family(process.pid)
    process.send_signal(sent)
    process.wait(30)
    assert process.returncode == (0 if sent != signal.SIGKILL else -signal.SIGKILL)
    assert eventually(lambda: not any(map(alive, members)))


def test_a_second_one_on_the_same_folder_or_port_is_refused_with_a_sentence(serve: Serve, tmp_path: Path) -> None:
    port = free_port()
    until_ready(serve(port))
    for other in (serve(free_port()), serve(port, tmp_path / "other")):
        assert other.wait(20) == 1
        assert other.stdout
        said = other.stdout.read()
        assert re.search(r"Another Steno uses|Cannot listen on", said)
        assert "Traceback" not in said
    assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200


def test_it_makes_a_secret_for_webhooks_keeps_it_and_says_where(serve: Serve, tmp_path: Path) -> None:
    secret = tmp_path / "data" / "webhook-secret"
    kept = set()
    for _ in range(2):
        process = serve(free_port())
        said = until_ready(process)
        assert f"signed with the secret in {secret}" in said
        assert "whsec_" not in said
        kept.add(secret.read_text())
        (worker, *_) = [member for member in family(process.pid) if b"worker.main" in _command(member)]
        assert f"STENO_WEBHOOK_SECRETS={secret.read_text().strip()}".encode() in _environment(worker)
        process.terminate()
        process.wait(30)
    assert len(kept) == 1
    assert secret.stat().st_mode & 0o777 == 0o600
    secret.write_text("hunter2")
    process = serve(free_port())
    assert process.wait(20) == 1
    assert process.stdout
    assert "delete it and a new one is made" in " ".join(process.stdout.read().split())


def _command(pid: int) -> bytes:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""  # it has ended


def _environment(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def test_a_killed_part_comes_back(serve: Serve) -> None:
    port = free_port()
    process = serve(port)
    until_ready(process)
    for member in family(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    assert eventually(lambda: _ready(port))


def test_jobs_survive_a_restart_of_everything(serve: Serve, tmp_path: Path) -> None:
    port, human = free_port(), Path(__file__).parent.parent / "examples" / "two-cities-20s.flac"
    first = serve(port)
    until_ready(first)
    with human.open("rb") as file:
        form = {"engine": "pocketsphinx"}
        job_id = httpx.post(f"http://127.0.0.1:{port}/transcribe", files={"file": file}, data=form).json()["job_id"]
    its = family(first.pid)
    first.kill()
    first.wait()
    assert eventually(lambda: not any(map(alive, its)))
    second = serve(port)
    until_ready(second)

    def status() -> str:
        return str(httpx.get(f"http://127.0.0.1:{port}/status/{job_id}").json()["status"])

    assert eventually(lambda: status() == "finished", 60)


def test_a_wrong_setting_is_said_in_a_sentence(serve: Serve) -> None:
    process = serve(free_port(), MAX_FILE_SIZE="much")
    assert process.wait(20) == 2
    assert process.stdout
    said = process.stdout.read()
    assert "MAX_FILE_SIZE" in said
    assert "Traceback" not in said


def test_a_data_folder_that_is_none_is_said_in_a_sentence(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    process = serve(free_port(), tmp_path / "file")
    assert process.wait(20) == 1
    assert process.stdout
    said = process.stdout.read()
    assert "as the data folder" in said
    assert "Traceback" not in said


def test_no_engine_at_all_is_said_with_what_to_install(serve: Serve) -> None:
    process = serve(free_port(), STENO_ENGINES="whisperx")
    assert process.wait(20) == 1
    assert process.stdout
    assert "pip install 'steno[whisperx]'" in process.stdout.read()


def _ready(port: int) -> bool:
    try:
        return bool(httpx.get(f"http://127.0.0.1:{port}/ready").json()["ready"])
    except httpx.HTTPError:
        return False
