"""How subtitles shall be made: what may be asked, within which bounds, and of which format."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

Cues = Literal["readable", "segments"]


@dataclass(frozen=True)
class SubtitleOptions:
    """The defaults are those of the usual subtitling guides: 42 characters a line, 2 lines, 17 characters a second.

    A character that is printed twice as wide (Chinese, Japanese, Korean) counts as two, so that one measure fits all
    scripts. `cues="segments"` makes each segment of the engine one cue on one line, whatever its length.
    """

    max_line_width: int = 42
    max_lines: int = 2
    max_characters_per_second: float = 17.0
    highlight_words: bool = False
    speaker_labels: bool = True
    cues: Cues = "readable"


BOUNDS: Final = {"max_line_width": (10, 1000), "max_lines": (1, 10), "max_characters_per_second": (5, 100)}
"""The least and the most that may be asked for."""
_READABLE_ONLY: Final = ("max_line_width", "max_lines", "max_characters_per_second")


class SubtitleOptionRefused(ValueError):
    """An option that would be ignored or is out of bounds: `field` names it, the message is a sentence."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def chosen(format: str, honoured: Collection[str], **asked: Any) -> SubtitleOptions:
    """The options for a format that honours those named. `asked` are fields of SubtitleOptions; None means not asked for.

    Raises SubtitleOptionRefused for what the format would ignore, and for a number out of bounds.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    for name, value in given.items():
        if name not in honoured:
            others = f" It takes {', '.join(honoured)} only." if honoured else ""
            raise SubtitleOptionRefused(name, f"Format '{format}' does not take {name}; leave it out.{others}")
        if name in _READABLE_ONLY and given.get("cues") == "segments":
            raise SubtitleOptionRefused(
                name, f"With cues=segments, {name} would change nothing; leave one of them out."
            )
        low, high = BOUNDS.get(name, (value, value))
        if not low <= value <= high:
            raise SubtitleOptionRefused(name, f"{name} is a number from {low} to {high}, not {value}.")
    return SubtitleOptions(**given)


ALL: Final = tuple(field.name for field in fields(SubtitleOptions))
"""The names of all options: what srt and vtt honour."""
