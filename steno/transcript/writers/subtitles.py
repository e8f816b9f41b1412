"""srt (SubRip) and vtt (W3C WebVTT), in readable cues or one a segment: see `steno.transcript.cues`."""

from collections.abc import Callable, Iterable, Iterator

from steno.transcript.cues import Cue, subtitles
from steno.transcript.model import Transcript
from steno.transcript.subtitle_options import SubtitleOptions
from steno.transcript.units import Piece

Written = tuple[str, tuple[str, ...]]
"""A text, and sentences on what of the options could not be kept."""
_Shown = tuple[float, float, str]


def write_srt(transcript: Transcript, options: SubtitleOptions) -> Written:
    """Numbered cues with a comma before the milliseconds. The first cue of a speaker's turn begins with the name."""
    made = subtitles(transcript, options, labels=True)
    shown = _in_order(each for cue in made.cues for each in _shown(cue, options, _plain))
    cues = (f"{number}\n{_span(start, end, ',')}\n{text}\n" for number, (start, end, text) in enumerate(shown, start=1))
    return "\n".join(cues), made.warnings


def write_vtt(transcript: Transcript, options: SubtitleOptions) -> Written:
    """Cues below the WEBVTT line; &, < and > escaped, as WebVTT's cue text asks. A speaker is the voice (`<v NAME>`) of a cue."""
    made = subtitles(transcript, options)
    shown = _in_order(
        (start, end, f"{_voice(cue, options)}{text}")
        for cue in made.cues
        for start, end, text in _shown(cue, options, _escaped)
    )
    cues = (f"{_span(start, end, '.')}\n{text}\n" for start, end, text in shown)
    return "\n".join(["WEBVTT\n", *cues]), made.warnings


def clock(seconds: float, mark: str) -> str:
    """HH:MM:SS and milliseconds behind `mark`; hours grow past two digits if they must."""
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{mark}{rest % 1000:03d}"


def _in_order(shown: Iterable[_Shown]) -> list[_Shown]:
    """By the moment of being shown, as both formats ask: cues of two channels at once come word by word where highlighted."""
    return sorted(shown, key=lambda each: each[0])


def _shown(cue: Cue, options: SubtitleOptions, write: Callable[[str], str]) -> Iterator[_Shown]:
    """The cue as it is, or as openai-whisper highlights: once a word, which is underlined (`<u>`), and plain in the pauses."""
    plain = _text(cue, write)
    if not options.highlight_words:
        yield cue.start, cue.end, plain
        return
    words = [piece for line in cue.lines for piece in line][cue.labeled :]
    last = cue.start
    for word in words:
        start, end = (round(min(max(time, last), cue.end), 3) for time in (word.start, word.end))
        if start > last:
            yield last, start, plain
        if end > start:
            yield start, end, _text(cue, write, highlighted=word)
        last = end
    if cue.end > last:
        yield last, cue.end, plain


def _text(cue: Cue, write: Callable[[str], str], highlighted: Piece | None = None) -> str:
    lines = [
        "".join(" " * piece.spaced + _marked(piece, write, piece is highlighted) for piece in line).strip()
        for line in cue.lines
    ]
    return "\n".join(lines)


def _marked(piece: Piece, write: Callable[[str], str], highlighted: bool) -> str:
    return f"<u>{write(piece.text)}</u>" if highlighted else write(piece.text)


def _voice(cue: Cue, options: SubtitleOptions) -> str:
    name = " ".join((cue.speaker or "").split()) if options.speaker_labels else ""
    return f"<v {_escaped(name)}>" if name else ""


def _span(start: float, end: float, mark: str) -> str:
    return f"{clock(start, mark)} --> {clock(end, mark)}"


def _plain(text: str) -> str:
    return text.replace("-->", "->")  # which would be read as the times of a cue


def _escaped(text: str) -> str:
    return _plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
