"""json, txt and tsv."""

import json

from steno.transcript.model import Transcript


def write_json(transcript: Transcript) -> str:
    """The whole transcript as one JSON object, as `GET /status` gives it in `result`."""
    return json.dumps(transcript.to_dict(), ensure_ascii=False, indent=2) + "\n"


def write_txt(transcript: Transcript) -> str:
    """One line a segment; nothing for silence."""
    return "".join(f"{segment.text}\n" for segment in transcript.segments)


def write_tsv(transcript: Transcript) -> str:
    """start, end, text with a header; times in whole milliseconds, as openai-whisper writes them, so that no locale's
    decimal comma can spoil them."""
    rows = [
        f"{segment.start * 1000:.0f}\t{segment.end * 1000:.0f}\t{_flat(segment.text)}"
        for segment in transcript.segments
    ]
    return "\n".join(["start\tend\ttext", *rows]) + "\n"


def _flat(text: str) -> str:
    return " ".join(text.split())
