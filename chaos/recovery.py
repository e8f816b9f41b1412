"""How long the service takes to be itself again after a fault."""

import json
import threading
import time
from collections.abc import Callable
from typing import Final

import httpx
from redis.exceptions import RedisError

from benchmarks.result import percentile
from chaos.service import Service

RUNNING: Final = "worker death to its job running again"
SERVING: Final = "Redis back to API serving"
READY: Final = "Redis back to /ready"
HEALED: Final = "network back to API serving"
_LOOK_SECONDS: Final = 0.01
_ATTEMPT_SECONDS: Final = 2.0


class Measures:
    """Samples in seconds, by what they measure. May be used by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: dict[str, list[float]] = {}

    def add(self, measure: str, seconds: float) -> None:
        with self._lock:
            self._samples.setdefault(measure, []).append(seconds)

    def summary(self) -> dict[str, dict[str, float]]:
        """Number of samples, median, 90th percentile and maximum of each measure; seconds."""
        with self._lock:
            samples = {name: list(values) for name, values in self._samples.items()}
        return {
            name: {
                "n": len(values),
                "p50_s": round(percentile(values, 0.5), 3),
                "p90_s": round(percentile(values, 0.9), 3),
                "max_s": round(max(values), 3),
            }
            for name, values in sorted(samples.items())
        }


def until(condition: Callable[[], bool], seconds: float) -> float | None:
    """Seconds until the condition came true; None if it did not in time."""
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        if condition():
            return time.monotonic() - begun
        time.sleep(_LOOK_SECONDS)
    return None


def redis_answers(service: Service) -> bool:
    """Whether Redis itself is up and has its data, seen past the proxy."""
    try:
        return bool(service.redis.ping())
    except RedisError:
        return False


def attempts(service: Service, job_id: str) -> int | None:
    """How often a job was begun, None if it is over; by RQ's account. Raises RedisError."""
    status, meta = service.redis.hmget(f"rq:job:{job_id}", "status", "meta")
    if status in (b"finished", b"failed"):
        return None
    return int(json.loads(meta or b"{}").get("attempts", 0))


def runs_again(service: Service, job_id: str, before: int, seconds: float) -> float | None:
    """Seconds until the job is begun once more than `before`; None if it takes longer or Redis went away meanwhile."""

    def begun() -> bool:
        now = attempts(service, job_id)
        return now is None or now > before

    try:
        return until(begun, seconds)
    except RedisError:
        return None


def serves(service: Service, path: str, seconds: float) -> float | None:
    """Seconds until the API answers this path with 200; None if it takes longer."""

    def ok() -> bool:
        try:
            return httpx.get(service.url + path, timeout=_ATTEMPT_SECONDS, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    return until(ok, seconds)
