"""A recording whose channels are heard each on its own, as calls are recorded: one channel, one speaker."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from steno.jobs.course import stages_of
from steno.jobs.errors import TooManyChannels
from steno.jobs.options import Options
from steno.languages import LANGUAGES
from steno.transcript import Segment
from steno.transcript.merge import merged
from steno.transcript.model import channel_name
from worker.audio import Audio
from worker.engines.base import Engine, Hearing, Report
from worker.listening import listen_to
from worker.planes import loudness, planes

MOST: Final = 8
"""Channels that are taken: each costs as much time as a recording of its own."""
_NOTHING: Final = 16 / 32_768
"""As loud as what says nothing may be at its loudest (-66 dBFS: what codecs of telephones make of silence stays below it), and
by how much channels may differ that carry the same sound."""


@dataclass(frozen=True)
class Channels:
    """What the channels of a recording hold, by number: those worth hearing, silent ones, and each that repeats another."""

    count: int
    worth_hearing: tuple[int, ...]
    silent: tuple[int, ...] = ()
    repeats: tuple[tuple[int, int], ...] = ()
    """Pairs: the channel, and the first one that carries the same sound."""

    @property
    def names(self) -> tuple[str | None, ...]:
        """The speakers of those worth hearing; nobody's where all that is heard was on several channels alike."""
        if len(self.worth_hearing) == 1 and self.repeats:
            return (None,)
        return tuple(map(channel_name, self.worth_hearing))

    @property
    def warnings(self) -> Iterator[str]:
        """Sentences on what kept speakers from being told apart."""
        if self.count == 1:
            yield "The recording has one channel only, so its speakers cannot be told apart by channel."
        for repeating, first in self.repeats:
            yield f"Channel {repeating} carries the same sound as channel {first}; it was transcribed once."
        if self.silent and len(self.silent) < self.count:
            yield f"Silent, so nothing was heard on it: channel {', '.join(map(str, self.silent))} of {self.count}."


def survey(audio: Audio) -> Channels:
    """Decode the recording once to see what its channels hold; its `duration` is known then. Nothing is kept in memory.

    Raises TooManyChannels, AudioTooLong.
    """
    if audio.channels > MOST:
        raise TooManyChannels(
            f"The recording has {audio.channels} channels; at most {MOST} are transcribed each on its own. "
            "Leave out channels=separate, or send fewer channels."
        )
    everyone = range(max(1, audio.channels))
    silent, alike = set(everyone), set(combinations(everyone, 2))
    for frame in audio.frames():
        if silent or alike:
            rows = loudness(planes(frame))
            rows = rows[[min(number, len(rows) - 1) for number in everyone]]  # broken files have fewer in between
            silent = {number for number in silent if _is_nothing(rows[number])}
            alike = {(one, other) for one, other in alike if _is_nothing(rows[one] - rows[other])}
    repeats = {other: one for one, other in sorted(alike, reverse=True) if one not in silent and other not in silent}
    worth = tuple(number for number in everyone if number not in silent and number not in repeats)
    return Channels(len(everyone), worth or (0,), tuple(sorted(silent)), tuple(sorted(repeats.items())))


def listen_apart(engine: Engine, audio: Audio, found: Channels, options: Options, report: Report) -> Hearing:
    """What the engine hears on each channel, one after the other, as one conversation; none is told of the others.

    The language is that of the channel on which most is said. Shares are reported of all the work, whatever the stage.
    """
    hearings: list[Hearing] = []
    heard: dict[str | None, list[Segment]] = {}
    warnings = list(found.warnings)
    for place, (number, name) in enumerate(zip(found.worth_hearing, found.names, strict=True)):
        alone = audio.alone(number)
        hearing = listen_to(engine, alone, options, _part(report, place, len(found.worth_hearing), options))
        heard[name] = list(hearing.segments)
        hearings.append(hearing)
        warnings += (*hearing.warnings, *alone.warnings)
        audio.duration = max(audio.duration, alone.duration)
    most = max(range(len(hearings)), key=[_seconds_said(segments) for segments in heard.values()].__getitem__)
    languages = {name: told.language for (name, said), told in zip(heard.items(), hearings, strict=True) if said}
    warnings += _of_languages(languages)
    return Hearing(
        hearings[most].language,
        hearings[most].language_probability,
        iter(merged(heard)),
        tuple(dict.fromkeys(warnings)),
    )


def _part(report: Report, place: int, count: int, options: Options) -> Report:
    """How the hearing of one channel reports: its stages one after the other fill its share of the whole."""
    stages = stages_of(options)

    def report_part(stage: str, share: float) -> None:
        report(stage, (place + (stages.index(stage) + share) / len(stages)) / count)

    return report_part


def _seconds_said(segments: Sequence[Segment]) -> float:
    return sum(part.end - part.start for segment in segments for part in segment.words or (segment,))


def _of_languages(languages: Mapping[str | None, str | None]) -> Iterator[str]:
    if len(set(languages.values())) > 1:
        told = ", ".join(f"{name} {LANGUAGES.get(code or '', 'unknown').title()}" for name, code in languages.items())
        yield f"Different languages were heard: {told}. `language` is that of the channel on which more is said."


def _is_nothing(samples: NDArray[Any]) -> bool:
    return not (np.abs(samples) > _NOTHING).any()
