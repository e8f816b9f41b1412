"""What there is to hear: the short recordings of tests/data, whose words the miniature models know, alone or joined."""

import random
import wave
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from worker.audio import SAMPLE_RATE, Audio

_DATA: Final = Path(__file__).parents[1] / "tests" / "data"
_PAUSE_SECONDS: Final = (0.5, 1.0)
_SEED: Final = 4

ONE_A_LANGUAGE: Final = tuple(_DATA / name for name in ("exact-de-6.wav", "exact-en-6.flac", "exact-fr-5.flac"))
"""Enough to have every model loaded, an alignment model for each language included."""


def clips(number: int) -> list[Path]:
    """So many recordings of 4 to 12 s, 7.8 s on average, in three languages and four formats; again and again the same."""
    return list(islice(cycle(sorted(_DATA.glob("exact-*"))), number))


def joined(path: Path, seconds: float) -> Path:
    """Write a wav file of exactly so many seconds of English: whole recordings in random order, with pauses between.

    The same every time; the last pause is as long as need be, since no word is cut.
    """
    spoken = [b"".join(block.tobytes() for block in Audio(clip).blocks()) for clip in sorted(_DATA.glob("exact-en-*"))]
    chance = random.Random(_SEED)
    left = _bytes(seconds)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        while fitting := [clip for clip in spoken if len(clip) <= left]:
            piece = chance.choice(fitting) + bytes(_bytes(chance.uniform(*_PAUSE_SECONDS)))
            file.writeframesraw(piece[:left])
            left -= min(left, len(piece))
        file.writeframesraw(bytes(left))
    return path


def _bytes(seconds: float) -> int:
    return 2 * int(seconds * SAMPLE_RATE)
