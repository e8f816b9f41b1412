"""The `steno` client with large files: they go in pieces, go on after an outage, and it says so."""

import contextlib
import http.server
import json
import random
import re
import subprocess
import sys
import threading
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import DATA
from steno.client import Client
from steno.client_errors import Away, ClientError
from steno.redis_server import free_port
from steno.resumable import LARGE, PIECE_BYTES
from steno.serve import Stack
from tests.api_processes import Api, apis, settings_in
from tests.processes import eventually

FIELDS = {"engine": "whisperx", "language": "de"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("resumable")


@pytest.fixture(scope="module")
def api(folder: Path) -> Iterator[Api]:
    with apis(settings_in(folder, 5), 1) as made:
        yield made[0]


@pytest.fixture(scope="module")
def talk(folder: Path) -> Path:
    path = folder / "Rede.wav"
    path.write_bytes(b"RIFF" + random.Random(9).randbytes(3 * LARGE))
    return path


@pytest.fixture
def client(api: Api) -> Iterator[Client]:
    made = Client(api.url)
    yield made
    made.close()


def arrived(folder: Path) -> int:
    """Bytes of the one upload that is under way."""
    with contextlib.suppress(FileNotFoundError):
        return sum(path.stat().st_size for path in folder.glob("*/audio.wav.part"))
    return 0


def when(happens: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    """Act as soon as it happens, in a thread."""

    def watch() -> None:
        assert eventually(happens, pause=0.001)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def submitted(client: Client, path: Path, fields: dict[str, str] = FIELDS) -> tuple[str, list[int], list[str]]:
    """The job's id, the bytes that were told as sent, and what was said."""
    sent: list[int] = []
    said: list[str] = []
    return client.submit(path, fields, sent.append, said.append), sent, said


def is_job(folder: Path, job_id: str, talk: Path) -> bool:
    request = json.loads((folder / "jobs" / job_id / "request.json").read_text())
    same = (folder / "jobs" / job_id / "audio.wav").read_bytes() == talk.read_bytes()
    return same and (request["filename"], request["options"]["language"]) == (talk.name, "de")


def test_a_large_file_goes_in_pieces(client: Client, folder: Path, talk: Path) -> None:
    job_id, sent, said = submitted(client, talk)
    assert is_job(folder, job_id, talk)
    assert (folder / "jobs" / job_id / "upload.json").exists()
    assert (sent == sorted(sent), sent[-1], said) == (True, talk.stat().st_size, [])


def test_a_small_file_goes_as_a_form(client: Client, folder: Path) -> None:
    small = folder / "small.wav"
    small.write_bytes(b"RIFF" + bytes(1000))
    job_id, _, _ = submitted(client, small)
    assert not (folder / "jobs" / job_id / "upload.json").exists()


def test_it_goes_on_when_the_api_is_killed_and_says_so(client: Client, api: Api, folder: Path, talk: Path) -> None:
    killing = when(lambda: arrived(folder / "jobs") > 2 * PIECE_BYTES, api.kill)
    job_id, sent, said = submitted(client, talk)
    killing.join()
    assert is_job(folder, job_id, talk)
    assert len(said) == 2
    assert re.fullmatch(r"interrupted at \d+ %, trying again", said[0])
    share = re.fullmatch(r"resuming at (\d+) %", said[1])
    assert share
    assert 15 < int(share[1]) < 100
    assert min(b - a for a, b in zip(sent, sent[1:], strict=False)) > -PIECE_BYTES  # noqa: RUF007 - it never began anew


def test_what_is_wrong_is_said_before_a_byte_is_sent(client: Client, talk: Path) -> None:
    sent: list[int] = []
    with pytest.raises(ClientError, match="engine"):
        client.submit(talk, {"engine": "x"}, sent.append)
    assert sent == []


def test_an_upload_that_is_deleted_meanwhile_is_given_up(client: Client, api: Api, folder: Path, talk: Path) -> None:
    def delete() -> None:
        api.kill()
        (path,) = (folder / "jobs").glob("*/audio.wav.part")
        path.unlink()
        (path.parent / "upload.json").unlink()
        path.parent.rmdir()

    deleting = when(lambda: arrived(folder / "jobs") > PIECE_BYTES, delete)
    with pytest.raises(ClientError, match="send the file again"):
        client.submit(talk, FIELDS)
    deleting.join()


def test_a_server_that_is_not_there_is_said_at_once(talk: Path) -> None:
    client = Client(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Away, match="Is Steno running there"):
        client.submit(talk, FIELDS)
    client.close()


class Older(http.server.BaseHTTPRequestHandler):
    """A server that knows forms only."""

    asked: list[str] = []  # noqa: RUF012 - what was asked of it

    def do_POST(self) -> None:
        self.asked.append(self.path)
        length = int(self.headers.get("Content-Length", 0))
        while length:
            length -= len(self.rfile.read(min(length, 1 << 20)))
        found = self.path == "/transcribe"
        body = json.dumps({"job_id": "form"} if found else {"detail": "Not Found"}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def test_a_server_that_takes_forms_only_is_sent_one(talk: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Older) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        client = Client(f"http://127.0.0.1:{server.server_port}")
        assert submitted(client, talk)[0] == "form"
        client.close()
        server.shutdown()
        thread.join()
    assert Older.asked == ["/uploads", "/transcribe"]


def blown_up(path: Path, target: Path) -> None:
    """A recording of 16 kHz at twelve times the rate, on two channels of 32 bits: the same sound in 48 times the bytes."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype("<i4") << 16
    with wave.open(str(target), "wb") as file:
        file.setparams((2, 4, 192_000, 0, "NONE", ""))
        sound = np.repeat(samples, 24).tobytes()
        silence = bytes(max(0, 2 * LARGE - len(sound)))
        file.writeframes(sound + silence)


def test_the_command_goes_on_and_says_so(stack: Stack, truth: dict[str, Any], tmp_path: Path) -> None:
    blown_up(DATA / "exact-en-1.wav", tmp_path / "talk.wav")
    command = [sys.executable, "-m", "steno.cli", "transcribe", str(tmp_path / "talk.wav"), "--server", stack.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert eventually(lambda: arrived(stack.data_dir / "jobs") > PIECE_BYTES, pause=0.001)
        api = stack.children[-1].process
        assert api
        api.kill()
        api.wait()
        stack.revive()
        text, said = run.communicate(timeout=100)
    assert run.returncode == 0, said
    assert re.search(r"^talk.wav: resuming at \d\d %$", said, re.MULTILINE)
    words = [word["word"] for word in truth["exact-en-1.wav"]["words"]]
    assert re.findall(r"\w+", text.lower())[: len(words)] == words
