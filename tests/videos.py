"""Small videos, made with the encoders that PyAV brings: pictures of noise, and what is to be heard."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition
from numpy.typing import NDArray

RATE: Final = 48_000
_PICTURES_A_SECOND: Final = 5
_SIDE: Final = 32


class Piped:
    """A file that cannot be sought in, as of a browser that records, or of a pipe: its head is never mended."""

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write


def tone(hertz: float, seconds: float) -> NDArray[np.int16]:
    return (np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE) * 12_000).astype(np.int16)


def speech(path: Path) -> NDArray[np.int16]:
    """A recording as samples at 48 kHz."""
    resampler = AudioResampler("s16", "mono", RATE)
    with av.open(str(path)) as container:
        frames = [each for frame in container.decode(audio=0) for each in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in (*frames, *resampler.resample(None))])


def film(
    path: Path,
    codec: str,
    *sounds: NDArray[np.int16],
    pictures: str | None = "mpeg4",
    seconds: float = 1.0,
    default: int | None = None,
    container: str | None = None,
    piped: bool = False,
    **options: str,
) -> Path:
    """A video of so many seconds, with these sounds as audio tracks, of which one may be marked as the default.

    `options` are those of its container, whose format the path's name tells unless it is given.
    """
    with path.open("wb") as file:
        target: Any = Piped(file) if piped else str(path)
        with av.open(target, "w", format=container, options=options) as out:
            images = _pictures(out, pictures, seconds) if pictures else []
            tracks = [_track(out, codec) for _ in sounds]
            for number, track in enumerate(tracks):
                if default is not None:
                    track.disposition = Disposition.default if number == default else Disposition(0)
            for packet in images:
                out.mux(packet)
            for track, sound in zip(tracks, sounds, strict=True):
                _say(out, track, sound)
    return path


def cover(path: Path, codec: str, sound: NDArray[np.int16], container: str) -> Path:
    """A recording with a picture of its cover."""
    with av.open(str(path), "w", format=container) as out:
        track = _track(out, codec)
        (image, *_) = _pictures(out, "png", 1 / _PICTURES_A_SECOND)
        image.stream.disposition = Disposition.attached_pic
        _say(out, track, sound)
        out.mux(image)
    return path


def _track(out: OutputContainer, codec: str) -> AudioStream:
    stream = out.add_stream(codec, rate=RATE, layout="mono")
    assert isinstance(stream, AudioStream)
    stream.bit_rate = 96_000
    return stream


def _pictures(out: OutputContainer, codec: str, seconds: float) -> Sequence[Any]:
    stream = out.add_stream(codec, rate=_PICTURES_A_SECOND)
    assert isinstance(stream, av.VideoStream)
    stream.width = stream.height = _SIDE
    stream.pix_fmt = "rgb24" if codec == "png" else "yuv420p"
    packets = []
    for number in range(max(1, int(seconds * _PICTURES_A_SECOND))):
        noise = np.random.default_rng(number).integers(0, 255, (_SIDE, _SIDE, 3), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(noise, "rgb24").reformat(format=stream.pix_fmt)
        frame.pts, frame.time_base = number, Fraction(1, _PICTURES_A_SECOND)
        packets += stream.encode(frame)
    return [*packets, *stream.encode(None)]


def _say(out: OutputContainer, stream: AudioStream, sound: NDArray[np.int16]) -> None:
    frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
    resampler = AudioResampler(stream.format, "mono", RATE, stream.codec_context.frame_size or None)
    for piece in (*resampler.resample(frame), *resampler.resample(None), None):
        out.mux(stream.encode(piece))
