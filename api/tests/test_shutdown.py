"""A server that is told to stop ends its open streams and held answers instead of waiting for them."""

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from api.tests.desk import Desk
from api.tests.listener import Listener, ears
from api.tests.server import Server, eventually
from api.tests.wire import SOUND, field, form, head, recording, upload
from conftest import MakeSettings
from steno.jobs.record import Status, outcome
from steno.redis_server import free_port
from tests.receivers import receiving, sends_forever

UVICORN: Final = ["uvicorn", "api.main:app", "--host", "127.0.0.1", "--port", "{port}"]
GUNICORN: Final = [
    "gunicorn",
    "-w",
    "2",
    "-k",
    "uvicorn.workers.UvicornWorker",
    "api.main:app",
    "-b",
    "127.0.0.1:{port}",
]
Start = Callable[..., tuple["subprocess.Popen[bytes]", Server]]


@pytest.fixture
def start(make_settings: MakeSettings, tmp_path: Path) -> Iterator[Start]:
    """Start a server's own program over the test's folder and Redis; killed with the test if it still runs."""
    processes: list[subprocess.Popen[bytes]] = []

    def begin(command: list[str], **more: str) -> tuple["subprocess.Popen[bytes]", Server]:
        settings, port = make_settings(), free_port()
        environment = {"STENO_REDIS_URL": str(settings.redis_url), "UPLOAD_DIR": str(settings.upload_dir), **more}
        words = [part.format(port=port) for part in command]
        with (tmp_path / "log").open("wb") as log:
            processes.append(subprocess.Popen([sys.executable, "-m", *words], env=environment, stdout=log, stderr=log))
        server = Server(settings, port, processes[-1].terminate)
        assert eventually(lambda: _serves(server), 30), (tmp_path / "log").read_text()
        return processes[-1], server

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def _serves(server: Server) -> bool:
    try:
        return server.get("/health").status == 200
    except OSError:
        return False


@pytest.mark.parametrize(
    ("command", "how"), [(UVICORN, signal.SIGTERM), (UVICORN, signal.SIGINT), (GUNICORN, signal.SIGTERM)]
)
def test_open_streams_do_not_hold_it_up(start: Start, desk: Desk, command: list[str], how: signal.Signals) -> None:
    """uvicorn alone would wait for them for ever."""
    process, server = start(command)
    job_id = desk.started(str(uuid.uuid4()))  # the server is a process of its own, and takes no other
    with server.connect() as held:
        held.send(head(method="GET", path=f"/status/{job_id}?wait=60", content_type=None))
        assert eventually(lambda: ears(desk.redis) >= 1)
        with Listener(server, job_id) as listener:
            listener.state(status="started")
            process.send_signal(how)
            assert listener.rest() == []  # a proper end: a torn one would raise
        assert held.answer().json["status"] == "started"
        process.wait(30)
    assert eventually(lambda: ears(desk.redis) == 0)


@pytest.mark.parametrize(
    ("path", "keep"),
    [("/v1/audio/transcriptions", "false"), ("/v1/audio/transcriptions", "true"), ("/asr", "false")],
)
def test_a_request_that_waits_for_its_transcript_is_let_go(start: Start, desk: Desk, path: str, keep: str) -> None:
    """Whoever is told to send it again leaves no job behind, unless the operator wants it done."""
    desk.offer("whisperx", 60)
    process, server = start(UVICORN, STENO_OPENAI_KEEP_ABANDONED=keep)
    body = form(field("model", "whisper-1"), recording(name="audio_file" if path == "/asr" else "file"))
    with server.connect() as held:
        held.send(head(len(body), path=path) + body)
        assert eventually(lambda: ears(desk.redis) == 1)
        (job_id,) = desk.queue.unfinished()
        process.terminate()
        answer = held.answer()
        process.wait(30)
    told = answer.json.get("error", answer.json)
    assert (answer.status, told["code"], answer.headers["retry-after"]) == (503, "server_stops", "5")
    assert outcome(desk.storage, job_id) is (None if keep == "true" else Status.CANCELED)
    assert (job_id in json.dumps(told)) == (keep == "true")


def test_a_recording_that_is_being_fetched_is_let_go(start: Start) -> None:
    process, server = start(UVICORN, STENO_URL_FETCH="true", STENO_URL_NETWORKS="127.0.0.0/8")
    endless = sends_forever(b"HTTP/1.1 200 OK\r\n\r\n" + SOUND.ljust(8192), b"\x07", 0.02)
    with receiving(endless) as host, server.connect() as held:
        held.send(upload(field("engine", "whisperx"), field("url", host.at("/talk.wav"))))
        assert eventually(lambda: any(name.endswith(".part") for name in server.left()))
        process.terminate()
        answer = held.answer()
        process.wait(30)
        assert eventually(lambda: not host.at_once)
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "server_stops", "5")
    assert "nothing was kept" in answer.detail
    assert server.nothing_left()
