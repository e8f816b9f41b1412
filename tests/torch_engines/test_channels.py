"""Channels heard one after the other by the engines that hold a whole recording in memory."""

from dataclasses import replace
from pathlib import Path

import pytest

from conftest import MODEL
from steno.jobs.options import Options
from steno.transcript.model import faults
from tests.calls import LEFT, RIGHT, bare_wav, spoken, together, write
from tests.hearing import events_of, hear
from worker.model_cache import ModelCache

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("engine", ["whisperx", "timestamped"])
def test_each_channel_is_heard_as_if_it_had_been_recorded_alone(cache: ModelCache, tmp_path: Path, engine: str) -> None:
    options = Options(engine, MODEL, channels="separate")
    rows = together(spoken(LEFT), spoken(RIGHT))
    path = write(tmp_path / "call.wav", rows)
    heard = hear(cache, path, options)
    assert faults(heard) == []
    for number, row in enumerate(rows):
        own = hear(cache, bare_wav(tmp_path / "alone.wav", row[None]), replace(options, channels="mix"))
        said = [word for segment in heard.segments for word in segment.words if word.speaker == f"CHANNEL_{number}"]
        assert [replace(word, speaker=None) for word in said] == [w for segment in own.segments for w in segment.words]
    events = events_of(cache, path, options)
    shares = [event["share"] for event in events if event["event"] == "progress"]
    assert shares == sorted(shares)
    stages = [event["stage"] for event in events if event["event"] == "progress"]
    assert stages.count("aligning") >= 2 or engine == "timestamped"
