"""Transcript, segment, word: seconds as float with 3 decimals, confidences from 0 to 1, everything in order of time.

Segments are ordered by their start and none begins before the one before it has ended, but where channels were heard each on
its own: there people may speak at the same time, so only the segments of one channel (its name is their `speaker`) are apart.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

DECIMALS = 3

_CHANNEL: Final = "CHANNEL_"


def channel_name(number: int) -> str:
    """The speaker of what is heard on a channel, counted from 0."""
    return f"{_CHANNEL}{number}"


def channel_of(speaker: str | None) -> str | None:
    """The channel that a speaker is; None for everybody else. What is of one channel, or of none, does not overlap in time."""
    return speaker if speaker and speaker.startswith(_CHANNEL) else None


@dataclass(frozen=True)
class Word:
    """One spoken word, without surrounding space. `confidence` is None where the engine gives none.

    `estimated` where the times were not found in the sound but reckoned: from the words around it (a number that the alignment
    model has no letters for), or from the length of its segment (a translation, a language without an alignment model).
    """

    text: str
    start: float
    end: float
    confidence: float | None = None
    speaker: str | None = None
    estimated: bool = False


@dataclass(frozen=True)
class Segment:
    """A stretch of speech; `text` reads like its words, joined the way the language writes them.

    `speaker` is a name like SPEAKER_00 where voices were told apart, like CHANNEL_0 where channels were.
    """

    id: int
    start: float
    end: float
    text: str
    confidence: float | None = None
    speaker: str | None = None
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Transcript:
    """What was heard in one recording of `duration` seconds.

    `language` is a Whisper code and None if nothing was heard that could tell; `language_probability` is 0 to 1, and
    None where the language was given or cannot be anything else. `warnings` are sentences for a person. With task
    "translate" the text is English, whatever the language spoken. `model_version` is the commit of the model's hub or the
    first digits of its weights' SHA-256; `versions` those of Steno and of the libraries that did the work.
    """

    text: str
    language: str | None
    language_probability: float | None
    duration: float
    engine: str
    model: str
    segments: tuple[Segment, ...] = ()
    warnings: tuple[str, ...] = ()
    task: str = "transcribe"
    model_version: str | None = None
    versions: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers, fit for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Transcript":
        segments = tuple(segment_from_dict(segment) for segment in data["segments"])
        return cls(**{**data, "segments": segments, "warnings": tuple(data.get("warnings", ()))})


def segment_from_dict(data: dict[str, Any]) -> Segment:
    return Segment(**{**data, "words": tuple(Word(**word) for word in data["words"])})


def mean_confidence(words: Iterable[Word]) -> float | None:
    """The confidence of a segment: the mean of those of its words that have one; None if none has."""
    known = [word.confidence for word in words if word.confidence is not None]
    return sum(known) / len(known) if known else None


def joined(segments: Iterable[Segment]) -> str:
    """The text of a whole transcript."""
    return " ".join(segment.text for segment in segments if segment.text)


def tidy(segment: Segment, *, id: int, after: float, duration: float) -> Segment:
    """The segment as it may stand in a transcript: rounded, inside the recording, after `after`, its words in order.

    Engines give times a little past the end, and now and then words that overlap by a few milliseconds; a word is cut
    where the next begins, never dropped.
    """

    def inside(time: float, low: float) -> float:
        return round(min(max(time, low), max(duration, low)), DECIMALS)

    words, low = [], after
    for word in segment.words:
        start = inside(word.start, low)
        low = inside(word.end, start)
        words.append(replace(word, start=start, end=low, confidence=share(word.confidence)))
    start = words[0].start if words else inside(segment.start, after)
    end = words[-1].end if words else inside(segment.end, start)
    return replace(segment, id=id, start=start, end=end, confidence=share(segment.confidence), words=tuple(words))


def share(value: float | None) -> float | None:
    """A probability as it may stand in a transcript: 0 to 1, rounded."""
    return None if value is None else round(min(max(float(value), 0.0), 1.0), DECIMALS)


def faults(transcript: Transcript) -> list[str]:
    """What is wrong with a transcript, in sentences; empty for one that keeps every promise made above."""
    found, begun = [], 0.0
    ends: dict[str | None, float] = {}
    for position, segment in enumerate(transcript.segments):
        place, channel = f"segment {position}", channel_of(segment.speaker)
        last = ends.get(channel, 0.0)
        if segment.id != position:
            found.append(f"{place} has id {segment.id}")
        if not max(last, begun) <= segment.start <= segment.end <= transcript.duration:
            found.append(
                f"{place} lies at {segment.start}-{segment.end}, after {max(last, begun)} of {transcript.duration}"
            )
        found += _faults_of_words(segment, place, last)
        for confidence in (segment.confidence, *(word.confidence for word in segment.words)):
            if confidence is not None and not 0 <= confidence <= 1:
                found.append(f"{place} has confidence {confidence}")
        begun, ends[channel] = segment.start, max(last, segment.end)
    if transcript.text != joined(transcript.segments):
        found.append("the text differs from its segments")
    return found


def _faults_of_words(segment: Segment, place: str, last: float) -> Iterator[str]:
    if segment.words and _bare(segment.text) != _bare("".join(word.text for word in segment.words)):
        yield f"{place} reads unlike its words"
    for word in segment.words:
        if not last <= word.start <= word.end <= segment.end:
            yield f"{place}: '{word.text}' lies at {word.start}-{word.end}, after {last}"
        if not word.text or word.text != word.text.strip():
            yield f"{place} has a word of space: '{word.text}'"
        if channel_of(word.speaker) != channel_of(segment.speaker):
            yield f"{place}: '{word.text}' is of {word.speaker}, not of {segment.speaker}"
        last = word.end


def _bare(text: str) -> str:
    return "".join(text.split())
