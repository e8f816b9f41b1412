"""Faults of Redis and of the network to it."""

import signal
import time
from typing import Final

from redis.exceptions import RedisError

from chaos import recovery
from chaos.faults import Fault, Scene, signalled
from chaos.service import Service

_BACK_SECONDS: Final = 60.0
_CONFIGURE_SECONDS: Final = 30.0


class RedisKill(Fault):
    """SIGKILL of Redis, which comes back with its append-only file."""

    name = "redis-kill"

    def strike(self, scene: Scene) -> str:
        _api_is_up(scene)
        return f"SIGKILL of Redis {signalled(scene, 'redis', signal.SIGKILL)}" + _redis_back(scene)


class RedisEmpty(Fault):
    """Redis is killed and comes back without anything it knew."""

    name = "redis-empty"

    def strike(self, scene: Scene) -> str:
        _api_is_up(scene)
        scene.service.empty_redis()
        return "Redis restarted empty" + _redis_back(scene)


class RedisMemory(Fault):
    """Redis refuses every write for want of memory."""

    name = "redis-memory"

    def strike(self, scene: Scene) -> str:
        _configure(scene.service, "maxmemory", 1)
        seconds = scene.halt()
        _configure(scene.service, "maxmemory", 0)
        return f"Redis out of memory for {seconds:.1f} s"


class NetworkSilent(Fault):
    """The network to Redis drops everything."""

    name = "network-silent"

    def strike(self, scene: Scene) -> str:
        _api_is_up(scene)
        proxy = scene.service.proxy
        proxy.silence()
        time.sleep(scene.pace.network)
        if half := scene.dice.random() < 0.5:
            proxy.cut()  # what was between forgot the connections meanwhile
        proxy.speak()
        told = f"no packet to Redis for {scene.pace.network:.0f} s{', then a cut' if half else ''}"
        return told + _serving(scene, recovery.HEALED)


class NetworkDeaf(Fault):
    """Redis does what it is asked, and its answers never arrive."""

    name = "network-deaf"

    def strike(self, scene: Scene) -> str:
        proxy = scene.service.proxy
        proxy.silence(answers_only=True)
        seconds = scene.halt()
        proxy.cut()
        proxy.speak()
        return f"no answer of Redis arrived for {seconds:.1f} s, then a cut"


class NetworkCut(Fault):
    """Every connection to Redis breaks at once."""

    name = "network-cut"

    def strike(self, scene: Scene) -> str:
        scene.service.proxy.cut()
        return "all connections to Redis cut"


def _api_is_up(scene: Scene) -> None:
    """Where a time is to be taken, let the API recover from an earlier fault, so that only this one is measured."""
    if scene.measures is not None:
        recovery.serves(scene.service, "/health", _BACK_SECONDS)


def _redis_back(scene: Scene) -> str:
    if scene.measures is None:
        return ""
    if recovery.until(lambda: recovery.redis_answers(scene.service), _BACK_SECONDS) is None:
        return "; Redis did not come back"
    return _serving(scene, recovery.SERVING) + scene.measure(
        recovery.READY, recovery.serves(scene.service, "/ready", _BACK_SECONDS)
    )


def _serving(scene: Scene, measure: str) -> str:
    job_id = scene.book.any_job(scene.dice)
    if scene.measures is None or job_id is None:
        return ""
    return scene.measure(measure, recovery.serves(scene.service, f"/status/{job_id}", _BACK_SECONDS))


def _configure(service: Service, name: str, value: int) -> None:
    """Set it, even if Redis is away just now: a Redis that starts anew has its own default again."""

    def done() -> bool:
        try:
            return bool(service.redis.config_set(name, value))
        except RedisError:
            return False

    recovery.until(done, _CONFIGURE_SECONDS)
