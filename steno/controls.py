"""Characters by which a text could steer what shows it: a terminal, or the lines around it."""

import unicodedata
from typing import Final

_TURNS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn the direction of what follows (Unicode's UAX 9)."""


def steers(character: str) -> bool:
    """Whether it is a control character, ends a line, or turns the direction of what follows."""
    return unicodedata.category(character) in ("Cc", "Zl", "Zp") or character in _TURNS
