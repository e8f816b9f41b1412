"""A transcript in the five bodies of whisper-asr-webservice, byte for byte as the writers of openai-whisper make them.

Where segments have speakers, WhisperX's: openai-whisper has none.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from steno.languages import LANGUAGES
from steno.transcript import Segment, Transcript
from steno.transcript.units import language_of
from steno.transcript.whisper import spaced, whisper_segment, whisper_words
from steno.transcript.writers.subtitles import clock

_UNDETERMINED: Final = "und"
"""ISO 639's code for it, which Bazarr understands."""


def _txt(transcript: Transcript) -> str:
    return "".join(f"{_named(segment)}{segment.text}\n" for segment in transcript.segments)


def _vtt(transcript: Transcript) -> str:
    return "WEBVTT\n\n" + "".join(_cues(transcript, _short_clock))


def _srt(transcript: Transcript) -> str:
    cues = enumerate(_cues(transcript, lambda seconds: clock(seconds, ",")), start=1)
    return "".join(f"{number}\n{cue}" for number, cue in cues)


def _tsv(transcript: Transcript) -> str:
    told = (
        (str(round(1000 * segment.start)), str(round(1000 * segment.end)), segment.text.replace("\t", " "))
        for segment in transcript.segments
    )
    return "".join("\t".join(row) + "\n" for row in [("start", "end", "text"), *told])


def _json(transcript: Transcript) -> str:
    """The language is the one spoken, of a translation, too."""
    segments = [_segment(segment, language_of(transcript)) for segment in transcript.segments]
    text = "".join(spaced(segment.text) for segment in transcript.segments)
    return json.dumps({"text": text, "segments": segments, "language": transcript.language})


def written(transcript: Transcript, output: str, with_words: bool) -> str:
    """The body of that name; of a name there is not, the text, as the original has it."""
    if not with_words:
        segments = tuple(replace(segment, words=()) for segment in transcript.segments)
        transcript = replace(transcript, segments=segments)
    return BODIES.get(output, _txt)(transcript)


BODIES: Final[dict[str, Callable[[Transcript], str]]] = {
    "txt": _txt, "vtt": _vtt, "srt": _srt, "tsv": _tsv, "json": _json,
}  # fmt: skip


def detected(transcript: Transcript) -> dict[str, Any]:
    """The answer of `/detect-language`. An engine that knows one language only is sure of it."""
    code = transcript.language
    if code is None:
        return {"detected_language": "unknown", "language_code": _UNDETERMINED, "confidence": 0.0}
    sure = transcript.language_probability
    confidence = 1.0 if sure is None else sure
    return {"detected_language": LANGUAGES[code], "language_code": code, "confidence": confidence}


def _cues(transcript: Transcript, write: Callable[[float], str]) -> Iterator[str]:
    for segment in transcript.segments:
        yield f"{write(segment.start)} --> {write(segment.end)}\n{_named(segment)}{segment.text.replace('-->', '->')}\n\n"


def _short_clock(seconds: float) -> str:
    """Without hours where there are none."""
    return clock(seconds, ".").removeprefix("00:")


def _named(segment: Segment) -> str:
    return f"[{segment.speaker}]: " if segment.speaker else ""


def _segment(segment: Segment, language: str | None) -> dict[str, Any]:
    words = {"words": whisper_words(segment, language)} if segment.words else {}
    speaker = {"speaker": segment.speaker} if segment.speaker else {}
    return {**whisper_segment(segment), **words, **speaker}
