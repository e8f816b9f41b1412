"""md: the transcript as plain Markdown (CommonMark) to read, with speakers and times."""

import re
from collections.abc import Iterator
from typing import Final

from steno.transcript import breaks
from steno.transcript.model import Transcript
from steno.transcript.subtitle_options import SubtitleOptions
from steno.transcript.units import Unit, units_of

_PAUSE: Final = 1.5
"""Seconds of silence after which a new paragraph begins."""
_LONG: Final = 600
"""Characters after which a paragraph ends with its sentence, so that there is a time to find the place by."""
_MARKUP: Final = re.compile(r"[\\`*\[\]<>&~]|(?<!\w)_|_(?!\w)")
_NO_LIMIT: Final = 1 << 30


def write_md(transcript: Transcript, options: SubtitleOptions) -> tuple[str, tuple[str, ...]]:
    """One paragraph a turn of speech: its time as [hh:mm:ss], the speaker in bold where one is known, the text."""
    paragraphs = (_written(paragraph, options) for paragraph in _paragraphs(transcript))
    return "\n".join(paragraphs), ()


def _paragraphs(transcript: Transcript) -> Iterator[list[Unit]]:
    paragraph: list[Unit] = []
    length = 0
    for unit in units_of(transcript, _NO_LIMIT):
        if paragraph and _ends(paragraph[-1], unit, length):
            yield paragraph
            paragraph, length = [], 0
        paragraph.append(unit)
        length += unit.width
    if paragraph:
        yield paragraph


def _ends(before: Unit, after: Unit, length: int) -> bool:
    turned = before.speaker != after.speaker or after.start - before.end >= _PAUSE
    return turned or (length >= _LONG and breaks.ends_sentence(before))


def _written(paragraph: list[Unit], options: SubtitleOptions) -> str:
    minutes, seconds = divmod(int(paragraph[0].start), 60)
    name = " ".join((paragraph[0].speaker or "").split()) if options.speaker_labels else ""
    said = "".join(" " * unit.space + unit.text for unit in paragraph).strip()
    bold = f"**{_escaped(name)}:** " if name else ""
    return f"[{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}] {bold}{_escaped(said)}\n"


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", text)
