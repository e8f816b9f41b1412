"""Times for words that no engine could place: their segment's, shared out by length, and flagged as estimated."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from steno.transcript.model import Segment, Word

_WITHOUT_SPACES: Final = frozenset({"zh", "ja", "yue", "th", "lo", "my", "km"})
"""Languages whose words are not parted by spaces: there each character counts as a word, as it does for Whisper."""


def spread(text: str, start: float, end: float, language: str | None) -> Iterator[Word]:
    """The words of a text, one after the other from `start` to `end` (seconds), each as long as it has letters."""
    words = [sign for sign in text if not sign.isspace()] if language in _WITHOUT_SPACES else text.split()
    letters = sum(map(len, words))
    each = (end - start) / letters if letters else 0.0
    for word in words:
        yield Word(word, start, start + each * len(word), estimated=True)
        start += each * len(word)


def with_words(segment: Segment, language: str | None) -> Segment:
    """The segment, with spread words if it has text but none: an engine now and then loses them."""
    if segment.words or not segment.text:
        return segment
    return replace(segment, words=tuple(spread(segment.text, segment.start, segment.end, language)))
