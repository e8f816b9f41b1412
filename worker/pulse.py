"""The worker's sign of life: a thread that says what it offers and keeps its job's heartbeat fresh, and one that sweeps.

Two threads, since a sweep of many jobs may take longer than a heartbeat may wait; and a third, short-lived one, since what
the libraries' versions are is asked of other processes.
"""

import logging
import threading
import uuid
from collections.abc import Callable
from typing import Final

from redis.exceptions import RedisError

from steno.jobs.roster import Offer, Roster
from steno.jobs.sweep import Sweep

log = logging.getLogger(__name__)

BEATS: Final = 5
"""Beats within the time after which a silent worker counts as dead."""
_QUIET_SECONDS: Final = 2.0
_LATER_SECONDS: Final = 60.0


class Pulse:
    """Beats until stopped, whatever the main thread does; a Redis that is away is tried again at the next beat."""

    def __init__(
        self,
        roster: Roster,
        sweep: Sweep,
        engines: tuple[str, ...],
        ttl: float,
        heartbeat: Callable[[], None],
        describe: Callable[[], dict[str, Offer]],
    ) -> None:
        self._roster = roster
        self._name = uuid.uuid4().hex
        self._offers: dict[str, Offer] | None = None
        self._describe = describe
        self._sweep = sweep
        self._engines = engines
        self._ttl = ttl
        self._heartbeat = heartbeat
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(work,), name=name, daemon=True)
            for name, work in (("pulse", self._beat), ("sweep", sweep.run))
        ]
        self._threads.append(threading.Thread(target=self._learn, name="describe", daemon=True))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()

    def _beat(self) -> None:
        self._roster.announce(self._name, self._engines, self._ttl, self._offers)
        self._heartbeat()

    def _learn(self) -> None:
        """Not at once: the first job is more urgent, and a worker that ends at once need not be described."""
        pause = _QUIET_SECONDS
        while self._offers is None and not self._stop.wait(pause):
            pause = _LATER_SECONDS
            try:
                self._offers = self._describe()
            except Exception:
                log.exception("The engines cannot be described; asked again later", extra={"action": "undescribed"})

    def _repeat(self, work: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                work()
            except RedisError as error:
                log.warning("Redis does not answer: %s", error, extra={"action": "beat_missed"})
            except Exception:
                log.exception("A beat failed; the next one comes", extra={"action": "beat_failed"})
            self._stop.wait(self._ttl / BEATS)
