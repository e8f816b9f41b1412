"""Decode a recording to what every engine takes: 16 kHz, mono, as 16-bit integers or as float32 from -1 to 1.

PyAV carries FFmpeg's libraries, so no ffmpeg program is needed. Only containers that hold their own audio are opened:
a playlist or a concat script, whatever its name, is not among them and is never followed.
"""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from numpy.typing import NDArray

from steno.jobs.errors import AudioEmpty, AudioTooLong, AudioUnreadable
from worker.planes import only

SAMPLE_RATE: Final = 16_000
"""Samples a second, as every engine here expects."""

_SELF_CONTAINED: Final = (
    "3gp,aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,flv,m4a,matroska,mov,mp3,mp4,mpeg,mpegts,ogg,tta,w64,wav,webm,wv"
)
_OPTIONS: Final = {"format_whitelist": _SELF_CONTAINED, "protocol_whitelist": "file", "enable_drefs": "0"}

_FEWEST_BYTES_A_SECOND: Final = 500
"""4 kbit/s: no speech codec gets by on less, so a file that claims to be longer is lying."""
_LENGTH_IS_A_GUESS: Final = ("mp3", "aac", "ac3", "eac3", "amr", "mpeg", "mpegts")
"""Formats without a length of their own: FFmpeg guesses it from the bit rate."""
_SHORT_SECONDS: Final = 0.2
"""By how much a recording may end before its claimed length without counting as cut off."""
_FULL_SCALE: Final = 32_768.0
"""openai-whisper, WhisperX and faster-whisper all decode to 16 bits first; so their own results can be had here."""


class Audio:
    """A recording of at most `longest` seconds, decoded as it is asked for: in small blocks, or as one array.

    All its channels mixed into one, or only the channel asked for, counted from 0. `warnings` fills while decoding, with a
    sentence if the file broke off before its end.
    """

    def __init__(self, path: Path, longest: float = math.inf, channel: int | None = None) -> None:
        self._path = path
        self._longest = longest
        self._channel = channel
        self.channels = 1
        """How many the recording has."""
        self.warnings: list[str] = []
        self._claim_is_exact = False
        self.duration = 0.0
        """Seconds decoded so far; the recording's length once decoding is over."""
        self.expected_duration = self._probe()
        """Seconds the container claims, 0 if it does not say. For progress and time limits only: files lie."""

    def blocks(self) -> Iterator[NDArray[np.int16]]:
        """Consecutive pieces of the recording, some 1000 samples each.

        Raises AudioUnreadable or AudioEmpty if there is not one sample, AudioTooLong once `longest` seconds are passed.
        """
        heard = 0
        try:
            with self._open() as container:
                for frame in self._frames(container):
                    samples = frame.to_ndarray().reshape(-1).astype(np.int16, copy=False)
                    heard += samples.size
                    self.duration = heard / SAMPLE_RATE
                    if self.duration > self._longest:
                        raise AudioTooLong
                    yield samples
        except FFmpegError as error:
            if not heard:
                raise AudioUnreadable from error
            self._warn_broken()
        if not heard:
            raise AudioEmpty
        if self._claim_is_exact and self.duration < self.expected_duration - _SHORT_SECONDS:
            self._warn_broken()

    def alone(self, channel: int) -> "Audio":
        """The same recording, of which only this channel is heard. It is decoded anew."""
        return Audio(self._path, self._longest, channel)

    def frames(self) -> Iterator[AudioFrame]:
        """The recording as its codec gives it, every channel at its own rate. Raises AudioTooLong once it is.

        Ends where nothing more can be decoded; whether that is the end of the recording is for `blocks` to say.
        """
        self.duration = 0.0
        with contextlib.suppress(FFmpegError), self._open() as container:
            for frame in self._sound(container):
                self.duration += frame.samples / frame.sample_rate
                if self.duration > self._longest:
                    raise AudioTooLong
                yield frame

    def array(self) -> NDArray[np.float32]:
        """The whole recording: 4 bytes a sample, 230 MB an hour (half as much again while it is made)."""
        return np.concatenate([samples for _, samples in self.stretches(math.inf)])

    def stretches(self, longest: float) -> Iterator[tuple[float, NDArray[np.float32]]]:
        """The recording in consecutive pieces of at most `longest` seconds, each with the second at which it starts.

        Cut where it is quietest within the last tenth of a piece, so that hardly a word is ever cut.
        """
        pcm, start = bytearray(), 0
        for block in self.blocks():
            pcm += block.tobytes()
            while len(pcm) // 2 >= longest * SAMPLE_RATE:
                samples = _floats(pcm[: 2 * int(longest * SAMPLE_RATE)])
                cut = _quietest(samples, from_=samples.size * 9 // 10)
                yield start / SAMPLE_RATE, samples[:cut]
                del pcm[: 2 * cut]
                start += cut
        if pcm:
            yield start / SAMPLE_RATE, _floats(pcm)

    def _probe(self) -> float:
        try:
            with self._open() as container:
                stream = container.streams.audio[0]
                self.channels = stream.channels
                self._claim_is_exact = container.format.name not in _LENGTH_IS_A_GUESS
                claimed = (container.duration or 0) / av.time_base
                if stream.duration and stream.time_base:
                    claimed = float(stream.duration * stream.time_base)
                return min(max(0.0, claimed), self._path.stat().st_size / _FEWEST_BYTES_A_SECOND)
        except (FFmpegError, IndexError) as error:
            raise AudioUnreadable from error

    def _open(self) -> InputContainer:
        return av.open(str(self._path), options=_OPTIONS)

    def _frames(self, container: InputContainer) -> Iterator[AudioFrame]:
        resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        for frame in self._sound(container):
            yield from resampler.resample(frame if self._channel is None else only(frame, self._channel))
        yield from resampler.resample(None)

    def _sound(self, container: InputContainer) -> Iterator[AudioFrame]:
        stream = container.streams.audio[0]
        stream.codec_context.thread_type = "AUTO"
        for packet in container.demux(stream):
            for frame in self._decoded(packet):
                frame.pts = None  # broken files jump in time; what was said still follows what was said before
                yield frame

    def _decoded(self, packet: "Packet[AudioStream]") -> list[AudioFrame]:
        """The frames of a packet; a damaged packet is passed over with a warning, as a player would."""
        try:
            return list(packet.decode())
        except FFmpegError:
            self._warn_broken()
            return []

    def _warn_broken(self) -> None:
        sentence = "The file is damaged or cut off; only what could be decoded was transcribed."
        if sentence not in self.warnings:
            self.warnings.append(sentence)


def _floats(pcm: bytearray) -> NDArray[np.float32]:
    samples = np.frombuffer(pcm, np.int16).astype(np.float32)
    samples /= np.float32(_FULL_SCALE)
    return samples


def _quietest(samples: NDArray[np.float32], from_: int) -> int:
    """The middle of the frame of 0.2 s with the least energy, behind `from_`; the end if there is not one frame."""
    frame = SAMPLE_RATE // 5
    frames = samples[from_:][: (samples.size - from_) // frame * frame].reshape(-1, frame)
    if not len(frames):
        return int(samples.size)
    return from_ + int(np.argmin(np.square(frames).sum(axis=1))) * frame + frame // 2
