"""Segments as openai-whisper's own results have them, for doors whose clients expect them so."""

import math
import zlib
from typing import Any, Final

from steno.transcript.model import Segment
from steno.transcript.units import is_unspaced, pieces_of

_LEAST_CONFIDENCE: Final = 0.0005
"""What a confidence of 0 may have been before it was rounded; 0 has no logarithm."""


def whisper_segment(segment: Segment, temperature: float = 0.0) -> dict[str, Any]:
    """Whisper's keys in its order, but for words. What Steno does not keep has a value that says nothing: docs/openai.md."""
    text = spaced(segment.text)
    return {
        "id": segment.id,
        "seek": round(segment.start * 100),
        "start": segment.start,
        "end": segment.end,
        "text": text,
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": log_confidence(segment.confidence) or 0.0,
        "compression_ratio": round(len(text.encode()) / len(zlib.compress(text.encode())), 3),
        "no_speech_prob": 0.0,
    }


def whisper_words(segment: Segment, language: str | None) -> list[dict[str, Any]]:
    """The segment's words with the spaces before them, so that they join to its text. None are made up."""
    told: list[dict[str, Any]] = []
    if not segment.words:
        return told
    for word, piece in zip(segment.words, pieces_of(segment, language), strict=True):
        text = f" {word.text}" if piece.spaced else word.text
        probability = {} if word.confidence is None else {"probability": word.confidence}
        speaker = {} if word.speaker is None else {"speaker": word.speaker}
        told.append({"word": text, "start": word.start, "end": word.end, **probability, **speaker})
    return told


def spaced(text: str) -> str:
    """A segment's text with the space before it with which texts can be joined; there is none in scripts without spaces."""
    return text if not text or is_unspaced(text[0]) else f" {text}"


def log_confidence(confidence: float | None) -> float | None:
    """The natural logarithm of a confidence, 0 being as little as it may be."""
    return None if confidence is None else round(math.log(max(confidence, _LEAST_CONFIDENCE)), 4)
