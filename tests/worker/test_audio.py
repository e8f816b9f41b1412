import io
import itertools
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import DATA
from steno.jobs.errors import AudioEmpty, AudioMissing, AudioTooLong, AudioUnreadable
from worker.audio import SAMPLE_RATE, Audio

FORMATS = {"wav": "pcm_s16le", "flac": "flac", "mp3": "mp3", "m4a": "aac", "ogg": "libopus", "webm": "libopus"}


def tone(seconds: float, rate: int, channels: int) -> NDArray[np.int16]:
    """440 Hz in every channel, interleaved."""
    wave = np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate) * 12_000
    return np.repeat(wave.astype(np.int16), channels).reshape(1, -1)


def write(path: Path, codec: str, *, seconds: float = 1.0, rate: int = 48_000, channels: int = 1) -> Path:
    layout = "mono" if channels == 1 else "stereo"
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(tone(seconds, rate, channels), format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(stream.format, layout, rate, stream.codec_context.frame_size or None)
        for piece in itertools.chain(resampler.resample(frame), resampler.resample(None), [None]):
            out.mux(stream.encode(piece))
    return path


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_gives_the_same_sound(tmp_path: Path, format: str) -> None:
    audio = Audio(write(tmp_path / f"a.{format}", FORMATS[format]))
    samples = audio.array()
    assert samples.dtype == np.float32
    assert audio.duration == pytest.approx(1.0, abs=0.06)
    assert audio.expected_duration == pytest.approx(1.0, abs=0.06)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * SAMPLE_RATE / samples.size == pytest.approx(440, abs=2)
    assert np.abs(samples).max() == pytest.approx(12_000 / 32_768, abs=0.05)
    assert audio.warnings == []


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_rate_and_both_channel_counts(tmp_path: Path, rate: int, channels: int) -> None:
    audio = Audio(write(tmp_path / "a.wav", "pcm_s16le", rate=rate, channels=channels))
    assert audio.array().size == pytest.approx(SAMPLE_RATE, abs=40)


@pytest.mark.parametrize("channel", [None, 0, 1])
def test_joined_files_of_other_rates_and_channels_are_one_recording(tmp_path: Path, channel: int | None) -> None:
    parts = [(44_100, 2), (22_050, 1), (44_100, 1), (48_000, 2)]
    whole = tmp_path / "joined.mp3"
    whole.write_bytes(
        b"".join(write(tmp_path / "a.mp3", "mp3", rate=rate, channels=number).read_bytes() for rate, number in parts)
    )
    audio = Audio(whole, channel=channel)
    samples = audio.array()
    assert audio.duration == pytest.approx(len(parts), abs=0.3)
    for second in range(len(parts)):
        heard = samples[int((second + 0.3) * SAMPLE_RATE) : int((second + 0.7) * SAMPLE_RATE)]
        spectrum = np.abs(np.fft.rfft(heard))
        assert np.argmax(spectrum) * SAMPLE_RATE / heard.size == pytest.approx(440, abs=5)


def test_a_wrong_extension_does_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", "flac").rename(tmp_path / "a.mp3")
    assert Audio(path).array().size == pytest.approx(SAMPLE_RATE, abs=40)


@pytest.mark.parametrize("name", ["exact-en-1.wav", "exact-en-4.mp3", "exact-en-6.flac"])
def test_a_truncated_file_gives_what_it_holds(tmp_path: Path, name: str) -> None:
    data = (DATA / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: len(data) // 2])
    audio = Audio(path)
    assert 1.0 < audio.array().size / SAMPLE_RATE < Audio(DATA / name).expected_duration
    assert len(audio.warnings) == (1 if name.endswith("flac") else 0)  # wav and mp3 do not tell their length


def test_damage_in_the_middle_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    data = bytearray((DATA / "exact-en-6.flac").read_bytes())
    data[40_000:44_000] = bytes(4_000)
    (tmp_path / "a.flac").write_bytes(data)
    audio = Audio(tmp_path / "a.flac")
    assert audio.array().size > 2 * SAMPLE_RATE
    assert len(audio.warnings) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF" + bytes(100), b"hello" * 1000, b"\xff\xfb\x90\x64", bytes(10_000), b"%PDF-1.7\n" + bytes(999)],
    ids=["nothing", "bare-riff", "text", "one-frame-head", "zeros", "pdf"],
)
def test_what_is_no_recording_is_said_to_be_unreadable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises((AudioUnreadable, AudioEmpty)):
        Audio(tmp_path / "a.wav").array()


def test_a_recording_deleted_before_it_is_opened_is_missing_and_no_failure_of_the_engine(tmp_path: Path) -> None:
    with pytest.raises(AudioMissing):
        Audio(tmp_path / "audio.wav")


def test_a_recording_deleted_once_it_was_opened_is_missing_where_it_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened = tmp_path / "audio.wav", av.open
    path.write_bytes((DATA / "en-1.wav").read_bytes())

    def opened_and_deleted(*asked: Any, **more: Any) -> Any:
        container = opened(*asked, **more)
        path.unlink()
        return container

    monkeypatch.setattr(av, "open", opened_and_deleted)
    audio = Audio(path)
    assert audio.expected_duration > 1
    with pytest.raises(AudioMissing):
        list(audio.blocks())


def test_a_wav_of_no_samples_is_empty(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
    with pytest.raises(AudioEmpty):
        Audio(tmp_path / "a.wav").array()


@pytest.mark.parametrize(
    "script",
    [
        "ffconcat version 1.0\nfile secret.wav\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.wav\n#EXT-X-ENDLIST\n",
        "[playlist]\nFile1=secret.wav\nNumberOfEntries=1\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet><Representation>'
        "<BaseURL>secret.wav</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    ],
    ids=["concat", "hls", "pls", "dash", "sdp"],
)
@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.m3u8", "a.ffconcat", "a.mpd"])
def test_a_file_that_points_elsewhere_is_never_followed(tmp_path: Path, script: str, name: str) -> None:
    write(tmp_path / "secret.wav", "pcm_s16le")
    (tmp_path / name).write_text(script)
    with pytest.raises((AudioUnreadable, AudioEmpty)):
        Audio(tmp_path / name).array()


def test_a_recording_over_the_longest_is_refused_while_decoding(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", "flac", seconds=3.0)
    with pytest.raises(AudioTooLong):
        Audio(path, longest=2.0).array()


@pytest.mark.parametrize("name", ["exact-en-1.wav", "exact-en-4.mp3", "exact-en-6.flac"])
def test_what_comes_after_the_moment_given_is_left_out_and_no_damage(name: str) -> None:
    audio = Audio(DATA / name, until=2.0)
    assert audio.expected_duration == 2.0
    samples = audio.array()
    assert audio.duration == samples.size / SAMPLE_RATE == pytest.approx(2.0, abs=0.3)
    assert np.array_equal(samples, Audio(DATA / name).array()[: samples.size])
    assert audio.warnings == []


def test_a_claimed_length_cannot_stretch_the_time_limit(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "a.wav", "pcm_s16le", rate=8_000).read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = (0x7FFF_FFFF).to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    audio = Audio(tmp_path / "a.wav")
    assert audio.expected_duration <= len(data) / 500
    assert audio.array().size == pytest.approx(SAMPLE_RATE, abs=40)


def test_blocks_are_small_whatever_the_length() -> None:
    blocks = list(Audio(DATA / "exact-en-1.wav").blocks())
    assert max(block.size for block in blocks) < SAMPLE_RATE
    assert sum(block.size for block in blocks) / SAMPLE_RATE == pytest.approx(11.385, abs=0.01)


def test_stereo_is_heard_from_both_sides(tmp_path: Path) -> None:
    left = np.zeros((1, 2 * 16_000), np.int16)
    left[0, ::2] = tone(1.0, 16_000, 1)[0]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="wav") as out:
        stream = out.add_stream("pcm_s16le", rate=16_000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(left, format="s16", layout="stereo")
        frame.sample_rate = 16_000
        out.mux(stream.encode(frame))
    (tmp_path / "a.wav").write_bytes(buffer.getvalue())
    assert np.abs(Audio(tmp_path / "a.wav").array()).max() > 0.1


def test_stretches_are_the_recording_cut_in_its_pauses() -> None:
    whole = Audio(DATA / "exact-en-1.wav").array()
    audio = Audio(DATA / "exact-en-1.wav")
    stretches = list(audio.stretches(3.0))
    assert np.array_equal(np.concatenate([samples for _, samples in stretches]), whole)
    assert all(samples.size <= 3 * SAMPLE_RATE for _, samples in stretches)
    ends = [start + samples.size / SAMPLE_RATE for start, samples in stretches]
    assert [start for start, _ in stretches] == pytest.approx([0.0, *ends[:-1]])
    assert audio.duration == pytest.approx(whole.size / SAMPLE_RATE)


def test_a_stretch_is_cut_where_it_is_quietest(tmp_path: Path) -> None:
    samples = tone(10.0, SAMPLE_RATE, 1)[0]
    samples[int(9.3 * SAMPLE_RATE) : int(9.7 * SAMPLE_RATE)] = 0
    with wave.open(str(tmp_path / "a.wav"), "wb") as out:
        out.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        out.writeframes(np.tile(samples, 2).tobytes())
    starts = [start for start, _ in Audio(tmp_path / "a.wav").stretches(10.0)]
    assert starts[1] == pytest.approx(9.5, abs=0.2)
