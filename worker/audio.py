"""Decode a recording, or the sound of a video, to what every engine takes: 16 kHz, mono, 16-bit integers or float32 from -1 to 1.

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
from av.stream import Disposition, Stream
from numpy.typing import NDArray

from steno.jobs.errors import AudioEmpty, AudioMissing, AudioTooLong, AudioUnreadable, NoAudioTrack
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
_LONGEST_PICTURE: Final = 2.0
"""Seconds for which the last picture of a video may be shown, which its packet need not tell."""
_FULL_SCALE: Final = 32_768.0
"""openai-whisper, WhisperX and faster-whisper all decode to 16 bits first; so their own results can be had here."""


class Audio:
    """A recording of at most `longest` seconds, decoded as it is asked for: in small blocks, or as one array. What comes after
    `until` seconds is left out.

    All its channels mixed into one, or only the channel asked for, counted from 0. `warnings` fills while decoding, with a
    sentence if the file broke off before its end.
    """

    def __init__(
        self, path: Path, longest: float = math.inf, until: float = math.inf, channel: int | None = None
    ) -> None:
        self._path = path
        self._longest = longest
        self._until = until
        self._channel = channel
        self.channels = 1
        """How many the recording has."""
        self.warnings: list[str] = []
        self._claim_is_exact = False
        self._whole = 0.0
        self.duration = 0.0
        """Seconds decoded so far; the recording's length once decoding is over."""
        self.expected_duration = min(self._probe(), until)
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
                    if self.duration >= self._until:
                        return
        except FFmpegError as error:
            if not heard:
                raise AudioUnreadable from error
            self._warn_broken()
        if not heard:
            raise AudioEmpty
        short = self.duration < self.expected_duration - _SHORT_SECONDS
        if short and (self._claim_is_exact or self._pictures_end_early()):
            self._warn_broken()

    def alone(self, channel: int) -> "Audio":
        """The same recording, of which only this channel is heard. It is decoded anew."""
        return Audio(self._path, self._longest, self._until, channel)

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
                stream = _track(container)
                self.channels = stream.channels
                whole = (container.duration or 0) / av.time_base  # as long as its longest track, be it pictures
                own = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
                if container.format.name not in _LENGTH_IS_A_GUESS:
                    self._claim_is_exact = bool(own) or (bool(whole) and len(container.streams) == 1)
                    self._whole = 0.0 if self._claim_is_exact else whole
                claimed = own or whole or _end(container, stream)
                return min(max(0.0, claimed), container.size / _FEWEST_BYTES_A_SECOND)
        except FFmpegError as error:
            raise AudioUnreadable from error

    def _pictures_end_early(self) -> bool:
        """Whether a video without a length of its own for the sound is cut off, not just one whose sound ends first."""
        with self._open() as container:
            return _end(container) < self._whole - _LONGEST_PICTURE

    def _open(self) -> InputContainer:
        try:
            return av.open(str(self._path), options=_OPTIONS)
        except FileNotFoundError as error:  # its job was deleted a moment ago
            raise AudioMissing from error

    def _frames(self, container: InputContainer) -> Iterator[AudioFrame]:
        """One channel at SAMPLE_RATE. Joined files change their rate or channels on the way: each part has its own resampler."""
        resampler, known = None, None
        for sound in self._sound(container):
            frame = sound if self._channel is None else only(sound, self._channel)
            setup = frame.format.name, frame.layout.name, frame.sample_rate
            if resampler is None or setup != known:
                if resampler is not None:
                    yield from resampler.resample(None)
                resampler, known = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE), setup
            yield from resampler.resample(frame)
        if resampler is not None:
            yield from resampler.resample(None)

    def _sound(self, container: InputContainer) -> Iterator[AudioFrame]:
        stream = _track(container)
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


def _track(container: InputContainer) -> AudioStream:
    """The audio track marked as the default, or else the first, of those that can be decoded here.

    Raises NoAudioTrack, and AudioUnreadable where no decoder knows any. Pictures are passed over undecoded, cover art, too.
    """
    tracks = container.streams.audio
    if not tracks and len(container.streams):
        raise NoAudioTrack
    known = [track for track in tracks if track.codec_context is not None]
    if not known:
        raise AudioUnreadable
    return next((track for track in known if track.disposition & Disposition.default), known[0])


def _end(container: InputContainer, *tracks: AudioStream) -> float:
    """Seconds at which the last packet ends, of these tracks or of any: a whole pass over the file, decoding nothing.

    What browsers record, or what was piped, does not know its own length.
    """
    ends: dict[Stream, int] = {}
    with contextlib.suppress(FFmpegError):
        for packet in container.demux(*tracks):
            ends[packet.stream] = max(ends.get(packet.stream, 0), (packet.pts or 0) + (packet.duration or 0))
    return max((float(end * (track.time_base or 0)) for track, end in ends.items()), default=0.0)


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
