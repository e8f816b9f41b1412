"""Every option that an engine says it honours, honoured: seen in what comes out, or in what the library is given."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import DATA, MODEL
from steno.jobs.options import Options
from steno.transcript.model import faults
from tests.conversation import TURNS, conversation
from tests.hearing import events_of, hear, plain
from tests.sounds import write
from worker.audio import SAMPLE_RATE, Audio
from worker.engines import load_engine
from worker.model_cache import ModelCache

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]

WHISPERX = Options("whisperx", MODEL)
TIMESTAMPED = Options("timestamped", MODEL)
SHORT = DATA / "exact-fr-5.flac"

Spy = Callable[[Options], dict[str, Any]]


@pytest.fixture
def given_to_whisperx(cache: ModelCache, monkeypatch: pytest.MonkeyPatch) -> Spy:
    """What WhisperX's pipeline is given and set to when a job with these options comes."""

    def spy(options: Options) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        pipeline = load_engine("whisperx", MODEL, cache.settings, cache)._pipeline  # type: ignore[attr-defined]
        original = pipeline.transcribe

        def transcribe(samples: Any, **arguments: Any) -> Any:
            seen.update(arguments, set_to=pipeline.options, numerals=pipeline.suppress_numerals)
            return original(samples, **arguments)

        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "transcribe", transcribe)
            hear(cache, SHORT, options)
        return seen

    return spy


@pytest.fixture
def given_to_timestamped(cache: ModelCache, monkeypatch: pytest.MonkeyPatch) -> Spy:
    """What whisper-timestamped is given when a job with these options comes."""

    def spy(options: Options) -> dict[str, Any]:
        import whisper_timestamped

        seen: dict[str, Any] = {}
        original = whisper_timestamped.transcribe

        def transcribe(model: Any, samples: Any, **arguments: Any) -> Any:
            seen.update(arguments)
            return original(model, samples, **arguments)

        with monkeypatch.context() as patch:
            patch.setattr(whisper_timestamped, "transcribe", transcribe)
            hear(cache, SHORT, options)
        return seen

    return spy


def test_whisperx_is_given_what_was_asked_and_nothing_stays_for_the_next_job(given_to_whisperx: Spy) -> None:
    before = given_to_whisperx(WHISPERX)
    asked = replace(
        WHISPERX, language="fr", prompt="Bonjour", hotwords="cheval", beam_size=2, batch_size=3, suppress_numerals=True
    )
    seen = given_to_whisperx(asked)
    assert (seen["language"], seen["batch_size"], seen["task"], seen["numerals"]) == ("fr", 3, "transcribe", True)
    options = seen["set_to"]
    assert (options.initial_prompt, options.hotwords, options.beam_size) == ("Bonjour", "cheval", 2)
    after = given_to_whisperx(WHISPERX)
    assert (before["set_to"], before["numerals"]) == (after["set_to"], after["numerals"])
    assert after["batch_size"] == 8


def test_more_hotwords_than_whisperx_holds_are_cut_with_a_warning(cache: ModelCache) -> None:
    asked = replace(WHISPERX, language="fr", hotwords="cheval, " * 240, prompt="Bonjour. " * 220)
    assert [warning for warning in hear(cache, SHORT, asked).warnings if "112 tokens of hotwords" in warning]


def test_timestamped_is_given_what_was_asked(given_to_timestamped: Spy) -> None:
    asked = replace(TIMESTAMPED, language="fr", prompt="Bonjour", temperature=0.2, beam_size=2, vad=True)
    seen = given_to_timestamped(asked)
    assert (seen["language"], seen["initial_prompt"], seen["temperature"], seen["beam_size"]) == (
        "fr",
        "Bonjour",
        0.2,
        2,
    )
    assert all(isinstance(time, float) for span in seen["vad"] for time in span)
    assert given_to_timestamped(replace(TIMESTAMPED, vad=False))["vad"] is False


@pytest.mark.parametrize("options", [WHISPERX, TIMESTAMPED], ids=lambda options: options.engine)
def test_a_translation_is_made_as_the_model_can(cache: ModelCache, options: Options) -> None:
    """The small model was never taught to; what it says must still be a whole transcript that tells what it is."""
    made = hear(cache, DATA / "exact-de-5.flac", replace(options, task="translate", language="de"))
    assert (made.task, made.language) == ("translate", "de")
    assert faults(made) == []
    assert made.segments
    if options.engine == "whisperx":
        assert "translation cannot be aligned" in made.warnings[0]
        assert all(word.estimated and word.confidence is None for segment in made.segments for word in segment.words)


@pytest.mark.parametrize("options", [WHISPERX, TIMESTAMPED], ids=lambda options: options.engine)
def test_without_words_there_are_segments_only(cache: ModelCache, options: Options, truth: dict[str, Any]) -> None:
    events = events_of(cache, SHORT, replace(options, word_timestamps=False))
    segments = [event["segment"] for event in events if event["event"] == "segment"]
    spoken = " ".join(segment["text"] for segment in segments)
    assert spoken.lower().replace(".", "").split() == [word["word"] for word in truth[SHORT.name]["words"]]
    assert all(not segment["words"] and 0 < segment["confidence"] <= 1 for segment in segments)
    assert "aligning" not in {event.get("stage") for event in events}


@pytest.mark.parametrize("options", [WHISPERX, TIMESTAMPED], ids=lambda options: options.engine)
def test_where_only_the_language_is_asked_for_there_is_no_more(cache: ModelCache, options: Options) -> None:
    only = hear(cache, DATA / "en-ten-minutes.mp3", replace(options, word_timestamps=False, language_only=True))
    assert (only.language, only.text, only.segments) == ("en", "", ())
    assert only.language_probability is not None
    assert only.duration == pytest.approx(120, abs=0.2)


def test_voice_detection_leaves_out_what_is_not_speech(cache: ModelCache, truth: dict[str, Any]) -> None:
    for vad in (None, True, False):
        made = hear(cache, SHORT, replace(TIMESTAMPED, vad=vad))
        assert plain(made) == [word["word"] for word in truth[SHORT.name]["words"]], vad
    assert hear(cache, DATA / "noise.flac", replace(TIMESTAMPED, vad=True)).segments == ()


def test_disfluencies_are_marked_in_words_and_text_alike(cache: ModelCache) -> None:
    found = 0
    for name in ("exact-en-1.wav", "exact-de-1.m4a", "en-1.wav"):
        made = hear(cache, DATA / name, replace(TIMESTAMPED, disfluencies=True))
        assert faults(made) == []
        found += plain(made).count("")
    print(f"{found} disfluencies marked")
    assert found, "none of these recordings shows the mark any more; choose others"


def test_speakers_are_told_apart_and_every_word_has_one(cache: ModelCache, tmp_path: Path) -> None:
    said = conversation(tmp_path / "talk.wav")
    events = events_of(cache, tmp_path / "talk.wav", replace(WHISPERX, diarize=True, min_speakers=2, max_speakers=2))
    shares = [event["share"] for event in events if event.get("stage") == "diarizing" and event["event"] == "progress"]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    made = hear(cache, tmp_path / "talk.wav", replace(WHISPERX, diarize=True))
    words = [word for segment in made.segments for word in segment.words]
    assert [word.text.strip(".").lower() for word in words] == [word for turn in said for word in turn.words]
    speakers = {word.speaker for word in words}
    assert speakers == {"SPEAKER_00", "SPEAKER_01"}
    of_turn = [{w.speaker for w in words if turn.start <= w.start < turn.end} for turn in said]
    assert all(len(speaker) == 1 for speaker in of_turn)
    assert [turn.voice for turn in said] == [voice for voice, _, _ in TURNS]
    assert of_turn[0] == of_turn[2] != of_turn[1] == of_turn[3]


def test_the_number_of_speakers_is_the_clients_to_bound(cache: ModelCache, tmp_path: Path) -> None:
    conversation(tmp_path / "talk.wav")
    made = hear(cache, tmp_path / "talk.wav", replace(WHISPERX, diarize=True, max_speakers=1))
    assert {word.speaker for segment in made.segments for word in segment.words} == {"SPEAKER_00"}


def test_words_are_kept_where_speakers_cannot_be_told_apart(cache: ModelCache, truth: dict[str, Any]) -> None:
    without = ModelCache(cache.settings.model_copy(update={"diarization_model": "/nowhere"}))
    made = hear(without, SHORT, replace(WHISPERX, diarize=True))
    assert plain(made) == [word["word"] for word in truth[SHORT.name]["words"]]
    assert "could not be told apart" in made.warnings[0]


def test_words_without_an_alignment_model_are_kept_with_a_warning(cache: ModelCache) -> None:
    events = events_of(cache, DATA / "exact-de-5.flac", replace(WHISPERX, language="cy"))
    segments = [event["segment"] for event in events if event["event"] == "segment"]
    assert "could not be aligned in 'cy'" in events[-1]["warnings"][0]
    assert segments
    for word in (word for segment in segments for word in segment["words"]):
        assert word["end"] > word["start"]
        assert (word["confidence"], word["estimated"]) == (None, True)


def test_numbers_that_the_aligner_has_no_letters_for_have_times_and_a_flag(
    cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine: Any = load_engine("whisperx", MODEL, cache.settings, cache)
    samples = Audio(DATA / "exact-en-6.flac")
    text = " 6 black. Small $2 blue. 7 house 4."  # as a model writes it that was taught digits
    segment = {"text": text, "start": 0.3, "end": 6.0, "avg_logprob": -0.1}
    monkeypatch.setattr(engine, "_listen", lambda *anything: [segment])
    made = list(engine.transcribe(samples, replace(WHISPERX, language="en"), lambda *told: None).segments)
    words = [word for one in made for word in one.words]
    assert [word.text for word in words] == text.split()
    assert [word.text for word in words if word.estimated] == ["6", "$2", "7", "4."]
    assert all(0.2 < word.start < word.end < 6.2 for word in words)
    assert [word.start for word in words] == sorted(word.start for word in words)


def test_the_other_voice_detector_of_whisperx_is_used_where_it_is_set(
    cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights come from a hub, so only the asking can be seen here."""
    import torch

    asked: list[str] = []

    def load(*arguments: Any, **named: Any) -> Any:
        asked.append(named.get("repo_or_dir", arguments and arguments[0]))
        raise RuntimeError("no hub here")

    monkeypatch.setattr(torch.hub, "load", load)
    other = ModelCache(cache.settings.model_copy(update={"whisperx_vad": "silero"}))
    with pytest.raises(Exception, match="no hub here"):
        hear(other, SHORT, WHISPERX)
    assert "silero" in asked[0]


@pytest.mark.parametrize("options", [WHISPERX, TIMESTAMPED], ids=lambda options: options.engine)
@pytest.mark.parametrize(("name", "language"), [("exact-de-6.wav", "de"), ("exact-fr-5.flac", "fr")])
def test_the_language_is_told_by_what_is_said_though_a_film_begins_without_a_word(
    cache: ModelCache, tmp_path: Path, options: Options, name: str, language: str
) -> None:
    noise, spoken = Audio(DATA / "noise.flac").array(), Audio(DATA / name).array()
    film = write(tmp_path / "film.wav", np.concatenate([np.resize(noise, 40 * SAMPLE_RATE), spoken]))
    told = hear(cache, film, replace(options, word_timestamps=False, language_only=True))
    assert (told.language, told.segments) == (language, ())
