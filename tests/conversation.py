"""A recording of two voices that take turns, made of known sentences."""

import json
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from conftest import DATA
from worker.audio import SAMPLE_RATE, Audio

TURNS: Final = (
    ("high", "exact-en-3.wav", 2),
    ("low", "exact-en-3.wav", 0),
    ("high", "exact-en-2.m4a", 2),
    ("low", "exact-en-3.wav", 1),
)
"""Which voice, and which sentence of which recording: each was spoken in a voice of its own, at 215, 91, 213 and 84 Hz."""
_PAUSE_SECONDS: Final = 0.6
_EDGE_SECONDS: Final = 0.05


@dataclass(frozen=True)
class Turn:
    """Who says what, from when to when."""

    voice: str
    words: tuple[str, ...]
    start: float
    end: float


def conversation(path: Path) -> list[Turn]:
    """Write the recording (12 s, 16 kHz wav) and tell who says what in it."""
    truth = json.loads((DATA / "truth.json").read_text(encoding="utf-8"))
    rest = np.zeros(int(_PAUSE_SECONDS * SAMPLE_RATE), np.float32)
    parts, turns = [rest], []
    for voice, name, number in TURNS:
        begin = sum(len(text.split()) for text in truth[name]["text"].split(".")[:number])
        spoken = truth[name]["words"][begin : begin + len(truth[name]["text"].split(".")[number].split())]
        first, last = spoken[0]["start"] - _EDGE_SECONDS, spoken[-1]["end"] + _EDGE_SECONDS
        start = sum(map(len, parts)) / SAMPLE_RATE
        parts += [Audio(DATA / name).array()[int(first * SAMPLE_RATE) : int(last * SAMPLE_RATE)], rest]
        turns.append(Turn(voice, tuple(word["word"] for word in spoken), start, start + last - first))
    samples = np.concatenate(parts)
    samples += np.random.default_rng(0).standard_normal(samples.size).astype(np.float32) * np.float32(3e-4)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return turns
