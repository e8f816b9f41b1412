"""WhisperX's segments as Steno's: which word times were found and which were reckoned, and none that is missing."""

import math
from collections.abc import Container, Iterator
from typing import Any, Final

from steno.transcript import Segment, Word
from steno.transcript import spread as evenly
from steno.transcript.model import mean_confidence
from worker.audio import SAMPLE_RATE

_MARGIN_SECONDS: Final = 0.1
"""By how much more sound than the voice detector cut out is shown to the aligner, on either side: a word that begins where the
cut does is placed late. On the known recordings the median error of word starts is 52 ms without it and 49 ms with it."""


def with_margin(heard: list[Any], samples: int) -> list[Any]:
    """The segments, each a little longer, but none into its neighbour or out of the recording.

    The voice detector lets the last one end up to a tenth of a second after the recording does, over which WhisperX would
    stretch the times of its words.
    """
    last = samples / SAMPLE_RATE
    heard = [{**one, "start": min(one["start"], last), "end": min(one["end"], last)} for one in heard]
    ends = [0.0, *(segment["end"] for segment in heard)]
    starts = [*(segment["start"] for segment in heard), last]
    moved = []
    for number, segment in enumerate(heard):
        before = _margin(segment["start"] - ends[number], shared=number > 0)
        after = _margin(starts[number + 1] - segment["end"], shared=number + 1 < len(heard))
        moved.append({**segment, "start": segment["start"] - before, "end": segment["end"] + after})
    return moved


def _margin(gap: float, *, shared: bool) -> float:
    return min(_MARGIN_SECONDS, max(0.0, gap / 2 if shared else gap))


def mark_estimated(segment: Any, letters: Container[str], language: str) -> Any:
    """The segment, its words flagged whose first or last letter the alignment model does not know ("42", "$5").

    WhisperX places those anywhere between their neighbours. A segment that it could not align at all is spread.
    """
    if not segment["words"]:
        return spread(segment, language)
    for word in segment["words"]:
        signs = [sign for sign in word["word"].lower() if sign.isalnum()]
        known = "score" in word and signs and signs[0] in letters and signs[-1] in letters
        word["estimated"] = not known
    return segment


def spread(segment: Any, language: str) -> Any:
    """A segment whose words take up its time by their length; none of them has a score."""
    words = evenly.spread(segment["text"], segment["start"], segment["end"], language)
    return {**segment, "words": [{"word": w.text, "start": w.start, "end": w.end, "estimated": True} for w in words]}


def segments(heard: list[Any], with_words: bool) -> Iterator[Segment]:
    """Steno's segments of WhisperX's. Confidence: the mean of the words' alignment scores, or else of the tokens' probability."""
    for segment in heard:
        words = tuple(_words(segment))
        confidence = mean_confidence(words)
        if confidence is None and "avg_logprob" in segment:
            confidence = math.exp(float(segment["avg_logprob"]))
        start, end = float(segment["start"]), float(segment["end"])
        text, speaker = segment["text"].strip(), segment.get("speaker")
        yield Segment(0, start, end, text, confidence, speaker, words if with_words else ())


def _words(segment: Any) -> Iterator[Word]:
    """A word that even interpolation left without times stands at the end of the one before it."""
    last = float(segment["start"])
    for word in segment.get("words", ()):
        start = _known(word.get("start"), last)
        last = _known(word.get("end"), start)
        score = word.get("score")
        confidence = None if score is None else float(score)
        yield Word(word["word"], start, last, confidence, word.get("speaker"), word.get("estimated", False))


def _known(time: Any, otherwise: float) -> float:
    return otherwise if time is None or math.isnan(time) else float(time)
