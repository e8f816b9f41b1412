"""A transcript as a row of units: what must stay together on one line, with times, speaker, and how well one may break after it.

The words of a segment say when; its text says where the language writes a space. Words between which there is none are one
unit ("well", "-known"), but in scripts without spaces, where a line may break after most characters. Punctuation stays
with the word that it closes or opens.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from steno.transcript.model import Segment, Transcript
from steno.transcript.spread import with_words

_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff00-\uff9f\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer; CJK punctuation, kana, Han: scripts in which words are not parted by spaces."""
_CLOSING: Final = frozenset(".,;:!?…%)]}»”’\"'-–—、。，．；：！？）］｝」』】〉》〕")
"""What begins no line, even after a space ("vrai ?")."""
_DEPENDENT: Final = frozenset("・ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ")
"""What begins no line, unless a space is written before it: small kana and marks that belong to what they follow."""
_OPENING: Final = frozenset("([{«“‘¿¡（［｛「『【〈《〔")
"""What ends no line."""


@dataclass(frozen=True)
class Piece:
    """A word as the engine gave it, or a part of one; `spaced` where a space is written before it."""

    text: str
    spaced: bool
    start: float
    end: float
    speaker: str | None = None


@dataclass(frozen=True)
class Unit:
    """What is never broken. `width` in columns, without the space before it. A label is a speaker's name, not a word."""

    pieces: tuple[Piece, ...]
    text: str
    width: int
    is_label: bool = False

    @property
    def start(self) -> float:
        return self.pieces[0].start

    @property
    def end(self) -> float:
        return self.pieces[-1].end

    @property
    def speaker(self) -> str | None:
        return self.pieces[0].speaker

    @property
    def space(self) -> int:
        """Columns of the space before it: 0 or 1."""
        return int(self.pieces[0].spaced)


def columns(text: str) -> int:
    """How wide a text is printed: a full-width character (East Asian Width W or F, Unicode's UAX 11) counts as two."""
    return len(text) + sum(unicodedata.east_asian_width(sign) in "WF" for sign in text if sign > "\u10ff")


def is_unspaced(sign: str) -> bool:
    """Whether a character is of a script that puts no spaces between words."""
    return _UNSPACED.match(sign) is not None


def language_of(transcript: Transcript) -> str | None:
    """The code of the language that the text is written in, which is not always the one spoken."""
    return "en" if transcript.task == "translate" else transcript.language


def units_of(transcript: Transcript, widest: int) -> list[Unit]:
    """Every word once and in order. One wider than `widest` columns, of a script without spaces, is parted by character."""
    units: list[Unit] = []
    for segment in transcript.segments:
        before = units[-1] if units else None
        for group in _glued(pieces_of(segment, language_of(transcript))):
            for part in _narrow(group, widest):
                units.append(_unit(part, before))
                before = None
    return units


def units_in(segment: Segment) -> list[Unit]:
    """The words of one segment, those together that must not be parted."""
    return [_unit(group, None) for group in _glued(pieces_of(segment, None))]


def pieces_of(segment: Segment, language: str | None) -> Iterator[Piece]:
    """The words of a segment as they are written; without words, its text's, with times by their share of characters."""
    words = [word for word in with_words(segment, language).words if word.text.split()]
    spaces = _spaces_before(segment.text)
    lengths = [len("".join(word.text.split())) for word in words]
    known = sum(lengths) == len(spaces)  # else the text reads unlike its words: those are what was heard
    at = 0
    for word, length in zip(words, lengths, strict=True):
        spaced = spaces[at] if known else True
        at += length
        yield Piece(" ".join(word.text.split()), spaced, word.start, word.end, word.speaker or segment.speaker)


def label(speaker: str, at: float) -> Unit:
    """A speaker's name before what is said."""
    text = f"{' '.join(speaker.split())}:"
    return Unit((Piece(text, True, at, at, speaker),), text, columns(text), is_label=True)


def written(pieces: Iterable[Piece]) -> str:
    """The pieces as text, without space around it."""
    return "".join(f" {piece.text}" if piece.spaced else piece.text for piece in pieces).strip()


def _spaces_before(text: str) -> list[bool]:
    """For each character but spaces, whether a space comes before it; the first of a segment counts as spaced."""
    return [bool(space) for space, _ in re.findall(r"(\s*)(\S)", f" {text.strip()}")]


def _narrow(group: list[Piece], widest: int) -> Iterator[list[Piece]]:
    if columns(written(group)) <= widest:
        yield group
    else:
        yield from _glued(part for piece in group for part in _parted(piece))


def _parted(piece: Piece) -> Iterator[Piece]:
    """A word by character, as far as it is of a script without spaces; each has its share of the time."""
    parts = re.findall(rf"(\s?)({_UNSPACED.pattern}|(?:(?!{_UNSPACED.pattern})\S)+)", piece.text)
    each = (piece.end - piece.start) / sum(len(part) for _, part in parts)
    start, spaced = piece.start, piece.spaced
    for number, (space, part) in enumerate(parts):
        end = start + each * len(part) if number + 1 < len(parts) else piece.end
        yield Piece(part, spaced if number == 0 else bool(space), start, end, piece.speaker)
        start = end


def _glued(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    group: list[Piece] = []
    for piece in pieces:
        if group and not _belong_together(group[-1], piece):
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


def _belong_together(before: Piece, after: Piece) -> bool:
    if before.speaker != after.speaker:
        return False
    if _CLOSING.issuperset(after.text) or _OPENING.issuperset(before.text):
        return True
    if after.spaced:
        return False
    first = after.text[0]
    if _DEPENDENT.issuperset(after.text) or unicodedata.category(first).startswith("M"):
        return True
    return not (is_unspaced(before.text[-1]) or is_unspaced(first))


def _unit(group: list[Piece], before: Unit | None) -> Unit:
    """`before` is the end of the segment before, where this is the beginning of one."""
    first = group[0]
    told_on = before is not None and before.speaker == first.speaker
    if before and told_on and is_unspaced(before.text[-1]) and is_unspaced(first.text[0]):
        first = replace(first, spaced=False)
    text = written(group)
    return Unit((first, *group[1:]), text, columns(text))
