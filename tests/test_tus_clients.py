"""The clients of tus that others use, unchanged: tuspy, and tus-js-client under Node."""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError
from tusclient.uploader.uploader import AsyncUploader, Uploader

from api.tests.tus import Tus, job_of
from api.tests.wire import MIB
from tests.api_processes import Api, apis, settings_in
from tests.processes import eventually

METADATA: Final = {"filename": "talk.wav", "filetype": "audio/wav", "engine": "whisperx", "labels": "from afar"}
PIECE: Final = 1 * MIB
JS: Final = Path(__file__).parent / "tus_js"
BIN: Final = Path(sys.executable).parent
pytestmark = pytest.mark.timeout(400)  # npm may have to fetch what it installs
IsJob = Callable[[str, Path], bool]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clients")


@pytest.fixture(scope="module")
def api(folder: Path) -> Iterator[Api]:
    with apis(settings_in(folder, 4), 1) as made:
        yield made[0]


@pytest.fixture(scope="module")
def talk(folder: Path) -> Path:
    """A recording of ten megabytes and four bytes."""
    path = folder / "talk.wav"
    path.write_bytes(b"RIFF" + random.Random(3).randbytes(10 * MIB))
    return path


@pytest.fixture(scope="module")
def long_talk(folder: Path) -> Path:
    """One that takes long enough for an API process to die in the middle."""
    path = folder / "long.wav"
    path.write_bytes(b"RIFF" + random.Random(4).randbytes(40 * MIB))
    return path


@pytest.fixture
def tus(api: Api) -> Iterator[Tus]:
    with Tus(api.url) as client:
        yield client


@pytest.fixture
def is_job(folder: Path, tus: Tus) -> IsJob:
    """Whether the upload at a URL has become a job that holds this recording."""

    def holds(url: str, recording: Path) -> bool:
        job = folder / "jobs" / job_of(url)
        request = json.loads((job / "request.json").read_text())
        same = _sha256(job / "audio.wav") == _sha256(recording)
        status = tus.http.get(f"/status/{job_of(url)}").json()["status"]
        return same and (request["filename"], request["labels"], status) == ("talk.wav", ["from afar"], "queued")

    return holds


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def killed_in_the_middle(api: Api, folder: Path, url: str) -> Iterator[None]:
    """The API process dies as soon as two megabytes of the upload are there."""
    partial = folder / "jobs" / job_of(url) / "audio.wav.part"

    def watch() -> None:
        assert eventually(lambda: partial.stat().st_size > 2 * MIB, pause=0.001)
        api.kill()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.parametrize("more", [{"chunk_size": PIECE}, {}, {"chunk_size": PIECE, "upload_checksum": True}])
def test_tuspy_uploads(api: Api, talk: Path, is_job: IsJob, more: dict[str, Any]) -> None:
    with talk.open("rb") as file:
        uploader = TusClient(f"{api.url}/uploads").uploader(file_stream=file, metadata=METADATA, **more)
        uploader.upload()
    assert uploader.request is not None
    assert uploader.request.response_headers["steno-job-id"] == job_of(str(uploader.url))
    assert is_job(str(uploader.url), talk)


def test_tuspy_goes_on_with_an_upload_of_another_run(api: Api, talk: Path, is_job: IsJob) -> None:
    client = TusClient(f"{api.url}/uploads/")
    with talk.open("rb") as file:
        first = client.uploader(file_stream=file, metadata=METADATA, chunk_size=PIECE)
        first.upload(stop_at=3 * PIECE)
    with talk.open("rb") as file:
        second = Uploader(file_stream=file, url=first.url, chunk_size=PIECE)
        assert second.offset == 3 * PIECE
        second.upload()
    assert is_job(str(first.url), talk)


def test_tuspy_goes_on_when_the_api_is_killed_in_mid_piece(
    api: Api, folder: Path, long_talk: Path, is_job: IsJob
) -> None:
    with long_talk.open("rb") as file:
        uploader = TusClient(f"{api.url}/uploads").uploader(
            file_stream=file, metadata=METADATA, chunk_size=20 * PIECE, retries=20, retry_delay=1
        )
        uploader.set_url(uploader.create_url())
        with killed_in_the_middle(api, folder, str(uploader.url)):
            uploader.upload_chunk()  # type: ignore[no-untyped-call]
        uploader.upload()
    assert is_job(str(uploader.url), long_talk)


def test_tuspy_under_asyncio_uploads(api: Api, talk: Path, is_job: IsJob) -> None:
    async def upload() -> str:
        with talk.open("rb") as file:
            client = TusClient(f"{api.url}/uploads")
            uploader: AsyncUploader = client.async_uploader(file_stream=file, metadata=METADATA, chunk_size=PIECE)
            await uploader.upload()
            return str(uploader.url)

    assert is_job(asyncio.run(upload()), talk)


def test_tuspy_is_told_what_is_wrong(api: Api, talk: Path) -> None:
    with talk.open("rb") as file:
        wrong = TusClient(f"{api.url}/uploads").uploader(file_stream=file, metadata={**METADATA, "engine": "x"})
        with pytest.raises(TusCommunicationError) as refused:
            wrong.upload()
    assert refused.value.status_code == 422
    assert json.loads(str(refused.value.response_content, "utf-8"))["errors"][0]["field"] == "engine"


@pytest.fixture(scope="module")
def node() -> list[str]:
    """The command that uploads with tus-js-client, which is installed beside it as its lock file says."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    with (JS / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed, wanted = JS / "node_modules" / ".package-lock.json", JS / "package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
            command = [str(BIN / "npm"), "ci", "--prefer-offline"]
            run = subprocess.run(command, cwd=JS, env=environment, capture_output=True, text=True, timeout=300)
            assert run.returncode == 0, run.stderr
    return [str(BIN / "node"), str(JS / "upload.mjs")]


def told(line: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(line)
    return event


def upload(node: list[str], api: Api, path: Path, **options: Any) -> list[dict[str, Any]]:
    """What the script says, to its end."""
    options = {"metadata": METADATA, "chunkSize": PIECE, **options}
    command = [*node, f"{api.url}/uploads", str(path), json.dumps(options)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert run.stdout, run.stderr
    return list(map(told, run.stdout.splitlines()))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"uploadDataDuringCreation": True},
        {"overridePatchMethod": True},
        {"stream": True, "uploadLengthDeferred": True},
        {"parallelUploads": 3},
        {"abortAt": 4},
    ],
    ids=lambda options: next(iter(options), "plain"),
)
def test_tus_js_client_uploads(node: list[str], api: Api, talk: Path, is_job: IsJob, options: dict[str, Any]) -> None:
    *_, last = upload(node, api, talk, **options)
    assert last.get("done"), last
    assert last["job"] == job_of(last["url"])
    assert is_job(last["url"], talk)
    if "abortAt" in options:
        assert [status for status in last["statuses"] if "POST" in status] == ["POST 201"]
        assert [status for status in last["statuses"] if "HEAD" in status][-1] == "HEAD 200"


def test_tus_js_client_goes_on_when_the_api_is_killed_in_mid_piece(
    node: list[str], api: Api, folder: Path, long_talk: Path, is_job: IsJob
) -> None:
    options = {"metadata": METADATA, "chunkSize": 38 * PIECE, "pause": 300}
    command = [*node, f"{api.url}/uploads", str(long_talk), json.dumps(options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        url = told(next(iter(run.stdout)))["url"]
        with killed_in_the_middle(api, folder, url):
            last = told(list(run.stdout)[-1])
    assert last.get("done"), last
    assert last["url"] == url
    assert [status for status in last["statuses"] if "POST" in status] == ["POST 201"]
    killed_between_pieces = last["statuses"].count("PATCH 204") == 2  # where this test was too slow, which is rare
    assert "HEAD 200" in last["statuses"] or killed_between_pieces
    assert is_job(url, long_talk)


def test_tus_js_client_is_told_what_is_wrong_and_does_not_ask_again(node: list[str], api: Api, folder: Path) -> None:
    (folder / "picture.wav").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20_000))
    (refused,) = upload(node, api, folder / "picture.wav", metadata={**METADATA, "engine": "x"})
    assert (refused["status"], "engine" in refused["body"]) == (422, True)
    *_, refused = upload(node, api, folder / "picture.wav")
    assert (refused["status"], json.loads(refused["body"])["code"]) == (400, "not_audio")
