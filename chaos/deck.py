"""All faults by name, and the order in which they come."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Final

from chaos import faults, mishaps, outages
from chaos.faults import Fault

FAULTS: Final[dict[str, Fault]] = {
    fault.name: fault
    for fault in (
        faults.ApiKill(), faults.ApiHalt(), faults.WorkerKill(), faults.WorkerHalt(), faults.EngineKill(),
        faults.EngineHalt(), faults.RedisHalt(), faults.PowerCut(), outages.RedisKill(), outages.RedisEmpty(),
        outages.RedisMemory(), outages.NetworkSilent(), outages.NetworkDeaf(), outages.NetworkCut(), mishaps.DiskFull(),
        mishaps.ClockJump(), mishaps.SameJobTwice(), mishaps.HangUp(), mishaps.StreamDropped(),
    )
}  # fmt: skip


class Deck:
    """Deals the faults in random order, each once before any comes again."""

    def __init__(self, names: Sequence[str], dice: random.Random) -> None:
        self._names = names
        self._dice = dice
        self._left: list[str] = []
        self.dealt: Counter[str] = Counter()

    def deal(self) -> str:
        if not self._left:
            self._left = self._dice.sample(self._names, len(self._names))
        self.dealt[name := self._left.pop()] += 1
        return name

    @property
    def through(self) -> bool:
        """Whether each was dealt."""
        return set(self.dealt) == set(self._names)
