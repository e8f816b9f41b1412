"""What a fault is, and the first of them: processes that are killed or halted."""

import contextlib
import os
import random
import signal
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

from redis.exceptions import RedisError

from chaos import recovery
from chaos.book import Book
from chaos.recovery import Measures
from chaos.service import Service, held_by

_HELD_SECONDS: Final = 10.0
_BACK_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Pace:
    """How long things last, in seconds: the calm between faults and a halt are between two bounds.

    A worker is halted for longer than others wait for it (STENO_WORKER_TTL), an engine for longer than an attempt may take,
    and the network is silent for longer than a socket's patience.
    """

    calm: tuple[float, float]
    halt: tuple[float, float]
    worker_halt: float
    engine_halt: float
    network: float
    together: float
    """The share of strikes in which a second fault comes at the same time, 0 to 1."""


@dataclass(frozen=True)
class Scene:
    """What a fault works on. `measures` is None when another fault strikes at the same time: then no time is taken."""

    service: Service
    book: Book
    dice: random.Random
    pace: Pace
    measures: Measures | None

    def halt(self) -> float:
        """Let the damage last; the seconds it lasted."""
        seconds = self.dice.uniform(*self.pace.halt)
        time.sleep(seconds)
        return seconds

    def measure(self, name: str, seconds: float | None) -> str:
        """Keep a sample, and put it in words."""
        if self.measures is None:
            return ""
        if seconds is not None:
            self.measures.add(name, seconds)
        return f"; {name}: {'not in time' if seconds is None else f'{seconds:.2f} s'}"


class Fault(ABC):
    """One way in which things go wrong."""

    name: ClassVar[str]

    @abstractmethod
    def strike(self, scene: Scene) -> str:
        """Returns when the damage is undone, with what it was."""


def signalled(scene: Scene, kind: str, number: signal.Signals) -> int | None:
    """Send a signal to a random live process of the kind; its pid, None if there was none."""
    pids = scene.service.pids(kind)
    if not pids:
        return None
    pid = scene.dice.choice(pids)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    return pid


class Kill(Fault):
    """SIGKILL of one process."""

    kind: ClassVar[str]

    def strike(self, scene: Scene) -> str:
        return f"SIGKILL of {self.kind} {signalled(scene, self.kind, signal.SIGKILL)}"


class Halt(Fault):
    """SIGSTOP of one process, and SIGCONT after a while."""

    kind: ClassVar[str]

    def length(self, scene: Scene) -> float:
        """In seconds."""
        return scene.dice.uniform(*scene.pace.halt)

    def strike(self, scene: Scene) -> str:
        pid = signalled(scene, self.kind, signal.SIGSTOP)
        time.sleep(seconds := self.length(scene))
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        return f"SIGSTOP of {self.kind} {pid} for {seconds:.1f} s"


class ApiKill(Kill):
    name, kind = "api-kill", "api"


class ApiHalt(Halt):
    name, kind = "api-halt", "api"


class EngineKill(Kill):
    name, kind = "engine-kill", "engine"


class EngineHalt(Halt):
    """A halt; now and then for longer than an attempt may take, so that the worker kills the engine and tries again."""

    name, kind = "engine-halt", "engine"

    def length(self, scene: Scene) -> float:
        return scene.pace.engine_halt if scene.dice.random() < 0.5 else super().length(scene)


class RedisHalt(Halt):
    name, kind = "redis-halt", "redis"


class WorkerKill(Fault):
    """SIGKILL of a worker in the middle of a job; another must take that job up."""

    name = "worker-kill"

    def strike(self, scene: Scene) -> str:
        victim: list[tuple[int, str]] = []

        def found() -> bool:
            pids = scene.service.pids("worker")
            scene.dice.shuffle(pids)
            victim.extend((pid, job) for pid in pids if (job := held_by(scene.service.redis, pid)))
            return bool(victim)

        if recovery.until(found, _HELD_SECONDS) is None:
            return f"SIGKILL of idle worker {signalled(scene, 'worker', signal.SIGKILL)}"
        pid, job_id = victim[0]
        os.kill(pid, signal.SIGKILL)
        told = f"SIGKILL of worker {pid} with job {job_id}"
        if scene.measures is None:
            return told
        try:
            before = recovery.attempts(scene.service, job_id)
        except RedisError:
            return told
        if before is None:
            return f"{told}, which was over by then"
        return told + scene.measure(recovery.RUNNING, recovery.runs_again(scene.service, job_id, before, _BACK_SECONDS))


class WorkerHalt(Halt):
    """A halt until others think the worker dead and run its job; then it wakes and goes on with it."""

    name, kind = "worker-halt", "worker"

    def length(self, scene: Scene) -> float:
        return scene.pace.worker_halt


class PowerCut(Fault):
    """Every process dies at the same moment."""

    name = "power-cut"

    def strike(self, scene: Scene) -> str:
        kinds = ("redis", "engine", "worker", "api")
        pids = [pid for kind in kinds for pid in scene.service.pids(kind)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return f"SIGKILL of all {len(pids)} processes"
