"""Formats a transcript is written in: a table from name to writer. A writer is a function from transcript to text."""

from collections.abc import Callable
from dataclasses import dataclass

from steno.transcript.model import Transcript
from steno.transcript.writers.plain import write_json, write_tsv, write_txt
from steno.transcript.writers.subtitles import write_srt, write_vtt


@dataclass(frozen=True)
class Writer:
    """How to write a format, and the media type it is served as."""

    write: Callable[[Transcript], str]
    media_type: str


WRITERS: dict[str, Writer] = {
    "json": Writer(write_json, "application/json"),
    "txt": Writer(write_txt, "text/plain; charset=utf-8"),
    "srt": Writer(write_srt, "application/x-subrip; charset=utf-8"),
    "vtt": Writer(write_vtt, "text/vtt; charset=utf-8"),
    "tsv": Writer(write_tsv, "text/tab-separated-values; charset=utf-8"),
}
