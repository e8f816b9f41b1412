"""Calls made of known recordings: a speaker on each channel."""

import itertools
import wave
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from conftest import DATA
from worker.audio import SAMPLE_RATE, Audio

Samples = NDArray[np.int16]

LEFT: Final = "exact-en-4.mp3"
RIGHT: Final = "exact-en-6.flac"
SHIFT: Final = 2.0
"""Seconds by which the right speaker begins later, so that the two take turns and now and then talk at once."""


def call_of_two(path: Path) -> Path:
    """LEFT and RIGHT as a file with two channels."""
    return write(path, together(spoken(LEFT), spoken(RIGHT, SHIFT)))


def spoken(name: str, after: float = 0.0) -> Samples:
    """A recording of tests/data after so many seconds of silence."""
    return np.concatenate([np.zeros(round(after * SAMPLE_RATE), np.int16), *Audio(DATA / name).blocks()])


def together(*channels: Samples) -> Samples:
    """A row for each channel, the shorter ones followed by silence."""
    longest = max(map(len, channels))
    return np.stack([np.pad(samples, (0, longest - len(samples))) for samples in channels])


def write(path: Path, rows: Samples, codec: str = "pcm_s16le") -> Path:
    """The rows as the channels of a file at 16 kHz."""
    layout = {1: "mono", 2: "stereo", 4: "4.0", 6: "5.1"}[len(rows)]
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=SAMPLE_RATE, layout=layout)
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(rows.T).reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
        resampler = av.AudioResampler(stream.format, layout, SAMPLE_RATE, stream.codec_context.frame_size or None)
        for piece in itertools.chain(resampler.resample(frame), resampler.resample(None), [None]):
            out.mux(stream.encode(piece))
    return path


def bare_wav(path: Path, rows: Samples) -> Path:
    """As a telephone system writes it: no layout, only a number of channels."""
    with wave.open(str(path), "wb") as out:
        out.setparams((len(rows), 2, SAMPLE_RATE, 0, "NONE", ""))
        out.writeframes(np.ascontiguousarray(rows.T).tobytes())
    return path
