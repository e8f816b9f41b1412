"""Who works: each live worker says which engines it offers, with which models and versions, and for how long this holds."""

import json
import time
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

from redis import Redis

OFFERED: Final = "steno:engines"
"""Sorted set: an engine, and the time until which some live worker offers it."""
_WORKERS: Final = "steno:workers"
"""Sorted set: a worker, and the time until which it counts as alive."""
_DESCRIPTION: Final = "steno:worker:"
"""And a worker's name: what it says of itself, as JSON. Gone with the worker."""


@dataclass(frozen=True)
class Offer:
    """An engine as one worker has it: the versions of its libraries, the models it may use, and what it computes on."""

    versions: dict[str, str]
    models: tuple[str, ...]
    device: str


class Roster:
    """What workers announce and the API reads. Blocking; every method may raise redis.exceptions.RedisError."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    def announce(
        self, worker: str, engines: tuple[str, ...], seconds: float, offers: dict[str, Offer] | None = None
    ) -> None:
        """A worker takes jobs for these engines for so long; `offers` describe them, once the worker knows."""
        until = time.time() + seconds
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zadd(OFFERED, dict.fromkeys(engines, until), gt=True)
            pipe.zremrangebyscore(_WORKERS, 0, time.time())
            if offers is not None and seconds > 0:
                pipe.zadd(_WORKERS, {worker: until})
                told = {engine: asdict(offer) for engine, offer in offers.items()}
                pipe.set(_DESCRIPTION + worker, json.dumps(told), px=int(seconds * 1000))
            pipe.execute()

    def offers(self) -> dict[str, list[Offer]]:
        """By engine, what each live worker that has described itself offers."""
        names = cast("list[bytes]", self._redis.zrangebyscore(_WORKERS, time.time(), "+inf"))
        told = self._redis.mget([_DESCRIPTION + name.decode() for name in names]) if names else []
        found: dict[str, list[Offer]] = {}
        for description in told:
            for engine, offer in json.loads(description or "{}").items():
                found.setdefault(engine, []).append(_offer(offer))
        return found


def _offer(told: dict[str, Any]) -> Offer:
    return Offer(told["versions"], tuple(told["models"]), told["device"])
