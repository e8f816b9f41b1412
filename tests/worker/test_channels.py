"""Calls made of known recordings, a speaker on each channel: each is heard as if it had been recorded alone."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from conftest import DATA, MODEL
from steno.config import Settings
from steno.jobs.errors import AudioEmpty, AudioTooLong, AudioUnreadable, TooManyChannels
from steno.jobs.options import Options
from steno.transcript import Transcript, Word
from steno.transcript.model import faults
from tests import sounds
from tests.calls import LEFT, RIGHT, SHIFT, Samples, bare_wav, call_of_two, spoken, together, write
from tests.hearing import events_of, hear, plain
from worker.audio import SAMPLE_RATE, Audio
from worker.channels import Channels, survey
from worker.model_cache import ModelCache

WHISPER = Options("faster-whisper", MODEL, channels="separate")
SPHINX = Options("pocketsphinx", "en-us", channels="separate")


@pytest.fixture(scope="module")
def models(model_dir: Path) -> ModelCache:
    return ModelCache(Settings(local_models=(f"faster-whisper:{MODEL}={model_dir}",), upload_dir=Path("/nowhere")))


def alone(models: ModelCache, path: Path, samples: Samples, options: Options) -> Transcript:
    """What the engine hears of one speaker's recording by itself."""
    return hear(models, bare_wav(path, samples[np.newaxis]), replace(options, channels="mix"))


def words_on(transcript: Transcript, speaker: str | None) -> list[Word]:
    """What is said on a channel, without its name."""
    said = [word for segment in transcript.segments for word in segment.words if word.speaker == speaker]
    return [replace(word, speaker=None) for word in said]


@pytest.fixture
def call(tmp_path: Path) -> Path:
    """A call of two."""
    return call_of_two(tmp_path / "call.wav")


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.wav", "pcm_s16le", WHISPER),
        ("a.flac", "flac", WHISPER),
        ("a.wav", "pcm_f32le", WHISPER),
        ("a.flac", "flac", SPHINX),
    ],
    ids=["wav", "flac", "float", "pocketsphinx"],
)
def test_each_channel_is_heard_as_if_it_had_been_recorded_alone(
    models: ModelCache, tmp_path: Path, name: str, codec: str, options: Options
) -> None:
    rows = together(spoken(LEFT), spoken(RIGHT, SHIFT))[:, : 4 * SAMPLE_RATE]
    heard = hear(models, write(tmp_path / name, rows, codec), options)
    assert faults(heard) == []
    assert heard.warnings == ()
    assert heard.duration == pytest.approx(rows.shape[1] / SAMPLE_RATE, abs=0.001)
    for number, row in enumerate(rows):
        own = alone(models, tmp_path / "alone.wav", row, options)
        assert own.segments
        assert words_on(heard, f"CHANNEL_{number}") == words_on(own, None)
    assert {segment.speaker for segment in heard.segments} == {"CHANNEL_0", "CHANNEL_1"}


def test_the_call_reads_as_a_conversation(models: ModelCache, call: Path, truth: dict[str, Any]) -> None:
    heard = hear(models, call, WHISPER)
    turns = [speaker for speaker, _ in itertools.groupby(segment.speaker for segment in heard.segments)]
    assert len(turns) >= 4
    for number, (name, shift) in enumerate(((LEFT, 0.0), (RIGHT, SHIFT))):
        words = words_on(heard, f"CHANNEL_{number}")
        known = truth[name]["words"]
        assert [word.text.strip(".,").lower() for word in words] == [word["word"] for word in known]
        late = sorted(abs(w.start - k["start"] - shift) for w, k in zip(words, known, strict=True))
        assert late[len(late) // 2] < 0.25


def test_channels_of_surround_sound_are_channels_like_any(models: ModelCache, tmp_path: Path) -> None:
    left, right = spoken(LEFT), spoken(RIGHT, SHIFT)
    nothing = np.zeros(1, np.int16)
    six = together(nothing, left, nothing, nothing, nothing, right)
    heard = hear(models, write(tmp_path / "six.wav", six), WHISPER)
    assert {segment.speaker for segment in heard.segments} == {"CHANNEL_1", "CHANNEL_5"}
    assert heard.warnings == ("Silent, so nothing was heard on it: channel 0, 2, 3, 4 of 6.",)
    four = survey(Audio(bare_wav(tmp_path / "four.wav", together(left, right, nothing, left))))
    assert four == Channels(4, (0, 1), silent=(2,), repeats=((3, 0),))
    assert list(four.warnings) == [
        "Channel 3 carries the same sound as channel 0; it was transcribed once.",
        "Silent, so nothing was heard on it: channel 2 of 4.",
    ]


def test_the_same_sound_on_both_channels_is_heard_once_and_is_nobodys(models: ModelCache, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", together(spoken(LEFT), spoken(LEFT)))
    events = events_of(models, path, WHISPER)
    assert [event.get("times") for event in events if event["event"] == "stage"][-1] == 1
    heard = hear(models, path, WHISPER)
    assert {segment.speaker for segment in heard.segments} == {None}
    assert heard.warnings == ("Channel 1 carries the same sound as channel 0; it was transcribed once.",)
    assert plain(heard) == plain(hear(models, path, replace(WHISPER, channels="mix")))


@pytest.mark.parametrize("codec", ["libmp3lame", "aac", "libopus", "flac"])
def test_the_same_sound_is_the_same_whatever_the_codec_made_of_it(tmp_path: Path, codec: str) -> None:
    path = write(tmp_path / "a.mkv", together(spoken(LEFT), spoken(LEFT)), codec)
    assert survey(Audio(path)) == Channels(2, (0,), repeats=((1, 0),))
    other = write(tmp_path / "b.mkv", together(spoken(LEFT), spoken(RIGHT)), codec)
    assert survey(Audio(other)) == Channels(2, (0, 1))


def test_a_silent_side_says_nothing_even_without_voice_detection(models: ModelCache, tmp_path: Path) -> None:
    hum = np.random.default_rng(0).integers(-8, 9, len(spoken(RIGHT))).astype(np.int16)  # A-law's silence is +-8
    path = write(tmp_path / "a.wav", together(hum, spoken(RIGHT)))
    heard = hear(models, path, replace(WHISPER, vad=False))
    assert {segment.speaker for segment in heard.segments} == {"CHANNEL_1"}
    assert heard.warnings == ("Silent, so nothing was heard on it: channel 0 of 2.",)


def test_one_channel_is_one_speaker_and_a_warning(models: ModelCache, tmp_path: Path) -> None:
    heard = hear(models, bare_wav(tmp_path / "a.wav", spoken(LEFT)[np.newaxis]), WHISPER)
    assert {word.speaker for segment in heard.segments for word in segment.words} == {"CHANNEL_0"}
    assert heard.warnings == ("The recording has one channel only, so its speakers cannot be told apart by channel.",)


def test_silence_on_every_channel_is_an_empty_transcript(models: ModelCache, tmp_path: Path) -> None:
    path = bare_wav(tmp_path / "a.wav", np.zeros((2, 3 * SAMPLE_RATE), np.int16))
    for options in (WHISPER, SPHINX):
        heard = hear(models, path, options)
        assert (heard.text, heard.duration, heard.warnings) == ("", 3.0, ())


def test_too_many_channels_are_refused_with_what_to_do(models: ModelCache, tmp_path: Path) -> None:
    path = bare_wav(tmp_path / "a.wav", np.ones((9, SAMPLE_RATE), np.int16))
    with pytest.raises(TooManyChannels, match=r"has 9 channels; at most 8 .* Leave out channels=separate"):
        hear(models, path, WHISPER)
    eight = bare_wav(
        tmp_path / "b.wav", np.arange(8, dtype=np.int16)[:, np.newaxis] * np.ones(SAMPLE_RATE, np.int16) * 99
    )
    assert survey(Audio(eight)) == Channels(8, tuple(range(1, 8)), (0,), ())


def test_channels_in_two_languages_are_said_to_be(models: ModelCache, tmp_path: Path, truth: dict[str, Any]) -> None:
    french, english = "exact-fr-5.flac", "exact-en-1.wav"
    path = write(tmp_path / "a.wav", together(spoken(french), spoken(english)))
    heard = hear(models, path, WHISPER)
    assert (heard.language, heard.language_probability is not None) == ("en", True)
    assert heard.warnings == (
        "Different languages were heard: CHANNEL_0 French, CHANNEL_1 English. `language` is that of the channel on which more is "
        "said.",
    )
    for number, name in enumerate((french, english)):
        words = [word.text.strip(".,").lower() for word in words_on(heard, f"CHANNEL_{number}")]
        assert words == [word["word"] for word in truth[name]["words"]]
    given = hear(models, path, replace(WHISPER, language="fr"))
    assert (given.language, given.language_probability, given.warnings) == ("fr", None, ())


def test_without_words_the_segments_are_put_in_order_uncut(models: ModelCache, call: Path) -> None:
    heard = hear(models, call, replace(WHISPER, word_timestamps=False))
    assert faults(heard) == []
    assert {segment.speaker for segment in heard.segments} == {"CHANNEL_0", "CHANNEL_1"}
    assert all(segment.words == () for segment in heard.segments)


def test_the_whole_is_told_at_once_and_its_progress_never_falls(models: ModelCache, call: Path) -> None:
    events = events_of(models, call, WHISPER)
    kinds = [event["event"] for event in events]
    assert kinds == sorted(kinds, key=["stage", "progress", "segment", "done"].index)
    shares = [event["share"] for event in events if event["event"] == "progress"]
    assert shares == sorted(shares)
    assert shares[0] < 0.5 < shares[-1] <= 1.0
    assert events[kinds.index("progress") - 1]["times"] == 2


def test_a_damaged_call_gives_what_it_holds_and_says_so_once(models: ModelCache, tmp_path: Path) -> None:
    data = (DATA / "en-call-stereo.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(data[: len(data) // 2])
    heard = hear(models, tmp_path / "a.flac", WHISPER)
    assert heard.warnings == ("The file is damaged or cut off; only what could be decoded was transcribed.",)
    assert {segment.speaker for segment in heard.segments} == {"CHANNEL_0", "CHANNEL_1"}
    assert faults(heard) == []


def test_what_is_no_recording_or_too_long_fails_as_it_always_does(
    models: ModelCache, tmp_path: Path, call: Path
) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(AudioUnreadable):
        hear(models, tmp_path / "a.wav", WHISPER)
    with pytest.raises(AudioEmpty):
        hear(models, bare_wav(tmp_path / "b.wav", np.zeros((2, 0), np.int16)), WHISPER)
    with pytest.raises(AudioTooLong):
        survey(Audio(call, longest=2.0))


def test_a_channel_is_decoded_to_the_sample(tmp_path: Path) -> None:
    rows = together(spoken(LEFT), spoken(RIGHT, SHIFT), spoken(LEFT, 1.0), spoken(RIGHT))
    for name, codec in (
        ("a.wav", "pcm_s16le"),
        ("b.wav", "pcm_s32le"),
        ("c.wav", "pcm_f64le"),
        ("e.wav", "pcm_s64le"),
        ("d.flac", "flac"),
    ):
        audio = Audio(write(tmp_path / name, rows, codec))
        assert audio.channels == 4
        for number, row in enumerate(rows):
            own = np.concatenate(list(audio.alone(number).blocks()))
            assert np.array_equal(own, row), (name, number)


@settings(parent=sounds.thorough, max_examples=5)
@given(
    channels=st.lists(sounds.pieces, min_size=2, max_size=3), options=sounds.any_of(("faster-whisper", "pocketsphinx"))
)
def test_whatever_is_on_the_channels_the_transcript_keeps_its_promises(
    models: ModelCache, tmp_path: Path, channels: list[NDArray[np.float32]], options: Options
) -> None:
    rows = together(*((np.clip(samples, -1, 1) * 32767).astype(np.int16) for samples in channels))
    heard = hear(models, bare_wav(tmp_path / "a.wav", rows), replace(options, channels="separate"))
    assert faults(heard) == []
    assert json.loads(json.dumps(heard.to_dict(), allow_nan=False)) == json.loads(json.dumps(heard.to_dict()))
    assert all(bool(segment.words) == options.word_timestamps for segment in heard.segments)
