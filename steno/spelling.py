"""What somebody who wrote a name that there is not may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def meant(name: str, known: Iterable[str]) -> str:
    """The end of a sentence on that name: "; did you mean 'model'?" where one that is known is near, and "." elsewhere."""
    near = get_close_matches(name, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else "."
