import hashlib
import re
import wave
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.kinds import SAMPLES_HEAD
from conftest import DATA, MODEL, MakeSettings
from steno import __version__
from steno.config import Settings
from steno.engines import ENGINES, installed_engines
from steno.jobs.errors import AudioEmpty, EngineUnavailable, ModelUnavailable
from steno.jobs.options import Options
from steno.transcript.model import faults
from tests.hearing import events_of, hear, plain
from worker.audio import Audio
from worker.engines import load_engine
from worker.engines.base import Hearing
from worker.engines.hotwords import fitting
from worker.model_cache import ModelCache

EXACT = sorted(path.name for path in DATA.glob("exact-*"))
WHISPER = Options("faster-whisper", MODEL)
SPHINX = Options("pocketsphinx", "en-us")
HUMAN = DATA.parent.parent / "examples" / "two-cities-20s.flac"


@pytest.fixture(scope="module")
def models(model_dir: Path) -> ModelCache:
    return ModelCache(Settings(local_models=(f"faster-whisper:{MODEL}={model_dir}",), upload_dir=Path("/nowhere")))


@pytest.mark.parametrize("name", EXACT)
def test_faster_whisper_hears_every_word_of_a_known_recording(
    models: ModelCache, truth: dict[str, Any], name: str
) -> None:
    heard = hear(models, DATA / name, WHISPER)
    known = truth[name]
    assert plain(heard) == [word["word"] for word in known["words"]]
    assert heard.language == known["language"]
    assert heard.language_probability is not None
    assert heard.language_probability > 0.5
    assert heard.duration == pytest.approx(known["duration"], abs=0.1)
    assert faults(heard) == []
    words = [word for segment in heard.segments for word in segment.words]
    errors = sorted(abs(w.start - k["start"]) for w, k in zip(words, known["words"], strict=True))
    assert errors[len(errors) // 2] < 0.25
    assert all(word.confidence is not None and 0 < word.confidence <= 1 for word in words)


@pytest.mark.parametrize("name", ["exact-de-6.wav", "exact-fr-4.mp3", "exact-en-6.flac"])
def test_where_only_the_language_is_asked_for_there_is_no_more(
    models: ModelCache, truth: dict[str, Any], name: str
) -> None:
    whole = hear(models, DATA / name, WHISPER)
    only = hear(models, DATA / name, replace(WHISPER, word_timestamps=False, language_only=True))
    assert only == replace(whole, text="", segments=())
    assert only.language == truth[name]["language"]


def test_an_engine_of_one_language_tells_that_and_still_reads_the_recording(models: ModelCache, tmp_path: Path) -> None:
    only = hear(models, DATA / "en-ten-minutes.mp3", replace(SPHINX, language_only=True))
    assert (only.language, only.language_probability, only.segments) == ("en", None, ())
    assert only.duration == pytest.approx(120, abs=0.2)
    (tmp_path / "a.wav").write_bytes(SAMPLES_HEAD)
    with pytest.raises(AudioEmpty):
        hear(models, tmp_path / "a.wav", replace(SPHINX, language_only=True))


@pytest.mark.parametrize("name", ["silence.wav", "noise.flac"])
@pytest.mark.parametrize("engine", installed_engines())
def test_silence_and_noise_are_an_empty_transcript(models: ModelCache, name: str, engine: str) -> None:
    heard = hear(models, DATA / name, WHISPER if engine == "faster-whisper" else SPHINX)
    assert heard.text == ""
    assert heard.segments == ()
    assert heard.duration == pytest.approx(20.0)


def test_a_given_language_is_used_and_has_no_probability(models: ModelCache) -> None:
    heard = hear(models, DATA / "exact-fr-4.mp3", Options("faster-whisper", MODEL, "fr"))
    assert (heard.language, heard.language_probability) == ("fr", None)


def test_pocketsphinx_hears_a_human_voice_without_any_download(models: ModelCache) -> None:
    heard = hear(models, HUMAN, SPHINX)
    for phrase in ("best of times", "worst of times", "age of wisdom", "season of light"):
        assert phrase in heard.text
    assert faults(heard) == []
    best = next(word for segment in heard.segments for word in segment.words if word.text == "best")
    assert 1.2 < best.start < best.end < 3.0
    assert not re.search(r"[<\[(]", heard.text)


def test_the_second_job_finds_its_model_loaded(models: ModelCache) -> None:
    events_of(models, DATA / "exact-fr-5.flac", WHISPER)
    events = events_of(models, DATA / "exact-fr-5.flac", WHISPER)
    assert [event["stage"] for event in events if event["event"] == "stage"] == ["decoding"]


def test_the_exact_versions_are_recorded(models: ModelCache, model_dir: Path) -> None:
    heard = hear(models, DATA / "exact-fr-5.flac", WHISPER)
    summed = hashlib.sha256((model_dir / "model.bin").read_bytes()).hexdigest()
    assert heard.model_version == f"sha256:{summed[:16]}"
    assert heard.versions == {
        "steno": __version__, **{name: version(name) for name in ("faster-whisper", "ctranslate2")},
    }  # fmt: skip


def test_every_engine_that_is_installed_is_in_the_table_with_its_code() -> None:
    assert installed_engines() == ("faster-whisper", "pocketsphinx")
    for engine in ENGINES.values():
        assert find_spec(engine.module) is not None


def test_an_engine_that_is_not_here_says_how_to_install_it(settings: Settings) -> None:
    with pytest.raises(EngineUnavailable, match=re.escape("pip install 'steno[whisperx]'")):
        load_engine("whisperx", "small", settings, ModelCache(settings))


def test_an_incomplete_model_folder_names_what_is_missing(make_settings: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    settings = make_settings(local_models=(f"faster-whisper:half={tmp_path}",), default_model="small")
    with pytest.raises(ModelUnavailable, match=r"model\.bin, tokenizer\.json"):
        load_engine("faster-whisper", "half", settings, ModelCache(settings))


def test_a_broken_model_folder_is_said_to_be_broken(make_settings: MakeSettings, tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    settings = make_settings(local_models=(f"faster-whisper:broken={tmp_path}",), default_model="small")
    with pytest.raises(ModelUnavailable, match="could not be loaded"):
        load_engine("faster-whisper", "broken", settings, ModelCache(settings))


def test_a_model_without_a_network_says_what_to_do(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable, match="STENO_LOCAL_MODELS"):
        load_engine("faster-whisper", "tiny", settings, ModelCache(settings))


def test_the_library_is_given_what_was_asked(models: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    engine: Any = load_engine("faster-whisper", MODEL, models.settings, models)
    given: list[dict[str, Any]] = []
    original = engine._model.transcribe

    def transcribe(samples: Any, **arguments: Any) -> Any:
        given.append(arguments)
        return original(samples, **arguments)

    monkeypatch.setattr(engine._model, "transcribe", transcribe)
    hear(models, DATA / "exact-de-6.wav", WHISPER)
    asked = replace(
        WHISPER, language="de", task="translate", prompt="Guten Tag", hotwords="Fisch", temperature=0.2, beam_size=2, vad=False,
        word_timestamps=False, suppress_numerals=True,
    )  # fmt: skip
    hear(models, DATA / "exact-de-6.wav", asked)
    assert given[0] == {"language": None, "task": "transcribe", "word_timestamps": True, "vad_filter": True}
    digits = given[1].pop("suppress_tokens")
    assert given[1] == {
        "language": "de", "task": "translate", "initial_prompt": "Guten Tag", "hotwords": "Fisch", "temperature": 0.2,
        "beam_size": 2, "word_timestamps": False, "vad_filter": False,
    }  # fmt: skip
    texts = [engine._model.hf_tokenizer.decode([token]) for token in digits[1:]]
    assert digits[0] == -1
    assert {"7", " 000", "%", " $"} <= set(texts)
    assert all(set(text) & set("0123456789%$£") for text in texts)


@pytest.mark.parametrize("hotwords", ["Fisch, " * 280, "水" * 2000, "x" * 2000])
def test_more_hotwords_than_the_model_holds_are_cut_with_a_warning(models: ModelCache, hotwords: str) -> None:
    heard = hear(models, DATA / "exact-fr-5.flac", replace(WHISPER, hotwords=hotwords, prompt="Bonjour. " * 220))
    assert [warning for warning in heard.warnings if "112 tokens of hotwords" in warning]
    assert faults(heard) == []


def test_hotwords_are_cut_between_words(models: ModelCache) -> None:
    engine: Any = load_engine("faster-whisper", MODEL, models.settings, models)
    hotwords = ", ".join(f"mountain{number}" for number in range(200))
    kept, warnings = fitting(hotwords, engine._model)
    assert kept is not None
    assert hotwords.startswith(f"{kept},")
    assert re.search(r"mountain\d+$", kept)
    assert warnings
    assert fitting(kept, engine._model) == (kept, ())


def test_a_word_that_goes_on_in_the_next_segment_is_told_once(
    models: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen with a temperature of 0.7: the library cuts the text between two tokens of a word, and the words after it."""
    from faster_whisper.transcribe import Segment as Heard
    from faster_whisper.transcribe import Word as HeardWord

    engine: Any = load_engine("faster-whisper", MODEL, models.settings, models)
    original = engine._model.transcribe

    def heard(id: int, start: float, text: str, *words: str) -> Heard:
        timed = [HeardWord(start + n / 10, start + (n + 1) / 10, word, 0.9) for n, word in enumerate(words)]
        return Heard(id, 0, start, start + 1, text, [], -0.1, 1.0, 0.0, timed, 0.7)

    cut = [heard(0, 0.0, " Morgen green", " Morgen", " greenish"), heard(1, 1.0, "ish grand.", " grand.")]
    monkeypatch.setattr(engine._model, "transcribe", lambda *asked, **more: (iter(cut), original(*asked, **more)[1]))
    made = hear(models, DATA / "exact-fr-5.flac", WHISPER)
    assert [segment.text for segment in made.segments] == ["Morgen greenish", "grand."]
    assert faults(made) == []


def test_without_words_there_are_segments_only(models: ModelCache, truth: dict[str, Any]) -> None:
    for options, path in ((WHISPER, DATA / "exact-fr-5.flac"), (SPHINX, HUMAN)):
        heard = hear(models, path, replace(options, word_timestamps=False))
        assert heard.segments
        assert all(segment.words == () and segment.confidence for segment in heard.segments)
        assert faults(heard) == []
        assert len(heard.text.split()) >= 8


def test_words_that_an_engine_lost_have_times_all_the_same(models: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """As whisper-timestamped does now and then: a segment with text, and no words."""
    engine: Any = load_engine("faster-whisper", MODEL, models.settings, models)
    original = engine.transcribe

    def lose(*asked: Any) -> Hearing:
        heard: Hearing = original(*asked)
        return replace(heard, segments=(replace(segment, words=()) for segment in heard.segments))

    monkeypatch.setattr(engine, "transcribe", lose)
    monkeypatch.setattr("worker.horse.load_engine", lambda *asked: engine)
    heard = hear(models, DATA / "exact-fr-5.flac", WHISPER)
    words = [word for segment in heard.segments for word in segment.words]
    assert [word.text for word in words] == heard.text.split()
    assert all(word.estimated and word.end > word.start for word in words)
    assert faults(heard) == []
    without = hear(models, DATA / "exact-fr-5.flac", replace(WHISPER, word_timestamps=False))
    assert all(segment.words == () for segment in without.segments)


def test_a_long_recording_is_heard_in_pieces_with_its_own_times(
    models: ModelCache, truth: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names, pause = ["exact-en-6.flac", "exact-en-4.mp3", "exact-en-5.m4a"], np.zeros(24_000, np.int16)
    pieces = [np.concatenate(list(Audio(DATA / name).blocks())) for name in names]
    with wave.open(str(tmp_path / "long.wav"), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(
            np.concatenate([np.zeros(16_000, np.int16), *chain(*zip(pieces, [pause] * 3, strict=True))]).tobytes()
        )
    monkeypatch.setattr("worker.engines.faster_whisper_engine._STRETCH_SECONDS", 9.0)
    heard = hear(models, tmp_path / "long.wav", WHISPER)
    assert plain(heard) == [word["word"] for name in names for word in truth[name]["words"]]
    assert faults(heard) == []
    last = truth[names[2]]["words"][-1]["start"] + 1.0 + sum(p.size for p in pieces[:2]) / 16_000 + 3.0
    assert heard.segments[-1].words[-1].start == pytest.approx(last, abs=0.6)


def test_what_pocketsphinx_hears_does_not_depend_on_the_job_before(models: ModelCache) -> None:
    alone = hear(ModelCache(Settings()), DATA / "exact-en-1.wav", SPHINX)
    hear(models, HUMAN, SPHINX)
    assert hear(models, DATA / "exact-en-1.wav", SPHINX) == alone
