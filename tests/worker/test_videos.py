"""Videos, and every container whose sound an operator may allow: which track is heard, and what a file without one is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steno.jobs.errors import AudioUnreadable, NoAudioTrack
from tests.videos import cover, film, tone
from worker.audio import SAMPLE_RATE, Audio

BROKEN = "The file is damaged or cut off; only what could be decoded was transcribed."


def heard(audio: Audio) -> float:
    """The pitch that is loudest, in hertz."""
    samples = audio.array()
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * SAMPLE_RATE / samples.size)


@pytest.mark.parametrize(
    ("name", "codec", "more"),
    [
        ("a.mp4", "aac", {}),
        ("a.mp4", "aac", {"pictures": "libx264"}),
        ("a.mp4", "aac", {"movflags": "faststart"}),
        ("a.mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}),
        ("a.mp4", "libmp3lame", {}),
        ("a.m4v", "aac", {"container": "mp4"}),
        ("a.mov", "pcm_s16le", {}),
        ("a.3gp", "aac", {}),
        ("a.mkv", "aac", {}),
        ("a.mkv", "flac", {}),
        ("a.mkv", "ac3", {"pictures": "libx264"}),
        ("a.webm", "libopus", {"pictures": "libvpx"}),
        ("a.webm", "libopus", {"pictures": "libvpx-vp9"}),
        ("a.avi", "libmp3lame", {}),
        ("a.mpg", "mp2", {"pictures": "mpeg2video"}),
        ("a.mpeg", "mp2", {"pictures": "mpeg2video", "container": "mpeg"}),
        ("a.ts", "aac", {"pictures": "mpeg2video", "container": "mpegts"}),
        ("a.flv", "libmp3lame", {"pictures": "flv1", "rate": "44100"}),
        ("a.wmv", "wmav2", {"container": "asf"}),
        ("a.ogg", "libopus", {"pictures": None}),
        ("a.oga", "flac", {"pictures": None, "container": "ogg"}),
        ("a.opus", "libopus", {"pictures": None}),
        ("a.aac", "aac", {"pictures": None, "container": "adts"}),
        ("a.mpga", "libmp3lame", {"pictures": None, "container": "mp3"}),
        ("a.mka", "libopus", {"pictures": None, "container": "matroska"}),
        ("a.weba", "libopus", {"pictures": None, "container": "webm"}),
        ("a.wma", "wmav2", {"pictures": None, "container": "asf"}),
        ("a.aiff", "pcm_s16be", {"pictures": None}),
        ("a.caf", "alac", {"pictures": None}),
        ("a.au", "pcm_mulaw", {"pictures": None}),
        ("a.w64", "pcm_s16le", {"pictures": None}),
        ("a.wv", "wavpack", {"pictures": None}),
        ("a.ac3", "ac3", {"pictures": None}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_sound_of_every_container_is_heard(tmp_path: Path, name: str, codec: str, more: dict[str, Any]) -> None:
    audio = Audio(film(tmp_path / name, codec, tone(440, 2.0), **more))
    assert heard(audio) == pytest.approx(440, abs=2)
    assert audio.duration == pytest.approx(2.0, abs=0.1)
    assert audio.expected_duration == pytest.approx(2.0, abs=0.2)
    assert audio.warnings == []


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize(("default", "pitch"), [(0, 440), (1, 880), (2, 1320)])
def test_of_several_tracks_the_default_is_heard(tmp_path: Path, name: str, default: int, pitch: float) -> None:
    tones = [tone(440, 1.0), tone(880, 1.0), tone(1320, 1.0)]
    assert heard(Audio(film(tmp_path / name, "aac", *tones, default=default))) == pytest.approx(pitch, abs=3)


def test_the_first_of_several_is_heard_where_none_is_the_default(tmp_path: Path) -> None:
    quiet_first = [tone(440, 1.0) // 8, tone(880, 1.0)]
    assert heard(Audio(film(tmp_path / "a.mkv", "aac", *quiet_first, default=7))) == pytest.approx(440, abs=3)


def test_a_track_that_nothing_can_decode_is_passed_over(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", "aac", tone(440, 1.0), tone(880, 1.0), default=0)
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_ZZZ", 1))
    assert heard(Audio(path)) == pytest.approx(880, abs=3)
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_ZZZ"))
    with pytest.raises(AudioUnreadable, match="no audio that can be decoded"):
        Audio(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_a_video_without_sound_is_told_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(NoAudioTrack, match="has no audio track"):
        Audio(film(tmp_path / name, "aac"))


@pytest.mark.parametrize(("container", "codec"), [("mp3", "libmp3lame"), ("mp4", "aac"), ("flac", "flac")])
def test_the_picture_of_a_cover_does_not_matter(tmp_path: Path, container: str, codec: str) -> None:
    audio = Audio(cover(tmp_path / "a", codec, tone(440, 2.0), container))
    assert heard(audio) == pytest.approx(440, abs=2)
    assert audio.duration == pytest.approx(2.0, abs=0.1)
    assert audio.warnings == []


def test_pictures_are_not_decoded(tmp_path: Path) -> None:
    """Those of this film are nothing that could be."""
    path = film(tmp_path / "a.mkv", "aac", tone(440, 2.0), seconds=2.0)
    path.write_bytes(path.read_bytes().replace(b"\x00\x00\x01\xb6", b"\xff\xff\xff\xff"))
    audio = Audio(path)
    assert heard(audio) == pytest.approx(440, abs=2)
    assert audio.warnings == []


@pytest.mark.parametrize(("name", "codec", "pictures"), [("a.mkv", "aac", "mpeg4"), ("a.webm", "libopus", "libvpx")])
def test_a_video_whose_sound_ends_first_is_not_broken(tmp_path: Path, name: str, codec: str, pictures: str) -> None:
    audio = Audio(film(tmp_path / name, codec, tone(440, 2.0), seconds=6.0, pictures=pictures))
    assert audio.array().size == pytest.approx(2.0 * SAMPLE_RATE, abs=0.1 * SAMPLE_RATE)
    assert audio.warnings == []


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_a_video_that_is_cut_off_is(tmp_path: Path, name: str) -> None:
    path = film(tmp_path / name, "aac", tone(440, 8.0), seconds=8.0, movflags="faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    audio = Audio(path)
    assert 1.0 < audio.array().size / SAMPLE_RATE < 7.0
    assert audio.warnings == [BROKEN]


@pytest.mark.parametrize(
    ("container", "codec", "pictures"),
    [("webm", "libopus", "libvpx"), ("webm", "libopus", None), ("matroska", "aac", "mpeg4"), ("flac", "flac", None)],
)
def test_the_length_of_what_a_browser_recorded_is_found(
    tmp_path: Path, container: str, codec: str, pictures: str | None
) -> None:
    path = tmp_path / "a"
    audio = Audio(film(path, codec, tone(440, 3.0), container=container, pictures=pictures, piped=True))
    assert audio.expected_duration == pytest.approx(3.0, abs=0.1)
    assert heard(audio) == pytest.approx(440, abs=2)
    assert audio.warnings == []
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 0 < Audio(path).expected_duration < 3.0
