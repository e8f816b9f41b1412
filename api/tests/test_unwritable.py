"""A folder of recordings that cannot be written: everybody is told, nothing is lost, and all goes on once it can be."""

import builtins
import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.tests.conftest import Serve
from api.tests.desk import Desk
from api.tests.tus import TALK, WAV, Tus, job_of
from api.tests.wire import ENGINE, field, form, head, recording


@contextlib.contextmanager
def read_only() -> Iterator[None]:
    """Meanwhile the system answers as where a disk was remounted read-only."""

    def refused(path: Any = "", *_: Any, **__: Any) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    def unless_written(real: Callable[..., Any], writes: Callable[[Any], bool]) -> Callable[..., Any]:
        return lambda path, how="r", *more, **named: (refused if writes(how) else real)(path, how, *more, **named)

    with pytest.MonkeyPatch.context() as patch:
        for call in (os.mkdir, os.rename, os.unlink, os.rmdir):
            patch.setattr(os, call.__name__, refused)
        patch.setattr(os, "open", unless_written(os.open, lambda flags: bool(flags & (os.O_RDWR | os.O_WRONLY))))
        patch.setattr(builtins, "open", unless_written(open, lambda mode: "w" in mode))
        patch.setattr(os, "access", lambda path, how: not how & os.W_OK)
        yield


def is_said(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")


@pytest.mark.parametrize("there", ["a file", "below a file", "a link to nowhere"])
@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/transcribe", (ENGINE, recording())),
        ("/asr", (recording(name="audio_file"),)),
        ("/v1/audio/transcriptions", (field("model", "whisper-1"), recording())),
        ("/uploads", ()),
    ],
)
def test_a_folder_that_is_none_is_said_and_logged(
    serve: Serve, desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str, parts: Any, there: str
) -> None:
    desk.offer("whisperx", 60)
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    folder = {"a file": "file", "below a file": "file/jobs", "a link to nowhere": "link"}[there]
    server = serve(upload_dir=tmp_path / folder)
    body = form(*parts) if parts else b""
    tus = () if parts else ("Tus-Resumable: 1.0.0", "Upload-Length: 9", f"Upload-Metadata: {TALK}")
    answer = server.send(head(len(body), *tus, path=path) + body)
    told = answer.json.get("error", answer.json)
    assert (answer.status, told["code"], answer.headers["retry-after"]) == (503, "storage_unavailable", "60")
    assert "UPLOAD_DIR" in answer.body.decode()
    assert any("Recordings cannot be stored" in record.getMessage() for record in caplog.records)
    ready = server.get("/ready")
    assert (ready.status, ready.json["disk"], server.get("/health").status) == (503, False, 200)


@pytest.fixture
def tus(serve: Serve) -> Iterator[Tus]:
    with Tus(serve().url) as client:
        yield client


def test_jobs_stay_as_they_are_until_it_can_be_written_again(tus: Tus, desk: Desk) -> None:
    failed, waiting = desk.failed(), desk.queued("waiting")
    moves = [("POST", f"/jobs/{failed}/retry"), ("POST", f"/jobs/{waiting}/cancel"), ("DELETE", f"/jobs/{failed}")]
    with read_only():
        assert all(is_said(tus.http.request(*move)) for move in moves)
        told = [tus.http.get(f"/status/{job_id}").json()["status"] for job_id in (failed, waiting)]
        assert told == ["failed", "queued"]
        assert not tus.http.get("/ready").json()["disk"]
    assert [tus.http.request(*move).status_code for move in moves] == [200, 200, 204]


def test_uploads_go_on_from_where_they_were(tus: Tus, desk: Desk) -> None:
    half, late, whole = tus.begun(), tus.begun(None, Upload_Defer_Length="1"), tus.begun()
    for path in (half, late):
        assert tus.patch(path, 0, WAV[:100]).status_code == 204
    killed = desk.storage.resume(job_of(whole), "audio.wav")
    killed.write([memoryview(WAV)])  # and no more, so that it is no job
    killed.leave()
    last = {half: {}, late: {"Upload_Length": str(len(WAV))}}
    with read_only():
        assert is_said(tus.create())
        for path, more in last.items():
            refused = tus.patch(path, 100, WAV[100:], **more)
            assert (is_said(refused), "what came is kept" in refused.text) == (True, True)
        assert [tus.head(path).status_code for path in (half, late, whole)] == [423] * 3
        assert is_said(tus.delete(half))
    assert tus.offset(half) == 100
    for path, more in last.items():
        assert tus.patch(path, 100, WAV[100:], **more).headers["steno-job-id"] == job_of(path)
    assert tus.head(whole).headers["steno-job-id"] == job_of(whole)
    assert all((desk.storage.root / job_of(path) / "audio.wav").read_bytes() == WAV for path in (half, late, whole))
    assert len(list(desk.storage.job_ids())) == 3
