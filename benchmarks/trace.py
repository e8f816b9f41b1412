"""Which stages jobs pass through, seen from outside: a worker writes each into Redis the moment it begins."""

import re
import threading
from collections import Counter
from typing import Final

from redis import Redis

_STAGE: Final = re.compile(r'"stage": ?"(\w+)"')
_END: Final = "steno-benchmark: the trace ends"


class Trace:
    """While the context lasts, every command that Redis gets is looked at; after it, `stages` has how many jobs began each.

    A job that announces a stage twice in a row within half a second counts once: so seldom does a worker write.
    """

    def __init__(self, redis: "Redis") -> None:
        self.stages: Counter[str] = Counter()
        self._redis = redis
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Trace":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *error: object) -> None:
        self._redis.echo(_END)
        self._thread.join()

    def _look(self) -> None:
        with self._redis.monitor() as monitor:  # type: ignore[no-untyped-call]
            self._ready.set()
            for told in monitor.listen():
                if _END in told["command"]:
                    return
                self.stages.update(_STAGE.findall(told["command"]))
