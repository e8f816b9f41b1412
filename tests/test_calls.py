"""A call goes in over HTTP, a conversation comes out: from every door, in every format that names speakers."""

import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from openai import OpenAI

from conftest import MODEL
from steno.serve import Stack
from steno.transcript import Transcript
from steno.transcript.model import faults
from tests.calls import LEFT, RIGHT, bare_wav, call_of_two
from tests.test_cli import steno
from tests.test_end_to_end import finished, spoken, upload
from tests.test_follow import followed


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return call_of_two(tmp_path_factory.mktemp("calls") / "call.wav")


@pytest.fixture(scope="module")
def job_id(stack: Stack, call: Path) -> str:
    """The job of the call, finished."""
    with httpx.Client(base_url=stack.url, timeout=60) as http:
        made = upload(http, call, channels="separate")
        assert finished(http, made)["error"] is None
    return made


def test_each_side_of_a_call_comes_back_word_for_word(http: httpx.Client, job_id: str, truth: dict[str, Any]) -> None:
    result = http.get(f"/status/{job_id}").json()["result"]
    assert faults(Transcript.from_dict(result)) == []
    for speaker, name in (("CHANNEL_0", LEFT), ("CHANNEL_1", RIGHT)):
        said = " ".join(segment["text"] for segment in result["segments"] if segment["speaker"] == speaker)
        assert spoken(said) == [word["word"] for word in truth[name]["words"]]


def test_it_reads_as_a_conversation_in_every_format(http: httpx.Client, job_id: str) -> None:
    segments = http.get(f"/status/{job_id}").json()["result"]["segments"]

    def written(format: str) -> str:
        return http.get(f"/jobs/{job_id}/transcript.{format}").text

    assert written("txt").splitlines() == [segment["text"] for segment in segments]
    paragraphs = written("md").strip().split("\n\n")
    assert len(paragraphs) >= 4
    assert [re.findall(r"\*\*(\w+):\*\*", paragraph)[0] for paragraph in paragraphs] == [
        speaker
        for number, speaker in enumerate(segment["speaker"] for segment in segments)
        if not number or speaker != segments[number - 1]["speaker"]
    ]
    assert written("srt").count("CHANNEL_0: ") + written("srt").count("CHANNEL_1: ") >= 4
    assert set(re.findall("<v (.*?)>", written("vtt"))) == {"CHANNEL_0", "CHANNEL_1"}
    starts = [int(line.split("\t")[0]) for line in written("tsv").splitlines()[1:]]
    assert starts == sorted(starts)


def test_the_segments_are_told_once_all_channels_were_heard(http: httpx.Client, call: Path) -> None:
    job_id = upload(http, call, channels="separate")
    events = followed(http, job_id)
    stored = http.get(f"/status/{job_id}").json()["result"]["segments"]
    heard = [data for kind, data in events if kind == "segment"]
    assert heard == [{name: segment[name] for name in ("id", "start", "end", "text", "speaker")} for segment in stored]
    shares = [data["progress"] for kind, data in events if kind == "state" and data["status"] == "started"]
    assert shares == sorted(shares)


def test_openais_clients_get_the_channels_as_speakers(stack: Stack, call: Path) -> None:
    with OpenAI(base_url=f"{stack.url}/v1", api_key="unused", max_retries=0) as client:
        asked: dict[str, Any] = {"model": MODEL, "file": call, "extra_body": {"channels": "separate"}}
        told = client.audio.transcriptions.create(response_format="diarized_json", **asked)
        events = list(client.audio.transcriptions.create(stream=True, **asked))
    assert [segment.speaker for segment in told.segments][:2] == ["A", "B"]
    assert {segment.speaker for segment in told.segments} == {"A", "B"}
    assert " ".join(segment.text for segment in told.segments) == told.text
    deltas = "".join(event.delta for event in events if event.type == "transcript.text.delta")
    assert deltas == told.text == events[-1].text


def test_the_command_has_the_option(stack: Stack, call: Path) -> None:
    run = steno("transcribe", call, "--channels", "separate", "--format", "md", "--server", stack.url)
    assert run.returncode == 0, run.stderr
    assert re.match(r"\[00:00:00\] \*\*CHANNEL_0:\*\* ", run.stdout)
    run = steno("transcribe", call, "--channels", "left", "--server", stack.url)
    assert run.returncode == 1
    assert "channels" in run.stderr


def test_a_recording_of_too_many_channels_says_what_to_do(http: httpx.Client, tmp_path: Path) -> None:
    path = bare_wav(tmp_path / "nine.wav", np.ones((9, 16_000), np.int16))
    status = finished(http, upload(http, path, channels="separate"))
    assert status["error_code"] == "too_many_channels"
    assert "Leave out channels=separate" in status["error"]
