"""What both engines hear through the whole service: every known word, at its time, as the libraries themselves give it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import DATA
from steno.transcript import Transcript
from steno.transcript.model import faults
from tests.test_end_to_end import finished, upload
from worker.audio import Audio
from worker.engines.whisperx_words import with_margin

pytestmark = [pytest.mark.torch, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]  # the libraries warn

RECORDINGS = sorted(path.name for path in DATA.iterdir() if re.match(r"(exact-)?(en|fr|de)-", path.name))
EXACT = [name for name in RECORDINGS if name.startswith("exact-")]
LOST = "en-ten-minutes.mp3"
"""Called directly, whisper-timestamped fails on this one: "No warping path found"."""
BOTH = ("whisperx", "timestamped")


def heard(service: httpx.Client, name: str, engine: str, **fields: str) -> dict[str, Any]:
    status = finished(service, upload(service, DATA / name, engine=engine, **fields), 400)
    assert status["error"] is None
    result: dict[str, Any] = status["result"]
    assert faults(Transcript.from_dict(result)) == []
    return result


def words(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [word for segment in result["segments"] for word in segment["words"]]


def plain(result: dict[str, Any]) -> list[str]:
    return [re.sub(r"\W", "", word["text"]).lower() for word in words(result)]


def timed(result: dict[str, Any]) -> list[tuple[str, float, float]]:
    return [(word["text"], word["start"], word["end"]) for word in words(result)]


@pytest.mark.parametrize(("engine", "median", "p95"), [("whisperx", 0.05, 0.1), ("timestamped", 0.06, 0.3)])
def test_every_known_recording_word_for_word_with_its_times(
    service: httpx.Client, truth: dict[str, Any], engine: str, median: float, p95: float
) -> None:
    late: list[float] = []
    for name in EXACT:
        result, known = heard(service, name, engine), truth[name]
        assert plain(result) == [word["word"] for word in known["words"]], name
        assert (result["language"], result["engine"]) == (known["language"], engine)
        assert result["language_probability"] > 0.5
        assert result["warnings"] == []
        assert all(0 < word["confidence"] <= 1 and not word["estimated"] for word in words(result))
        late += [abs(w["start"] - k["start"]) for w, k in zip(words(result), known["words"], strict=True)]
    late.sort()
    print(f"{engine}: word starts, median {late[len(late) // 2]:.3f} s, p95 {late[int(len(late) * 0.95)]:.3f} s")
    assert late[len(late) // 2] <= median
    assert late[int(len(late) * 0.95)] <= p95


def whisperx_directly(models: Path) -> Iterator[tuple[str, list[tuple[str, float, float]]]]:
    """The library's own pipeline and aligner on every recording, the aligner shown as much sound as Steno shows it."""
    import whisperx

    pipeline = whisperx.load_model(str(models / "mini-ct2"), "cpu", threads=2)
    for name in RECORDINGS:
        samples = Audio(DATA / name).array()
        told = pipeline.transcribe(samples, batch_size=8)
        aligner = whisperx.load_align_model(told["language"], "cpu", model_name=str(models / "aligner"))
        aligned = whisperx.align(with_margin(told["segments"], samples.size), *aligner, samples, "cpu")["word_segments"]
        yield name, [(w["word"], round(float(w["start"]), 3), round(float(w["end"]), 3)) for w in aligned]


def timestamped_directly(models: Path) -> Iterator[tuple[str, list[tuple[str, float, float]]]]:
    """The library on every recording; where it fails by itself, in the way by which Steno gets by."""
    import whisper_timestamped

    model = whisper_timestamped.load_model(str(models / "mini.pt"), device="cpu")
    for name in RECORDINGS:
        more = {"condition_on_previous_text": False} if name == LOST else {}
        told = whisper_timestamped.transcribe(model, Audio(DATA / name).array(), verbose=None, **more)
        found = [word for segment in told["segments"] for word in segment.get("words", ())]
        yield name, [(w["text"].strip(), w["start"], w["end"]) for w in found]


@pytest.mark.parametrize("engine", BOTH)
def test_the_service_gives_what_the_library_gives_to_the_millisecond(
    service: httpx.Client, models: Path, engine: str
) -> None:
    direct = whisperx_directly(models) if engine == "whisperx" else timestamped_directly(models)
    for name, expected in direct:
        result = heard(service, name, engine)
        assert timed(result) == kept_inside(expected, result["duration"]), name


def kept_inside(words: list[tuple[str, float, float]], duration: float) -> list[tuple[str, float, float]]:
    """The library's words where a transcript may have them: whisper-timestamped lets some end after the recording does."""
    low, kept = 0.0, []
    for text, start, end in words:
        start = min(max(start, low), duration)
        low = min(max(end, start), duration)
        kept.append((text, start, low))
    return kept


def test_long_recordings_are_heard_as_well_as_the_library_hears_them(
    service: httpx.Client, truth: dict[str, Any]
) -> None:
    """0.10 is what shared measurements of the library gave on the English one; distance counted by words."""
    known = [word["word"] for word in truth["en-minute.flac"]["words"]]
    rate = distance(plain(heard(service, "en-minute.flac", "whisperx")), known) / len(known)
    print(f"whisperx: word error rate {rate:.2f} on en-minute.flac")
    assert rate <= 0.11


def distance(ours: list[str], known: list[str]) -> int:
    """Words to insert, delete or replace (Levenshtein)."""
    row = list(range(len(known) + 1))
    for i, word in enumerate(ours, start=1):
        previous, row[0] = row[0], i
        for j, other in enumerate(known, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1]


@pytest.mark.parametrize("name", ["silence.wav", "noise.flac"])
@pytest.mark.parametrize("engine", BOTH)
def test_silence_and_noise_are_an_empty_transcript(service: httpx.Client, engine: str, name: str) -> None:
    assert heard(service, name, engine)["segments"] == []


def test_both_engines_take_turns_in_one_worker(service: httpx.Client, truth: dict[str, Any]) -> None:
    for _ in range(3):
        for engine in BOTH:
            result = heard(service, "exact-fr-4.mp3", engine, language="fr")
            assert plain(result) == [word["word"] for word in truth["exact-fr-4.mp3"]["words"]]


def test_a_recording_on_which_the_library_loses_track_is_heard_all_the_same(
    service: httpx.Client, truth: dict[str, Any]
) -> None:
    result = heard(service, LOST, "timestamped")
    assert "lost track" in result["warnings"][0]
    assert len(words(result)) > 0.7 * len(truth[LOST]["words"])


def test_the_exact_versions_of_libraries_and_models_are_recorded(service: httpx.Client) -> None:
    for engine, library in zip(BOTH, ("whisperx", "whisper-timestamped"), strict=True):
        result = heard(service, "fr-4.m4a", engine)
        assert result["model_version"].startswith("sha256:")
        assert {"steno", "torch", library} <= set(result["versions"])


def test_what_can_be_asked_for_is_told(service: httpx.Client) -> None:
    told = {engine["name"]: engine for engine in service.get("/engines").json()["engines"]}
    for engine in BOTH:
        assert told[engine]["available"]
        assert told[engine]["models"][0] == "mini"
        assert told[engine]["versions"][0]["torch"]
