"""What an engine hears, without service or process around it, for tests and their expectations."""

import re
from pathlib import Path
from typing import Any

from steno.config import Settings
from steno.jobs.options import Options
from steno.transcript import Transcript
from steno.transcript.model import joined, segment_from_dict
from worker.horse import listen
from worker.model_cache import ModelCache


def events_of(cache: ModelCache, path: Path, options: Options) -> list[dict[str, Any]]:
    """The events of one job, done in this process."""
    events: list[dict[str, Any]] = []
    listen({"path": str(path), "options": options.to_dict()}, cache, events.append)
    return events


def hear(cache: ModelCache, path: Path, options: Options) -> Transcript:
    """The transcript of one job, done in this process."""
    *others, done = events_of(cache, path, options)
    segments = tuple(segment_from_dict(event["segment"]) for event in others if event["event"] == "segment")
    return Transcript(
        joined(segments),
        done["language"],
        done["language_probability"],
        done["duration"],
        options.engine,
        options.model,
        segments,
        tuple(done["warnings"]),
        options.task,
        done["model_version"],
        done["versions"],
    )


def plain(transcript: Transcript) -> list[str]:
    """The words, in small letters and without punctuation, as tests/data/truth.json has them."""
    return [re.sub(r"\W", "", word.text).lower() for segment in transcript.segments for word in segment.words]


def settings_from(environment: dict[str, str]) -> Settings:
    """The settings that a process with this environment would have, but for what the tests' own environment says."""
    fields = {field.validation_alias: name for name, field in Settings.model_fields.items()}
    told: dict[str, Any] = {fields[name]: value for name, value in environment.items() if name in fields}
    return Settings(**told)
