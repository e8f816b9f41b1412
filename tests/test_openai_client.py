"""The official `openai` package against the whole stack: it works unchanged."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from conftest import DATA, MODEL
from steno.serve import Stack
from tests.processes import eventually
from tests.test_end_to_end import spoken

SPEECH = DATA / "exact-en-4.mp3"
HUMAN = DATA.parent.parent / "examples" / "two-cities-20s.flac"


@pytest.fixture
def client(stack: Stack) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{stack.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def words() -> list[str]:
    """What is said in SPEECH."""
    told: dict[str, Any] = json.loads((DATA / "truth.json").read_text())
    return [word["word"] for word in told[SPEECH.name]["words"]]


def test_json_is_the_text_and_what_was_listened_to(client: OpenAI, words: list[str]) -> None:
    told = client.audio.transcriptions.create(model="whisper-1", file=SPEECH)
    assert spoken(told.text) == words
    assert told.usage is not None
    assert told.usage.type == "duration"
    assert told.usage.seconds > 3
    assert told.logprobs is None


def test_logprobs_are_of_the_words(client: OpenAI, words: list[str]) -> None:
    told = client.audio.transcriptions.create(model=MODEL, file=SPEECH, include=["logprobs"])
    assert told.logprobs is not None
    assert spoken("".join(each.token or "" for each in told.logprobs)) == words
    assert all(each.logprob is not None and -8 < each.logprob <= 0 for each in told.logprobs)
    assert bytes(map(int, told.logprobs[0].bytes or [])).decode() == told.logprobs[0].token


def test_text_is_bare(client: OpenAI, words: list[str]) -> None:
    told = client.audio.transcriptions.create(model="whisper-1", file=SPEECH, response_format="text")
    assert isinstance(told, str)
    assert (spoken(told), told.count("\n")) == (words, 1)


@pytest.mark.parametrize(("format", "begin", "mark"), [("srt", "1\n", ","), ("vtt", "WEBVTT\n\n", ".")])
def test_subtitles_are_bare(client: OpenAI, words: list[str], format: Any, begin: str, mark: str) -> None:
    told = client.audio.transcriptions.create(model="whisper-1", file=SPEECH, response_format=format)
    assert str(told).startswith(begin)
    assert f"00:00:00{mark}" in str(told)
    assert set(words) <= set(spoken(str(told)))


@pytest.mark.parametrize("asked", [None, ["segment"], ["word"], ["word", "segment"]])
def test_verbose_json_has_what_was_asked_for(client: OpenAI, words: list[str], asked: Any) -> None:
    more = {"timestamp_granularities": asked} if asked else {}
    told = client.audio.transcriptions.create(model="whisper-1", file=SPEECH, response_format="verbose_json", **more)
    assert (told.language, spoken(told.text)) == ("english", words)
    assert (told.segments is None) == (asked == ["word"])
    assert (told.words is None) == ("word" not in (asked or []))
    if told.segments is not None:
        assert "".join(segment.text for segment in told.segments).strip() == told.text
        for segment in told.segments:
            required = set(type(segment).model_fields)
            assert required == set(segment.to_dict())
            assert 0 <= segment.start < segment.end <= told.duration
            assert (segment.tokens, segment.no_speech_prob) == ([], 0.0)
            assert -8 < segment.avg_logprob < 0
            assert 0.1 < segment.compression_ratio < 3
    if told.words is not None:
        assert [spoken(word.word)[0] for word in told.words] == words
        assert all(0 <= word.start <= word.end <= told.duration for word in told.words)


def test_both_spellings_of_lists_are_taken(stack: Stack) -> None:
    for name in ("timestamp_granularities[]", "timestamp_granularities"):
        with SPEECH.open("rb") as file:
            answer = httpx.post(
                f"{stack.url}/v1/audio/transcriptions",
                files={"file": (SPEECH.name, file)},
                data={"model": "whisper-1", "response_format": "verbose_json", name: ["word"]},
                timeout=60,
            )
        assert ("words" in answer.json(), "segments" in answer.json()) == (True, False)


def test_every_field_is_taken(client: OpenAI, words: list[str]) -> None:
    told = client.audio.transcriptions.create(
        model=f"faster-whisper/{MODEL}", file=SPEECH, language="en", prompt="Numbers.", temperature=0,
        keywords=["horse", "window"], chunking_strategy={"type": "server_vad", "threshold": 0.4}, stream=False,
    )  # fmt: skip
    assert set(spoken(told.text)) & set(words)


def test_a_stream_tells_while_it_listens(client: OpenAI, http: httpx.Client) -> None:
    statuses = []
    parts = []
    with client.audio.transcriptions.create(model="pocketsphinx/en-us", file=HUMAN, stream=True) as events:
        for event in events:
            statuses.append(http.get(f"/status/{events.response.headers['x-request-id']}").json()["status"])
            parts.append(event)
    assert [part.type for part in parts] == ["transcript.text.delta"] * (len(parts) - 1) + ["transcript.text.done"]
    assert statuses[0] == "started"
    *deltas, done = parts
    assert done.type == "transcript.text.done"
    assert "".join(part.delta for part in deltas if part.type == "transcript.text.delta") == done.text
    assert "the best of times" in done.text
    assert done.to_dict()["usage"] == {"type": "duration", "seconds": pytest.approx(20, abs=0.5)}


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_translations_are_english(client: OpenAI) -> None:
    told = client.audio.translations.create(model="whisper-1", file=DATA / "exact-de-6.wav")
    assert isinstance(told.text, str)
    verbose = client.audio.translations.create(
        model="whisper-1", file=DATA / "exact-de-6.wav", response_format="verbose_json"
    )
    assert (verbose.language, verbose.to_dict()["task"]) == ("english", "translate")
    assert verbose.segments


def test_models_are_what_workers_offer_and_what_stands_for_it(client: OpenAI) -> None:
    names = {model.id: model for model in client.models.list()}
    assert {f"faster-whisper/{MODEL}", "pocketsphinx/en-us", "whisper-1", "gpt-4o-transcribe-diarize"} <= set(names)
    assert not [name for name in names if name.startswith("whisperx/")]
    for name in (f"faster-whisper/{MODEL}", "whisper-1", MODEL):
        assert client.models.retrieve(name).owned_by == "faster-whisper"
    assert math.isclose(names["whisper-1"].created, 0)
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("whisperx/small")
    assert refused.value.code == "model_not_found"


def error_of(raised: pytest.ExceptionInfo[openai.APIStatusError]) -> tuple[str | None, str | None, str | None]:
    body = raised.value.response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return raised.value.type, raised.value.param, raised.value.code


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 2}, "temperature"),
        ({"language": "klingon"}, "language"),
        ({"response_format": "docx"}, "response_format"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        ({"response_format": "verbose_json", "timestamp_granularities": ["line"]}, "timestamp_granularities"),
        ({"response_format": "text", "include": ["logprobs"]}, "include"),
        ({"response_format": "srt", "stream": True}, "stream"),
        ({"chunking_strategy": {"type": "server_vad", "threshold": 9}}, "chunking_strategy"),
        ({"known_speaker_names": ["Ann"]}, "known_speaker_names[]"),
        ({"known_speaker_references": ["data:audio/wav;base64," + "A" * 100_000]}, "known_speaker_references[]"),
        ({"languages": ["en", "de"]}, "languages"),
        ({"model": "pocketsphinx/en-us", "prompt": "Ann"}, "prompt"),
        ({"model": "pocketsphinx/en-us", "keywords": ["Ann"]}, "keywords"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_a_bad_request(client: OpenAI, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.transcriptions.create(**{"model": "whisper-1", "file": SPEECH, **fields})
    assert error_of(refused) == ("invalid_request_error", param, "invalid_field")


@pytest.mark.parametrize("model", ["nonsense", "whisperx/small", "faster-whisper/en-us", "../etc/passwd"])
def test_an_unknown_model_is_not_found_unless_its_engine_may_come(client: OpenAI, model: str) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.audio.transcriptions.create(model=model, file=SPEECH)
    assert error_of(refused)[1:] == ("model", "model_not_found")


def test_a_file_that_is_none_is_a_bad_request(client: OpenAI, tmp_path: Path) -> None:
    (tmp_path / "bare.wav").write_bytes(b"RIFF" + bytes(100))
    for path, code in ((tmp_path / "bare.wav", "audio_unreadable"), (Path(__file__), "unsupported_format")):
        with pytest.raises(openai.BadRequestError) as refused:
            client.audio.transcriptions.create(model="whisper-1", file=path)
        assert error_of(refused) == ("invalid_request_error", "file", code)


def test_a_stream_that_fails_before_it_began_is_an_error_with_a_status(client: OpenAI, tmp_path: Path) -> None:
    (tmp_path / "bare.wav").write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.transcriptions.create(model="whisper-1", file=tmp_path / "bare.wav", stream=True)
    assert refused.value.code == "audio_unreadable"


def test_a_client_that_hangs_up_cancels_its_job(stack: Stack, http: httpx.Client) -> None:
    before = {job["job_id"] for job in http.get("/jobs").json()["jobs"]}
    with (
        OpenAI(base_url=f"{stack.url}/v1", api_key="unused", max_retries=0, timeout=0.7) as hasty,
        pytest.raises(openai.APITimeoutError),
    ):
        hasty.audio.transcriptions.create(model="pocketsphinx/en-us", file=HUMAN)

    def fresh() -> list[str]:
        return [job["status"] for job in http.get("/jobs").json()["jobs"] if job["job_id"] not in before]

    assert eventually(lambda: fresh() == ["canceled"])


def test_a_client_that_leaves_a_stream_cancels_its_job(client: OpenAI, http: httpx.Client) -> None:
    with client.audio.transcriptions.create(model="pocketsphinx/en-us", file=HUMAN, stream=True) as events:
        job_id = events.response.headers["x-request-id"]
        next(iter(events))
    assert eventually(lambda: http.get(f"/status/{job_id}").json()["status"] == "canceled")
