"""A recording goes in over HTTP, its known words come out with their times: API, Redis, worker and engine for real."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import DATA, MODEL, MakeSettings
from steno.redis_server import free_port
from steno.serve import Stack
from steno.transcript import Transcript
from steno.transcript.model import faults
from steno.transcript.writers import WRITERS
from tests.processes import eventually
from tests.videos import film, speech

EXACT = sorted(path.name for path in DATA.glob("exact-*"))


def upload(http: httpx.Client, path: Path, **fields: str) -> str:
    with path.open("rb") as file:
        answer = http.post(
            "/transcribe", files={"file": (path.name, file)}, data={"engine": "faster-whisper", **fields}
        )
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "queued"
    return str(answer.json()["job_id"])


def finished(http: httpx.Client, job_id: str, seconds: float = 60.0) -> dict[str, Any]:
    status: dict[str, Any] = {}

    def over() -> bool:
        status.update(http.get(f"/status/{job_id}").json())
        return status["status"] in ("finished", "failed")

    assert eventually(over, seconds), status
    return status


def spoken(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def test_every_known_recording_comes_back_word_for_word(http: httpx.Client, truth: dict[str, Any]) -> None:
    jobs = {name: upload(http, DATA / name) for name in EXACT}
    for name, job_id in jobs.items():
        status = finished(http, job_id)
        assert status["error"] is None
        result, known = status["result"], truth[name]
        assert spoken(result["text"]) == [word["word"] for word in known["words"]]
        assert result["language"] == known["language"]
        assert (result["engine"], result["model"]) == ("faster-whisper", MODEL)
        assert faults(Transcript.from_dict(result)) == []
        words = [word for segment in result["segments"] for word in segment["words"]]
        late = [abs(w["start"] - k["start"]) for w, k in zip(words, known["words"], strict=True)]
        assert sorted(late)[len(late) // 2] < 0.25
        assert max(late) < 0.8


@pytest.mark.parametrize(
    ("name", "codec", "pictures"),
    [("talk.mp4", "aac", "libx264"), ("talk.mkv", "flac", "mpeg4"), ("talk.webm", "libopus", "libvpx-vp9")],
)
def test_the_sound_of_a_video_comes_back_word_for_word(
    http: httpx.Client, truth: dict[str, Any], tmp_path: Path, name: str, codec: str, pictures: str
) -> None:
    known = truth["exact-fr-4.mp3"]["words"]
    path = film(tmp_path / name, codec, speech(DATA / "exact-fr-4.mp3"), pictures=pictures, seconds=8.0)
    status = finished(http, upload(http, path))
    assert (status["error"], status["warnings"], status["filename"]) == (None, [], name)
    assert spoken(status["result"]["text"]) == [word["word"] for word in known]
    assert status["result"]["duration"] == pytest.approx(truth["exact-fr-4.mp3"]["duration"], abs=0.2)


def test_a_video_without_sound_fails_with_a_sentence(http: httpx.Client, tmp_path: Path) -> None:
    status = finished(http, upload(http, film(tmp_path / "mute.mp4", "aac")))
    assert (status["status"], status["error_code"]) == ("failed", "no_audio_track")
    assert "has no audio track" in status["error"]


def test_the_status_tells_what_happened_and_when(http: httpx.Client) -> None:
    status = finished(http, upload(http, DATA / "exact-fr-4.mp3", language="French"))
    assert status["attempts"] == 1
    assert status["progress"] == 1.0
    assert status["enqueued_at"] <= status["started_at"] <= status["ended_at"]
    assert (status["result"]["language"], status["result"]["language_probability"]) == ("fr", None)


def test_progress_is_told_while_a_long_recording_is_heard(http: httpx.Client) -> None:
    human = DATA.parent.parent / "examples" / "two-cities-20s.flac"
    job_id = upload(http, human, engine="pocketsphinx")
    seen: list[float] = []

    def over() -> bool:
        status = http.get(f"/status/{job_id}").json()
        if status["stage"] == "transcribing":
            seen.append(status["progress"])
        return bool(status["status"] == "finished")

    assert eventually(over, 60)
    assert seen == sorted(seen)
    assert any(0 < share < 1 for share in seen)
    text = http.get(f"/jobs/{job_id}/transcript.txt").text
    assert "the best of times" in text


@pytest.mark.parametrize("format", WRITERS)
def test_a_finished_job_is_served_in_every_format(http: httpx.Client, format: str) -> None:
    job_id = upload(http, DATA / "exact-de-6.wav")
    status = finished(http, job_id)
    answer = http.get(f"/jobs/{job_id}/transcript.{format}")
    assert answer.headers["content-type"].startswith(WRITERS[format].media_type.partition(";")[0])
    if format == "json":
        assert answer.json() == status["result"]
    else:
        assert spoken(status["result"]["segments"][0]["text"])[0] in spoken(answer.text)


def test_bad_recordings_fail_with_a_sentence_and_the_next_one_is_heard(http: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "bare.wav").write_bytes(b"RIFF" + bytes(100))
    status = finished(http, upload(http, tmp_path / "bare.wav"))
    assert status["result"] is None
    assert status["error_code"] == "audio_unreadable"
    assert "Traceback" not in status["error"]
    assert finished(http, upload(http, DATA / "exact-en-4.mp3"))["status"] == "finished"


def test_silence_is_an_empty_transcript(http: httpx.Client) -> None:
    result = finished(http, upload(http, DATA / "silence.wav"))["result"]
    assert (result["text"], result["segments"], result["language"]) == ("", [], None)
    assert result["duration"] == pytest.approx(20.0)


def test_an_engine_that_is_not_installed_is_refused_at_once(http: httpx.Client) -> None:
    with (DATA / "exact-en-4.mp3").open("rb") as file:
        answer = http.post("/transcribe", files={"file": file}, data={"engine": "whisperx"})
    assert answer.status_code == 422
    assert "pip install 'steno[whisperx]'" in answer.json()["detail"]


def test_health_stays_quick_while_engines_work(http: httpx.Client) -> None:
    job_id = upload(http, DATA / "exact-en-1.wav")
    times = []
    while http.get(f"/status/{job_id}").json()["status"] not in ("finished", "failed"):
        begun = time.monotonic()
        assert http.get("/health").json() == {"status": "ok"}
        times.append(time.monotonic() - begun)
    assert http.get("/ready").json() == {"ready": True, "redis": True, "worker": True, "disk": True}


@pytest.mark.parametrize(
    "server",
    [
        ["uvicorn", "api.main:app", "--host", "127.0.0.1", "--port", "{port}"],
        [
            "gunicorn", "-w", "4", "-k", "uvicorn.workers.UvicornWorker", "api.main:app", "--bind", "127.0.0.1:{port}",
        ],
    ],
    ids=["uvicorn", "gunicorn"],
)  # fmt: skip
def test_the_specified_servers_serve_it(make_settings: MakeSettings, server: list[str], tmp_path: Path) -> None:
    settings, port = make_settings(), free_port()
    command = [sys.executable, "-m", *(part.format(port=port) for part in server)]
    environment = {
        "STENO_REDIS_URL": settings.redis_address,
        "UPLOAD_DIR": str(settings.upload_dir),
        "PATH": "/usr/bin",
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log, stdout=log)
    try:
        url = f"http://127.0.0.1:{port}"
        assert eventually(lambda: _answers(url))
        jobs = [_fresh(url, lambda http: upload(http, DATA / "exact-de-6.wav", model="small")) for _ in range(4)]
        for job_id in jobs * 5:  # every connection may meet another of the four processes
            status = _fresh(url, lambda http, job_id=job_id: http.get(f"/status/{job_id}").json())
            assert (status["job_id"], status["status"]) == (job_id, "queued")
            assert "No running worker offers" in status["message"]
    finally:
        process.terminate()
        process.wait(20)


def _fresh(url: str, ask: Any) -> Any:
    with httpx.Client(base_url=url, timeout=30) as http:
        return ask(http)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.HTTPError:
        return False


def test_the_stored_transcript_is_what_the_api_gives(http: httpx.Client, stack: Stack) -> None:
    job_id = upload(http, DATA / "exact-fr-5.flac")
    result = finished(http, job_id)["result"]
    folder = stack.data_dir / "jobs" / job_id
    assert sorted(path.name for path in folder.iterdir()) == ["audio.flac", "request.json", "transcript.json"]
    assert json.loads((folder / "transcript.json").read_text()) == result
