"""Recordings that nobody made on purpose: cuts, noise, silence and speech in any order, and options to hear them with."""

import json
import wave
from pathlib import Path
from typing import Any, Final

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from conftest import DATA, MODEL
from steno.engines import ENGINES, Engine
from steno.jobs.options import Options
from steno.transcript.model import faults
from tests.hearing import hear
from worker.audio import SAMPLE_RATE, Audio
from worker.model_cache import ModelCache

thorough = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
"""How such a test is run: the same examples every time, however long an engine takes."""

_SPOKEN: Final = ("exact-en-4.mp3", "exact-fr-4.mp3", "exact-de-6.wav", "en-3.mp3", "fr-4.m4a")
_VALUES: Final[dict[str, st.SearchStrategy[Any]]] = {
    "task": st.sampled_from(["transcribe", "translate"]),
    "prompt": st.none() | st.sampled_from(["Hello.", "grün " * 50, "\x00🎙️"]),
    "hotwords": st.none() | st.just("black horse"),
    "temperature": st.none() | st.sampled_from([0.0, 0.7, 1.0]),
    "beam_size": st.none() | st.integers(1, 3),
    "batch_size": st.none() | st.integers(1, 3),
    "vad": st.none() | st.booleans(),
    "word_timestamps": st.booleans(),
    "disfluencies": st.booleans(),
    "suppress_numerals": st.booleans(),
    "diarize": st.booleans(),
}


def _piece(kind: str, name: str, begin: float, seconds: float, loudness: float) -> NDArray[np.float32]:
    size = int(seconds * SAMPLE_RATE)
    if kind == "speech":
        heard = Audio(DATA / name).array()
        start = int(begin * max(0, heard.size - size))
        return heard[start : start + size] * np.float32(loudness)
    noise = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    return noise * np.float32(0.0 if kind == "silence" else loudness * 0.3)


pieces = st.builds(
    _piece,
    st.sampled_from(["speech", "speech", "silence", "noise"]),
    st.sampled_from(_SPOKEN),
    st.floats(0, 1),
    st.floats(0.001, 5),
    st.sampled_from([0.01, 0.5, 1.0, 8.0]),
)
sounds = st.lists(pieces, min_size=1, max_size=4).map(np.concatenate)
"""Samples of up to 20 s at 16 kHz, too loud ones included."""


def options_of(engine: Engine) -> st.SearchStrategy[Options]:
    """Any options that the engine honours."""
    values = {name: strategy for name, strategy in _VALUES.items() if name in engine.options}
    languages = st.none() | st.sampled_from(["en", "de", "ja"] if engine.is_whisper else ["en"])
    model = MODEL if engine.is_whisper else engine.models[0]
    return st.builds(Options, st.just(engine.name), st.just(model), languages, **values)


def write(path: Path, samples: NDArray[np.float32]) -> Path:
    """The samples as a wav file, cut off where they are too loud."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def any_of(engines: tuple[str, ...]) -> st.SearchStrategy[Options]:
    """Any options of any of these engines."""
    return st.one_of([options_of(ENGINES[name]) for name in engines])


def keeps_its_promises(cache: ModelCache, folder: Path, samples: NDArray[np.float32], options: Options) -> None:
    """The one validator that every engine's transcripts go through."""
    made = hear(cache, write(folder / "sound.wav", samples), options)
    assert faults(made) == []
    assert made.duration == round(samples.size / SAMPLE_RATE, 3)
    assert (made.engine, made.model, made.task) == (options.engine, options.model, options.task)
    assert options.language is None or made.language == options.language
    assert made.language is not None or not made.segments
    for segment in made.segments:
        assert bool(segment.words) == options.word_timestamps
        assert all(word.confidence is not None or word.estimated for word in segment.words)
    assert json.loads(json.dumps(made.to_dict(), allow_nan=False)) == json.loads(json.dumps(made.to_dict()))
