"""In which order a worker asks its queues: what is urgent first, yet nothing waits for ever."""

from typing import Final

from steno.jobs.record import PRIORITIES

_FIRST_ASKED: Final = ("high", "high", "normal", "high", "high", "normal", "high", "high", "normal", "low")
"""Whose turn it is to be asked first. So of ten jobs at least one comes from the low queues, if any waits there, and three from
the normal ones."""


class Turns:
    """`order` gives (engine, priority) pairs for the next job; engines of equal priority take turns."""

    def __init__(self, engines: tuple[str, ...]) -> None:
        self._engines = list(engines)
        self._turn = 0

    def taken(self, engine: str) -> None:
        """A job of this engine was taken: the others come before it next time."""
        self._turn += 1
        self._engines.remove(engine)
        self._engines.append(engine)

    def order(self) -> list[tuple[str, str]]:
        first = _FIRST_ASKED[self._turn % len(_FIRST_ASKED)]
        priorities = (first, *(priority for priority in PRIORITIES if priority != first))
        return [(engine, priority) for priority in priorities for engine in self._engines]
