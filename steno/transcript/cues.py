"""Readable subtitles from a transcript: which words share a cue, when it is shown, and how it is laid out.

The measures are those of the usual guides (Netflix Timed Text Style Guide, BBC Subtitle Guidelines). Where to cut is found
for each stretch of speech as a whole: of all ways, the one whose cues together cost least. So a cue may be shorter than it
could be, if that makes the next one end at a comma.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from steno.transcript import breaks
from steno.transcript.lines import Filling, laid_out
from steno.transcript.model import DECIMALS, Transcript, channel_of
from steno.transcript.subtitle_options import SubtitleOptions
from steno.transcript.units import Piece, Unit, columns, label, language_of, pieces_of, units_of, written

SHORTEST: Final = 5 / 6
"""Seconds that a cue is shown at least, if there is silence to show it in."""
LONGEST: Final = 7.0
"""Seconds that a cue is shown at most."""
GAP: Final = 1 / 12
"""Seconds left free before the next cue where a cue is shown on after its last word: two frames of film."""
PAUSE: Final = 1.5
"""Seconds of silence that always end a cue."""
_TICK: Final = 0.001
"""Seconds; what rounding may cost, and the least that a cue may last."""

_MOST_UNITS: Final = 140
"""Words (or characters) a cue: nobody says more in 7 seconds, but engines give words that last no time."""

_EACH: Final = 1.5
_SHORT: Final = 4.0
_LONE_WORD: Final = 2.0
_SENTENCE_INSIDE: Final = 2.0
_SILENCE_INSIDE: Final = 3.0
_TOO_FAST: Final = 0.2
"""For each character that the time does not suffice for."""


@dataclass(frozen=True)
class Cue:
    """What is shown from `start` to `end` (seconds). A line holds the words said, and in front the label where there is one."""

    start: float
    end: float
    lines: tuple[tuple[Piece, ...], ...]
    speaker: str | None = None
    labeled: bool = False
    """Whether the first piece is the speaker's name instead of a word."""

    @property
    def text(self) -> str:
        return "\n".join(map(written, self.lines))

    @property
    def speed(self) -> float:
        """Characters a second, wide ones counted twice, a line break like a space."""
        return columns(self.text) / max(self.end - self.start, _TICK)


@dataclass(frozen=True)
class Subtitles:
    """Cues in the order in which they appear; only those of different channels are ever shown at once.

    `warnings` are sentences on what could not be kept.
    """

    cues: tuple[Cue, ...]
    warnings: tuple[str, ...] = ()


def subtitles(transcript: Transcript, options: SubtitleOptions, *, labels: bool = False) -> Subtitles:
    """With `labels` a speaker's name is written before the first words of each turn, and counts as text to be read."""
    labels = labels and options.speaker_labels
    if options.cues == "segments":
        return Subtitles(tuple(_whole_segments(transcript, labels)))
    units = units_of(transcript, options.max_line_width)
    cues = list(_readable(units, transcript.duration, options, language_of(transcript), labels))
    kept = tuple(_apart(cues, transcript.duration))
    return Subtitles(kept, tuple(_warnings(kept, options)))


def _readable(
    units: list[Unit], duration: float, options: SubtitleOptions, language: str | None, labels: bool
) -> Iterator[Cue]:
    """Cues of every stretch in the order in which they begin. One into which somebody speaks goes on behind that as a stretch
    of its own, so that each cue follows on what it is read after, and names who speaks where that is another."""
    waiting = [
        (stretch[0].start, number, stretch) for number, stretch in enumerate(_stretches(units))
    ]  # a heap already
    told: str | None = None
    while waiting:
        start, number, stretch = heapq.heappop(waiting)
        speaker, following = stretch[0].speaker, waiting[0][0] if waiting else math.inf
        if labels and speaker and speaker != told:
            stretch = [label(speaker, start), *stretch]
        told = speaker
        cutter = _Cutter(stretch, min(following - GAP, duration), options, language)
        for first, end in cutter.cuts():
            if stretch[first].start > following:
                heapq.heappush(waiting, (stretch[first].start, number, stretch[first:]))
                break
            yield cutter.cue(first, end)


def _whole_segments(transcript: Transcript, labels: bool) -> Iterator[Cue]:
    told: str | None = None
    for segment in transcript.segments:
        line = tuple(pieces_of(segment, language_of(transcript)))
        labeled = bool(labels and segment.speaker and segment.speaker != told)
        if labeled and segment.speaker:
            line = (*label(segment.speaker, segment.start).pieces, *line)
        told = segment.speaker
        yield Cue(segment.start, segment.end, (line,), segment.speaker, labeled)


def _stretches(units: list[Unit]) -> Iterator[list[Unit]]:
    """Units without a long pause or another speaker between them."""
    stretch: list[Unit] = []
    for unit in units:
        if stretch and (unit.speaker != stretch[-1].speaker or unit.start - stretch[-1].end >= PAUSE):
            yield stretch
            stretch = []
        stretch.append(unit)
    if stretch:
        yield stretch


class _Cutter:
    """Cuts one stretch of speech into cues; after it there is silence until `until` (seconds)."""

    def __init__(self, units: Sequence[Unit], until: float, options: SubtitleOptions, language: str | None) -> None:
        self._units = units
        self._options = options
        self._language = language
        self._breaks = [*breaks.costs(units, language), breaks.SENTENCE]
        self._limits = [unit.start - GAP for unit in units[1:]] + [until]

    def cuts(self) -> Iterator[tuple[int, int]]:
        """The first unit of each cue, and the one behind its last."""
        count = len(self._units)
        least, cut_at = [0.0] + [float("inf")] * count, [0] * (count + 1)
        for first in range(count):
            for end, cost in self._from(first):
                if least[first] + cost < least[end]:
                    least[end], cut_at[end] = least[first] + cost, first
        cuts = [count]
        while cuts[-1] > 0:
            cuts.append(cut_at[cuts[-1]])
        for end, first in reversed(list(pairwise(cuts))):
            yield first, end

    def _from(self, first: int) -> Iterator[tuple[int, float]]:
        """Each place where a cue that begins here may end, and what such a cue costs."""
        units, options = self._units, self._options
        filling, needed = Filling(options.max_line_width), 1 + units[first].is_label  # a name is never shown alone
        width, inside = 0, 0.0
        for last in range(first, len(units)):
            unit = units[last]
            filling.add(unit)
            count = last - first + 1
            fits = filling.lines <= options.max_lines and unit.end - units[first].start <= LONGEST
            if count > needed and not (fits and count <= _MOST_UNITS):
                return
            if last > first:
                width += unit.space
                inside += _SENTENCE_INSIDE * (self._breaks[last - 1] == breaks.SENTENCE)
                inside += _SILENCE_INSIDE * max(0.0, unit.start - units[last - 1].end - SHORTEST / 2)
            width += unit.width
            if count >= needed:
                yield last + 1, inside + self._cost(first, last + 1, width)

    def _cost(self, first: int, end: int, width: int) -> float:
        options, units = self._options, self._units
        shown = self._shown_until(first, end, width) - units[first].start
        cost = _EACH + (width / (options.max_line_width * options.max_lines)) ** 2 + self._breaks[end - 1]
        cost += _SHORT * max(0.0, 1 - shown / SHORTEST)
        cost += _TOO_FAST * max(0.0, width - shown * options.max_characters_per_second)
        return cost + _LONE_WORD * (end - first == 1 and len(units) > 1)

    def _shown_until(self, first: int, end: int, width: int) -> float:
        """The end of the last word; later, where there is silence, if the cue could not be read by then."""
        start, spoken = self._units[first].start, self._units[end - 1].end
        readable = start + max(SHORTEST, width / self._options.max_characters_per_second)
        return min(max(spoken, min(readable, self._limits[end - 1])), start + LONGEST)

    def cue(self, first: int, end: int) -> Cue:
        """These units as a cue."""
        units, options = self._units[first:end], self._options
        lines = laid_out(units, options.max_line_width, options.max_lines, self._language)
        width = sum(unit.space + unit.width for unit in units) - units[0].space
        pieces = tuple(tuple(piece for unit in line for piece in unit.pieces) for line in lines)
        until = self._shown_until(first, end, width)
        return Cue(units[0].start, until, pieces, units[0].speaker, units[0].is_label)


def _apart(cues: list[Cue], duration: float) -> list[Cue]:
    """The cues in their order with times to the millisecond, none shown before the one before it of its channel has gone.

    Each is shown for a millisecond at least: engines give words that last no time at all.
    """
    starts = [round(cue.start, DECIMALS) for cue in cues]
    channels = [channel_of(cue.speaker) for cue in cues]
    before: dict[str | None, float] = {}
    for number, channel in enumerate(channels):
        free = before.get(channel, -_TICK) + _TICK
        before[channel] = starts[number] = max(starts[number], free, starts[number - 1] if number else 0.0)
    after: dict[str | None, float] = {}
    kept: list[Cue] = []
    for cue, start, channel in zip(reversed(cues), reversed(starts), reversed(channels), strict=True):
        then = after.get(channel, duration)
        start = round(min(start, then - _TICK, kept[-1].start if kept else duration), DECIMALS)
        end = min(max(round(cue.end, DECIMALS), start + _TICK), then)
        kept.append(replace(cue, start=start, end=round(end, DECIMALS)))
        after[channel] = start
    return kept[::-1]


def _warnings(cues: tuple[Cue, ...], options: SubtitleOptions) -> Iterator[str]:
    speed = options.max_characters_per_second
    if fast := [cue for cue in cues if columns(cue.text) > (cue.end - cue.start + _TICK) * speed]:
        yield (
            f"Faster than {speed:g} characters a second: {len(fast)} of {len(cues)} cues, the fastest at "
            f"{max(cue.speed for cue in fast):.0f}. So is the speech, and too little silence follows."
        )
    if short := sum(cue.end - cue.start < SHORTEST - _TICK for cue in cues):
        yield f"Shown for less than {SHORTEST:.2f} seconds: {short} of {len(cues)} cues. Other words follow at once."
    if wide := sum(columns(written(line)) > options.max_line_width for cue in cues for line in cue.lines):
        yield f"Wider than {options.max_line_width} characters: {wide} lines. So is a word, and words are not split."
