"""What every process of a service holds, looked at again and again, and whether it grows."""

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression, pstdev
from typing import Final

import psutil
from redis.exceptions import RedisError

from chaos.service import Service, engines_of

_MB: Final = 1 << 20
_HOUR: Final = 3600.0
FLOORS: Final = {"rss_mb": 4.0, "open_files": 2.0, "threads": 2.0, "used_memory_mb": 0.5}
"""Growth over a whole run that is never taken for a leak: pages, files and pool threads come in steps."""


@dataclass(frozen=True)
class Trend:
    """A straight line through samples: `per_hour` its slope, `noise` two standard deviations of the samples from it.

    `growth` is how much the line rises from the first sample to the last.
    """

    process: str
    measure: str
    mean: float
    per_hour: float
    growth: float
    noise: float

    @property
    def flat(self) -> bool:
        return self.growth <= max(self.noise, FLOORS[self.measure])

    def row(self) -> str:
        unit = "MB" if self.measure.endswith("_mb") else ""
        told = f"mean {self.mean:.1f} {unit}, {self.per_hour:+.2f} {unit}/h, over the run {self.growth:+.2f} {unit}"
        return f"{self.process:<20} {self.measure:<15} {told} ± {self.noise:.2f}{'' if self.flat else '  GROWS'}"


def trend(process: str, measure: str, times: Sequence[float], values: Sequence[float]) -> Trend:
    """The line through at least two samples; times in seconds."""
    slope, start = linear_regression(times, values)
    noise = 2 * pstdev([value - (start + slope * at) for at, value in zip(times, values, strict=True)])
    mean = sum(values) / len(values)
    return Trend(process, measure, mean, slope * _HOUR, slope * (times[-1] - times[0]), noise)


class Sampler(threading.Thread):
    """Takes a sample of everything every `interval` seconds until stopped."""

    def __init__(self, service: Service, interval: float) -> None:
        super().__init__(name="sampler", daemon=True)
        self._service = service
        self._interval = interval
        self._over = threading.Event()
        self._begun = time.monotonic()
        self._samples: dict[tuple[str, str], dict[int, list[tuple[float, float]]]] = {}

    def run(self) -> None:
        while not self._over.is_set():
            for process, pid in self._processes().items():
                with contextlib.suppress(psutil.Error):
                    self._look_at(process, pid)
            with contextlib.suppress(RedisError):
                used = self._service.redis.info("memory")["used_memory"]
                self._keep("redis", 0, "used_memory_mb", used / _MB)
            self._over.wait(self._interval)

    def stop(self) -> None:
        self._over.set()
        self.join()

    def trends(self, since: float) -> list[Trend]:
        """Lines through the samples taken from this moment (time.monotonic) on.

        Of a process that was replaced, through those of the one that lived longest, and from as long after its own beginning: a
        line through several would tell when they began.
        """
        lines, warm = [], since - self._begun
        for (process, measure), by_pid in sorted(self._samples.items()):
            samples = max(by_pid.values(), key=len)
            kept = [sample for sample in samples if sample[0] >= samples[0][0] + warm]
            if len(kept) >= 3:
                times, values = zip(*kept, strict=True)
                lines.append(trend(process, measure, times, values))
        return lines

    def restarted(self) -> list[str]:
        """Processes that were not the same from the first sample to the last."""
        seen = {process: by_pid for (process, measure), by_pid in self._samples.items() if measure == "rss_mb"}
        return [f"{process} ({len(by_pid)} processes)" for process, by_pid in seen.items() if len(by_pid) > 1]

    def _processes(self) -> dict[str, int]:
        found = {}
        for number, worker in enumerate(self._service.pids("worker"), 1):
            found[f"worker {number}"] = worker
            found |= {f"engine of worker {number}": engine for engine in engines_of(worker)}
        return found | {kind: pid for kind in ("api", "redis") for pid in self._service.pids(kind)}

    def _look_at(self, process: str, pid: int) -> None:
        seen = psutil.Process(pid)
        with seen.oneshot():
            self._keep(process, pid, "rss_mb", seen.memory_info().rss / _MB)
            self._keep(process, pid, "open_files", seen.num_fds())
            self._keep(process, pid, "threads", seen.num_threads())

    def _keep(self, process: str, pid: int, measure: str, value: float) -> None:
        by_pid = self._samples.setdefault((process, measure), {})
        by_pid.setdefault(pid, []).append((time.monotonic(), value))
