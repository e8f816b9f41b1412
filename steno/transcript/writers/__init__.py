"""Formats a transcript is written in: a table from name to writer. A writer makes text of a transcript and subtitle options."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from steno.transcript.model import Transcript
from steno.transcript.subtitle_options import ALL, SubtitleOptions, chosen
from steno.transcript.writers.markdown import write_md
from steno.transcript.writers.plain import write_json, write_tsv, write_txt
from steno.transcript.writers.subtitles import Written, write_srt, write_vtt

_DEFAULTS: Final = SubtitleOptions()


@dataclass(frozen=True)
class Writer:
    """How to write a format, the media type it is served as, what it is, and which of the subtitle options it honours.

    `make` gives the text, and sentences on what of the options could not be kept.
    """

    make: Callable[[Transcript, SubtitleOptions], Written]
    media_type: str
    about: str
    honours: tuple[str, ...] = ()

    def write(self, transcript: Transcript, options: SubtitleOptions = _DEFAULTS) -> str:
        """The text alone."""
        return self.make(transcript, options)[0]


def _plain(write: Callable[[Transcript], str]) -> Callable[[Transcript, SubtitleOptions], Written]:
    return lambda transcript, options: (write(transcript), ())


WRITERS: Final[dict[str, Writer]] = {
    "json": Writer(
        _plain(write_json), "application/json", "The whole transcript: segments, words, times, confidences, speakers."
    ),
    "txt": Writer(_plain(write_txt), "text/plain; charset=utf-8", "One line a segment."),
    "srt": Writer(write_srt, "application/x-subrip; charset=utf-8", "SubRip subtitles.", ALL),
    "vtt": Writer(write_vtt, "text/vtt; charset=utf-8", "WebVTT subtitles, for browsers.", ALL),
    "tsv": Writer(
        _plain(write_tsv),
        "text/tab-separated-values; charset=utf-8",
        "Start, end (milliseconds) and text of each segment, as openai-whisper writes them.",
    ),
    "md": Writer(
        write_md,
        "text/markdown; charset=utf-8",
        "To read: paragraphs by speaker and pause, each with its time.",
        ("speaker_labels",),
    ),
}


def options_for(format: str, **asked: Any) -> SubtitleOptions:
    """The options for one of the formats; None means not asked for. Raises SubtitleOptionRefused, KeyError."""
    return chosen(format, WRITERS[format].honours, **asked)
