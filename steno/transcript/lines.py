"""The text of one cue laid out in lines: as few as it needs, broken at good places, about equally long."""

from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import Final

from steno.transcript import breaks
from steno.transcript.units import Unit

_UNEVEN: Final = 6.0
_ORPHAN: Final = 8.0
"""For a line of a single word: worse than any break."""
_TOO_WIDE: Final = 1000.0
"""For each column too many."""


def lines_needed(units: Sequence[Unit], widest: int) -> int:
    """The least number of lines of `widest` columns that hold the units in their order."""
    filling = Filling(widest)
    for unit in units:
        filling.add(unit)
    return filling.lines


class Filling:
    """Lines filled one unit after the other, each as far as it goes: no other way needs fewer lines."""

    def __init__(self, widest: int) -> None:
        self.lines = 1
        self._widest = widest
        self._used = 0

    def add(self, unit: Unit) -> None:
        if self._used and self._used + unit.space + unit.width > self._widest:
            self.lines += 1
            self._used = unit.width
        else:
            self._used += (unit.space if self._used else 0) + unit.width


def laid_out(units: Sequence[Unit], widest: int, most: int, language: str | None) -> list[Sequence[Unit]]:
    """At most `most` lines. One is wider than `widest` only if a unit is, or a speaker's name with the word after it."""
    ends = [0, *accumulate(unit.space + unit.width for unit in units)]
    costs = breaks.costs(units, language)
    count = min(lines_needed(units, widest), most)
    ideal = max(1.0, ends[-1] / count)

    def line_cost(first: int, end: int) -> float:
        width = ends[end] - ends[first] - units[first].space
        worth = _UNEVEN * ((width - ideal) / ideal) ** 2 + _TOO_WIDE * max(0, width - widest)
        if end - first == 1 and len(units) > 2:
            worth += _ORPHAN
        return worth + (costs[end - 1] if end < len(units) else 0.0)

    @cache
    def best(first: int, left: int) -> tuple[float, tuple[int, ...]]:
        """The least cost of what follows in so many lines, and where these end."""
        if left == 1:
            return line_cost(first, len(units)), (len(units),)
        choices = []
        for end in range(first + 1, len(units) - left + 2):
            cost, later = best(end, left - 1)
            choices.append((line_cost(first, end) + cost, (end, *later)))
        return min(choices)

    _, cuts = best(0, min(count, len(units)))
    return [units[first:end] for first, end in zip((0, *cuts), cuts, strict=False)]
