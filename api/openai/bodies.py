"""A transcript in the shapes that OpenAI answers with."""

import json
from collections.abc import Iterator
from typing import Any, Final

from fastapi import Response
from fastapi.responses import JSONResponse, PlainTextResponse

from api.openai.fields import AudioFields
from steno.languages import LANGUAGES
from steno.transcript import Segment, Transcript, Word
from steno.transcript.whisper import log_confidence, whisper_segment
from steno.transcript.writers import WRITERS

_NOBODY: Final = "unknown"
"""The speaker of words of which nobody could say who spoke them."""


def written(transcript: Transcript, told: AudioFields) -> Response:
    """The answer in the format asked for."""
    match told.response_format:
        case "text":
            return PlainTextResponse(transcript.text + "\n")
        case "srt" | "vtt" as name:
            media_type = WRITERS[name].media_type if name == "vtt" else None
            return PlainTextResponse(WRITERS[name].write(transcript), media_type=media_type)
        case "verbose_json":
            return JSONResponse(verbose(transcript, told))
        case "diarized_json":
            return JSONResponse(diarized(transcript))
        case _:
            return JSONResponse(plain(transcript, told.wants_logprobs))


def usage(transcript: Transcript) -> dict[str, Any]:
    """What was listened to, in seconds."""
    return {"type": "duration", "seconds": transcript.duration}


def plain(transcript: Transcript, with_logprobs: bool) -> dict[str, Any]:
    """The format json."""
    more = {"logprobs": logprobs(transcript)} if with_logprobs else {}
    return {"text": transcript.text, **more, "usage": usage(transcript)}


def logprobs(transcript: Transcript) -> list[dict[str, Any]]:
    """An entry a word, since Steno keeps no tokens: the natural logarithm of its confidence, where it has one."""
    told: list[dict[str, Any]] = []
    for word in (word for segment in transcript.segments for word in segment.words):
        token = f" {word.text}" if told else word.text
        known = {} if word.confidence is None else {"logprob": log_confidence(word.confidence)}
        told.append({"token": token, "bytes": list(token.encode()), **known})
    return told


def verbose(transcript: Transcript, told: AudioFields) -> dict[str, Any]:
    """The format verbose_json."""
    body: dict[str, Any] = {
        "task": told.task,
        "language": "english" if told.task == "translate" else LANGUAGES.get(transcript.language or "", "unknown"),
        "duration": transcript.duration,
        "text": transcript.text,
    }
    if told.wants_segments:
        body["segments"] = [whisper_segment(segment, told.temperature or 0.0) for segment in transcript.segments]
    if told.wants_words:
        words = (word for segment in transcript.segments for word in segment.words)
        body["words"] = [{"word": word.text, "start": word.start, "end": word.end} for word in words]
    return {**body, "usage": usage(transcript)}


def diarized(transcript: Transcript) -> dict[str, Any]:
    """The format diarized_json."""
    return {
        "task": "transcribe",
        "duration": transcript.duration,
        "text": transcript.text,
        "segments": turns(transcript),
        "usage": usage(transcript),
    }


def turns(transcript: Transcript) -> list[dict[str, Any]]:
    """Segments of one speaker each. Speakers are A, B and so on, in the order in which they begin to speak."""
    names: dict[str | None, str] = {None: _NOBODY}
    told: list[dict[str, Any]] = []
    for start, end, text, speaker in (turn for segment in transcript.segments for turn in _turns(segment)):
        name = names.setdefault(speaker, _letters(len(names) - 1))
        id = f"seg_{len(told) + 1:03d}"
        told.append(
            {"type": "transcript.text.segment", "id": id, "start": start, "end": end, "text": text, "speaker": name}
        )
    return told


def _turns(segment: Segment) -> Iterator[tuple[float, float, str, str | None]]:
    """The segment, cut where its words change hands. A word of nobody goes to the speaker beside it."""
    runs: list[list[Word]] = []
    for word in segment.words:
        if runs and (word.speaker is None or _speaker(runs[-1]) in (None, word.speaker)):
            runs[-1].append(word)
        else:
            runs.append([word])
    if len(runs) < 2:
        yield segment.start, segment.end, segment.text, segment.speaker
        return
    begin = 0
    for run, following in zip(runs, [*runs[1:], None], strict=True):
        end = _end_of(run, segment.text, begin) if following else len(segment.text)
        yield run[0].start, run[-1].end, segment.text[begin:end].strip(), _speaker(run)
        begin = end


def _speaker(words: list[Word]) -> str | None:
    return next((word.speaker for word in words if word.speaker), None)


def _end_of(run: list[Word], text: str, begin: int) -> int:
    """Where in the segment's text the words end, which begin there."""
    for word in run:
        found = text.find(word.text, begin)
        begin = begin if found < 0 else found + len(word.text)
    return begin


def _letters(number: int) -> str:
    """A to Z, then AA and so on."""
    first, last = divmod(number, 26)
    return (_letters(first - 1) if first else "") + chr(ord("A") + last)


def event(data: dict[str, Any]) -> bytes:
    """One event of Server-Sent Events, as OpenAI has them: without a name, which is in the data."""
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
