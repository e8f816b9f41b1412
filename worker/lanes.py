"""How many deliveries may go one way at once, so that one slow receiver cannot fill every place."""

from dataclasses import dataclass
from typing import Final

_LONGEST_WAIT: Final = 60.0
_MEMORY: Final = 0.3


@dataclass
class Lane:
    """One way. Who finds it full is told when to come back: one after the other, at the pace that the lane has shown."""

    limit: int
    busy: int = 0
    seconds: float = 0.1
    """What a delivery takes here, the latest counting most."""
    free_at: float = 0.0
    """When those told to come back will have been served."""

    def full(self, now: float) -> float | None:
        """None if there is a place, else the moment to come back at."""
        if self.busy < self.limit:
            return None
        self.free_at = max(self.free_at, now) + self.seconds / self.limit
        return min(self.free_at, now + _LONGEST_WAIT)

    def leave(self, seconds: float) -> None:
        self.busy -= 1
        self.seconds += _MEMORY * (seconds - self.seconds)


class Lanes:
    """All ways, by name; those that nobody uses are forgotten."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}

    def enter(self, ways: dict[str, int], now: float) -> float | None:
        """Take a place in each way of these names and limits, or in none: then the moment to come back at."""
        lanes = [self._lanes.setdefault(name, Lane(limit)) for name, limit in ways.items()]
        full = [moment for lane in lanes if (moment := lane.full(now)) is not None]
        if full:
            self._forget(ways, now)
            return max(full)
        for lane in lanes:
            lane.busy += 1
        return None

    def leave(self, ways: dict[str, int], now: float, seconds: float) -> None:
        """Give the places back after so many seconds."""
        for name in ways:
            self._lanes[name].leave(seconds)
        self._forget(ways, now)

    def _forget(self, ways: dict[str, int], now: float) -> None:
        for name in ways:
            lane = self._lanes[name]
            if not lane.busy and lane.free_at <= now:
                del self._lanes[name]
