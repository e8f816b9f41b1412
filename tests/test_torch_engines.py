"""WhisperX and whisper-timestamped themselves, on small trained models, through the whole service. `make test-engines`."""

import lzma
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import DATA, MODEL
from steno.config import Settings
from steno.transcript import Transcript
from steno.transcript.model import faults
from tests.stacks import running_stack
from tests.test_end_to_end import finished, upload
from worker.audio import Audio

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]  # the libraries warn

EXACT = sorted(path.name for path in DATA.glob("exact-*"))
BOTH = ("whisperx", "timestamped")


@pytest.fixture(scope="module")
def weights(model_dir: Path) -> Path:
    """A folder with every small model: CTranslate2, openai-whisper, the aligner and the sentence splitter's data."""
    folder = model_dir.parent
    with tarfile.open(DATA / "aligner.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    (folder / "mini.pt").write_bytes(lzma.decompress((DATA / "mini.pt.xz").read_bytes()))
    return folder


@pytest.fixture(scope="module")
def environment(weights: Path) -> dict[str, str]:
    return {
        "STENO_LOCAL_MODELS": f"whisperx:{MODEL}={weights}/mini-ct2,timestamped:{MODEL}={weights}/mini.pt",
        "STENO_ALIGN_MODELS": ",".join(f"{code}={weights}/aligner" for code in ("en", "fr", "de")),
        "STENO_DEFAULT_MODEL": MODEL,
        "NLTK_DATA": str(weights / "nltk_data"),
        "HF_HUB_OFFLINE": "1",
    }


@pytest.fixture(scope="module")
def service(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a running service whose one worker offers both engines."""
    with (
        running_stack(tmp_path_factory.mktemp("torch"), environment) as stack,
        httpx.Client(base_url=stack.url, timeout=60) as client,
    ):
        yield client


def heard(service: httpx.Client, name: str, engine: str, **fields: str) -> dict[str, Any]:
    status = finished(service, upload(service, DATA / name, engine=engine, **fields), 200)
    assert status["error"] is None
    result: dict[str, Any] = status["result"]
    assert faults(Transcript.from_dict(result)) == []
    return result


def words(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [word for segment in result["segments"] for word in segment["words"]]


def plain(result: dict[str, Any]) -> list[str]:
    return [re.sub(r"\W", "", word["text"]).lower() for word in words(result)]


@pytest.mark.parametrize(("engine", "median", "p95"), [("whisperx", 0.06, 0.11), ("timestamped", 0.06, 0.3)])
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
        assert all(0 < word["confidence"] <= 1 for word in words(result))
        late += [abs(w["start"] - k["start"]) for w, k in zip(words(result), known["words"], strict=True)]
    late.sort()
    assert late[len(late) // 2] <= median
    assert late[int(len(late) * 0.95)] <= p95


@pytest.mark.parametrize("name", ["silence.wav", "noise.flac"])
@pytest.mark.parametrize("engine", BOTH)
def test_silence_and_noise_are_an_empty_transcript(service: httpx.Client, engine: str, name: str) -> None:
    assert heard(service, name, engine)["segments"] == []


def test_both_engines_take_turns_in_one_worker(service: httpx.Client, truth: dict[str, Any]) -> None:
    for _ in range(3):
        for engine in BOTH:
            result = heard(service, "exact-fr-4.mp3", engine, language="fr")
            assert plain(result) == [word["word"] for word in truth["exact-fr-4.mp3"]["words"]]


def test_whisperx_gives_what_the_library_gives(
    service: httpx.Client, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import whisperx

    monkeypatch.setitem(os.environ, "NLTK_DATA", str(weights / "nltk_data"))
    import nltk

    monkeypatch.setattr(nltk.data, "path", [str(weights / "nltk_data")])
    pipeline = whisperx.load_model(str(weights / "mini-ct2"), "cpu", threads=2)
    aligner = whisperx.load_align_model("en", "cpu", model_name=str(weights / "aligner"))
    for name in ("exact-en-1.wav", "exact-en-4.mp3"):
        samples = Audio(DATA / name).array()
        direct = whisperx.align(pipeline.transcribe(samples)["segments"], *aligner, samples, "cpu")["word_segments"]
        ours = words(heard(service, name, "whisperx"))
        assert [(w["text"], w["start"], w["end"]) for w in ours] == [
            (w["word"], round(float(w["start"]), 3), round(float(w["end"]), 3)) for w in direct
        ]


def test_timestamped_gives_what_the_library_gives(service: httpx.Client, weights: Path) -> None:
    import whisper_timestamped

    model = whisper_timestamped.load_model(str(weights / "mini.pt"), device="cpu")
    for name in ("exact-de-6.wav", "exact-fr-5.flac"):
        direct = whisper_timestamped.transcribe(model, Audio(DATA / name).array(), verbose=None)
        ours = words(heard(service, name, "timestamped"))
        assert [(w["text"], w["start"], w["end"]) for w in ours] == [
            (w["text"].strip(), w["start"], w["end"]) for segment in direct["segments"] for w in segment["words"]
        ]


def test_words_without_an_alignment_model_are_kept_with_a_warning(
    environment: dict[str, str], truth: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from steno.transcript.model import segment_from_dict
    from worker.horse import Models, listen

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    models = Models(Settings(local_models=tuple(environment["STENO_LOCAL_MODELS"].split(","))))
    events: list[dict[str, Any]] = []
    job = {"path": str(DATA / "exact-de-5.flac"), "engine": "whisperx", "model": MODEL, "language": "cy"}
    listen(job, models, events.append)
    segments = [segment_from_dict(event["segment"]) for event in events if event["event"] == "segment"]
    assert "could not be aligned in 'cy'" in events[-1]["warnings"][0]
    assert segments
    assert all(word.end > word.start and word.confidence is None for s in segments for word in s.words)
    assert {e["stage"] for e in events if e["event"] == "progress"} == {"transcribing", "aligning"}
