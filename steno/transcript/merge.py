"""What was heard on several channels as one transcript that reads as their conversation.

An engine's segment may hold half a minute of one voice, with all that the other said in it. So each is thought of as phrases:
what lies between the ends of sentences and pauses. The phrases of all channels are put in the order in which they begin, and
those that no one else begins to speak between stay one segment. No phrase is cut, however many talk at once: then segments of
different channels overlap.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from steno.transcript.breaks import ends_sentence
from steno.transcript.model import Segment, mean_confidence, share
from steno.transcript.units import Piece, units_in, written

PAUSE: Final = 0.5
"""Seconds of silence between two words at which another's words may come between them, though no sentence ends there."""


@dataclass(frozen=True)
class _Phrase:
    """Words of a segment, from the first to before the end, as they are written; all of it where it cannot be cut."""

    segment: Segment
    first: int
    end: int
    pieces: tuple[Piece, ...] = ()

    @property
    def start(self) -> float:
        return self.segment.words[self.first].start if self.segment.words else self.segment.start


def merged(channels: Mapping[str | None, Sequence[Segment]]) -> list[Segment]:
    """The segments of all channels, by name, each tidy: numbered anew, ordered by start, the channel's name on every word.

    Every word is there once, at its time, and in the order of its channel. Of those that begin at the same moment the channel
    that was given first comes first. A segment without words is one phrase; so is one whose text reads unlike its words.
    """
    phrases = [
        (phrase.start, name, (place, number), phrase)
        for place, (name, segments) in enumerate(channels.items())
        for number, segment in enumerate(segments)
        for phrase in _phrases(segment)
    ]
    phrases.sort(key=lambda each: (each[0], each[2]))
    told = groupby(phrases, key=lambda each: each[1:3])
    return [_segment(id, name, [phrase for *_, phrase in each]) for id, ((name, _), each) in enumerate(told)]


def _phrases(segment: Segment) -> Iterator[_Phrase]:
    words, units = segment.words, units_in(segment) if segment.words else []
    reads_alike = "".join(segment.text.split()) == "".join(word.text for word in words)
    if not reads_alike or sum(len(unit.pieces) for unit in units) != len(words):
        yield _Phrase(segment, 0, len(words))
        return
    first = 0
    pieces: list[Piece] = []
    for unit, following in zip(units, [*units[1:], None], strict=True):
        pieces += unit.pieces
        if following is None or ends_sentence(unit) or following.start - unit.end >= PAUSE:
            yield _Phrase(segment, first, first + len(pieces), tuple(pieces))
            first, pieces = first + len(pieces), []


def _segment(id: int, name: str | None, phrases: list[_Phrase]) -> Segment:
    """The phrases, which follow each other in one segment, as a segment: that one, if they are all of it."""
    whole = phrases[0].segment
    words = tuple(replace(word, speaker=name) for word in whole.words[phrases[0].first : phrases[-1].end])
    if len(words) == len(whole.words):
        return replace(whole, id=id, speaker=name, words=words)
    known = mean_confidence(words)
    confidence = whole.confidence if known is None else known
    text = written(piece for phrase in phrases for piece in phrase.pieces)
    return Segment(id, words[0].start, words[-1].end, text, share(confidence), name, words)
