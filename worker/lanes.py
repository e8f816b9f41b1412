"""How many deliveries may go one way at once, so that one slow receiver cannot fill every place; and who waits for a place."""

from collections import Counter
from typing import Final

Ways = dict[str, int]
"""The lanes that a delivery takes, by name, each with how many may be in it."""

MOST_WAITING: Final = 10_000
"""More are not remembered; they come back by themselves when they are due again."""


class Lanes:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._busy: Counter[str] = Counter()
        self._waiting: dict[str, dict[str, Ways]] = {}
        """By the lane that was full, the jobs that wait for it, the first one first."""

    def enter(self, job_id: str, ways: Ways) -> bool:
        """Take a place in every lane; False if one is full, where the job then waits until `ready` names it."""
        full = next((name for name, limit in ways.items() if self._busy[name] >= limit), None)
        if full is None:
            self._busy.update(ways.keys())
        elif sum(map(len, self._waiting.values())) < MOST_WAITING:
            self._waiting.setdefault(full, {})[job_id] = ways
        return full is None

    def leave(self, ways: Ways) -> None:
        """Give the places back."""
        for name in ways:
            self._busy[name] -= 1
            if not self._busy[name]:
                del self._busy[name]

    def ready(self) -> tuple[str, Ways] | None:
        """A job that waited and has its places now, if there is one."""
        for name, jobs in list(self._waiting.items()):
            while jobs:
                job_id, ways = next(iter(jobs.items()))
                if self._busy[name] >= ways[name]:
                    break
                del jobs[job_id]
                if self.enter(job_id, ways):  # or it waits for another lane from now on
                    return job_id, ways
            if not jobs:
                del self._waiting[name]
        return None
