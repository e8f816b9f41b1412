"""srt (SubRip) and vtt (W3C WebVTT): one cue a segment."""

from steno.transcript.model import Segment, Transcript


def write_srt(transcript: Transcript) -> str:
    """Numbered cues with a comma before the milliseconds."""
    cues = (
        f"{number}\n{_span(segment, ',')}\n{_cue_text(segment)}\n"
        for number, segment in enumerate(transcript.segments, start=1)
    )
    return "\n".join(cues)


def write_vtt(transcript: Transcript) -> str:
    """Cues below the WEBVTT line; &, < and > escaped, as WebVTT's cue text asks."""
    cues = (f"{_span(segment, '.')}\n{_escaped(_cue_text(segment))}\n" for segment in transcript.segments)
    return "\n".join(["WEBVTT\n", *cues])


def clock(seconds: float, mark: str) -> str:
    """HH:MM:SS and milliseconds behind `mark`; hours grow past two digits if they must."""
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{mark}{rest % 1000:03d}"


def _span(segment: Segment, mark: str) -> str:
    return f"{clock(segment.start, mark)} --> {clock(segment.end, mark)}"


def _cue_text(segment: Segment) -> str:
    """On one line, since a blank line would end the cue; `-->` would start another."""
    return " ".join(segment.text.split()).replace("-->", "->")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
