"""Bazarr's and Speakr's requests, built as their own code builds them, against the whole stack with a real worker."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import requests

from conftest import DATA, MODEL
from steno.serve import Stack
from tests.processes import eventually
from tests.test_end_to_end import spoken
from worker.audio import SAMPLE_RATE, Audio

ENGLISH: Final = DATA / "exact-en-4.mp3"
GERMAN: Final = DATA / "exact-de-6.wav"
CUE: Final = re.compile(r"(\d+)\n(\d\d:\d\d:\d\d,\d{3}) --> (\d\d:\d\d:\d\d,\d{3})\n([^\n]+)\n\n")


def samples(path: Path) -> bytes:
    """What Bazarr has FFmpeg make of a film: s16le, 16 kHz, mono."""
    return (Audio(path).array() * 32_768).astype("<i2").tobytes()


def words_of(truth: dict[str, Any], path: Path) -> list[str]:
    return [word["word"] for word in truth[path.name]["words"]]


class Bazarr:
    """The requests of custom_libs/subliminal_patch/providers/whisperai.py; `film` is sent where it is told to pass the name."""

    def __init__(self, endpoint: str, film: str | None = None) -> None:
        self._endpoint = endpoint
        self._film = film
        self._session = requests.Session()
        self._session.headers["User-Agent"] = "Subliminal/2.1"

    def detect_language(self, out: bytes) -> dict[str, Any]:
        params: dict[str, Any] = {"encode": "false", "video_file": {self._film}}
        answer = self._session.post(
            f"{self._endpoint}/detect-language", params=params, files={"audio_file": out}, timeout=(5, 60)
        )
        told: dict[str, Any] = answer.json()
        return told

    def download_subtitle(self, out: bytes, task: str, language: str, timeout: float = 60) -> bytes:
        params = {"task": task, "language": language, "output": "srt", "encode": "false", "video_file": self._film}
        answer = self._session.post(
            f"{self._endpoint}/asr", params=params, files={"audio_file": out}, timeout=(5, timeout)
        )
        return answer.content

    def close(self) -> None:
        self._session.close()


@pytest.fixture(params=[None, "/films/Dune & Co (2021).mkv"], ids=["nameless", "with the film's name"])
def bazarr(stack: Stack, request: pytest.FixtureRequest) -> Iterator[Bazarr]:
    made = Bazarr(stack.url, request.param)
    yield made
    made.close()


def test_bazarr_gets_subtitles(bazarr: Bazarr, truth: dict[str, Any]) -> None:
    body = bazarr.download_subtitle(samples(ENGLISH), "transcribe", "en").decode()
    cues = CUE.findall(body)
    assert "".join(f"{number}\n{start} --> {end}\n{text}\n\n" for number, start, end, text in cues) == body
    assert [number for number, *_ in cues] == [str(number) for number in range(1, len(cues) + 1)]
    assert spoken(" ".join(text for *_, text in cues)) == words_of(truth, ENGLISH)
    times = [time for _, start, end, _ in cues for time in (start, end)]
    assert times == sorted(times)
    assert times[-1] < "00:00:08,200"


def test_bazarr_learns_the_language_and_no_recording_stays(bazarr: Bazarr, stack: Stack, http: httpx.Client) -> None:
    told = bazarr.detect_language(samples(GERMAN))
    assert (told["detected_language"], told["language_code"]) == ("german", "de")
    assert 0.5 < told["confidence"] <= 1
    newest = http.get("/jobs").json()["jobs"][0]
    assert newest["filename"] == "audio_file"
    left = stack.data_dir / "jobs" / newest["job_id"]
    assert eventually(lambda: not [path for path in left.iterdir() if path.name.startswith("audio")])


def test_bazarr_hears_of_silence_in_the_word_it_knows(bazarr: Bazarr) -> None:
    assert bazarr.detect_language(samples(DATA / "silence.wav"))["language_code"] == "und"
    assert bazarr.download_subtitle(samples(DATA / "silence.wav"), "transcribe", "en") == b""


def test_bazarr_gets_a_translation(bazarr: Bazarr, http: httpx.Client) -> None:
    body = bazarr.download_subtitle(samples(GERMAN), "translate", "de").decode()
    assert CUE.match(body)
    job_id = http.get("/jobs").json()["jobs"][0]["job_id"]
    result = http.get(f"/status/{job_id}").json()["result"]
    assert (result["task"], result["language"]) == ("translate", "de")


def test_bazarr_gives_up_and_its_job_is_canceled(stack: Stack, http: httpx.Client) -> None:
    before = {job["job_id"] for job in http.get("/jobs").json()["jobs"]}
    bazarr = Bazarr(stack.url)
    with pytest.raises(requests.ReadTimeout):
        bazarr.download_subtitle(samples(DATA / "en-ten-minutes.mp3"), "transcribe", "en", timeout=0.5)
    bazarr.close()

    def fresh() -> list[str]:
        return [job["status"] for job in http.get("/jobs").json()["jobs"] if job["job_id"] not in before]

    assert eventually(lambda: fresh() == ["canceled"])


def speakr(stack: Stack, path: Path, filename: str, **request: Any) -> httpx.Response:
    """The request of src/services/transcription/connectors/asr_endpoint.py; speakers are asked for unless told otherwise."""
    diarize = request.pop("diarize", True)
    params: dict[str, Any] = {"encode": True, "task": "transcribe", "output": "json"}
    params |= {"diarize": diarize, "enable_diarization": diarize, **request}
    with path.open("rb") as file, httpx.Client() as client:
        return client.post(
            f"{stack.url}/asr", params=params, files={"audio_file": (filename, file, "audio/mpeg")}, timeout=60.0
        )


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"language": "en", "diarize": False},
        {
            "language": "en", "initial_prompt": "Numbers and animals.", "hotwords": "horse, window", "min_speakers": 1,
            "max_speakers": 2, "return_speaker_embeddings": True, "model": MODEL,
        },
    ],
    ids=["plain", "without speakers", "everything"],
)  # fmt: skip
def test_speakr_reads_text_and_segments(stack: Stack, truth: dict[str, Any], request_: dict[str, Any]) -> None:
    answer = speakr(stack, ENGLISH, "meeting of today.mp3", **request_)
    answer.raise_for_status()
    data = answer.json()
    words = words_of(truth, ENGLISH)
    assert isinstance(data["text"], str)
    assert len(set(spoken(data["text"])) & set(words)) > 5
    if "initial_prompt" not in request_:
        assert spoken(data["text"]) == words
    assert "".join(segment["text"] for segment in data["segments"]) == data["text"]
    assert all(0 <= segment["start"] < segment["end"] < 8.2 for segment in data["segments"])
    assert data["language"] == "en"
    assert answer.headers["asr-engine"] == "faster_whisper"
    assert ("tell speakers apart" in answer.headers.get("steno-warnings", "")) == request_.get("diarize", True)


def test_speakr_offers_models_that_it_may_then_ask_for(stack: Stack, http: httpx.Client) -> None:
    names = [model["id"] for model in http.get("/v1/models").json()["data"]]
    assert "pocketsphinx/en-us" in names
    answer = speakr(stack, ENGLISH, "recording", model="pocketsphinx/en-us", word_timestamps=True)
    assert answer.headers["asr-engine"] == "pocketsphinx"
    words = [word for segment in answer.json()["segments"] for word in segment["words"]]
    assert "".join(word["word"] for word in words) == answer.json()["text"] != ""
    assert all(set(word) == {"word", "start", "end", "probability"} for word in words)


def test_speakr_hears_what_is_wrong_with_its_recording(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "bare.mp3").write_bytes(b"RIFF" + bytes(100))
    answer = speakr(stack, tmp_path / "bare.mp3", "bare.mp3")
    assert (answer.status_code, answer.json()["code"]) == (400, "audio_unreadable")
    with pytest.raises(httpx.HTTPStatusError):
        answer.raise_for_status()


@pytest.mark.parametrize("output", ["txt", "vtt", "srt", "tsv", "json"])
def test_every_output_says_the_same(stack: Stack, truth: dict[str, Any], output: str) -> None:
    with ENGLISH.open("rb") as file:
        answer = httpx.post(f"{stack.url}/asr?output={output}", files={"audio_file": ("audio_file", file)}, timeout=60)
    assert answer.headers["content-disposition"] == f'attachment; filename="audio_file.{output}"'
    text = (
        json.loads(answer.text)["text"]
        if output == "json"
        else re.sub(r"[\d:.,]+ --> .*|^\d+$|^\d+\t\d+\t", "", answer.text, flags=re.M)
    )
    assert [word for word in spoken(text) if word not in ("webvtt", "start", "end", "text")] == words_of(truth, ENGLISH)


def test_samples_are_heard_to_their_end_and_no_further(stack: Stack, http: httpx.Client) -> None:
    out = samples(ENGLISH) + b"\x01"  # half a sample, which no decoder should call damage
    answer = requests.post(f"{stack.url}/asr?encode=0", files={"audio_file": out}, timeout=60)
    assert "steno-warnings" not in answer.headers
    status = http.get(f"/status/{answer.headers['x-request-id']}").json()
    assert (status["result"]["warnings"], status["error"]) == ([], None)
    assert status["result"]["duration"] == pytest.approx(len(out) / 2 / SAMPLE_RATE, abs=0.001)


def test_only_the_beginning_is_heard_for_the_language(stack: Stack, http: httpx.Client) -> None:
    with (DATA / "en-ten-minutes.mp3").open("rb") as file:
        answer = httpx.post(f"{stack.url}/detect-language", files={"audio_file": file}, timeout=60)
    assert answer.json()["language_code"] == "en"
    result = http.get(f"/status/{answer.headers['x-request-id']}").json()["result"]
    assert result["duration"] == pytest.approx(120, abs=0.2)
    assert (result["text"], result["segments"], result["warnings"]) == ("", [], [])
