"""`uploads-at-once`: fifty recordings of 20 MB over fifty connections that are all open before the first byte is sent."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.payload import MB, noise
from benchmarks.result import Goal, Result
from benchmarks.sender import send
from benchmarks.servers import redis_server, steno_settings, web_app
from benchmarks.usage import usage

_UPLOADS: Final = 50
_MEGABYTES: Final = 20


def run(folder: Path) -> Iterator[Result]:
    uploads = folder / "uploads"
    with (
        redis_server(folder) as redis,
        noise(_MEGABYTES * MB) as recording,
        web_app("api.main:app", **steno_settings(redis, uploads)) as api,
    ):
        os.sync()
        before = usage(api.pid)
        sent = send(api.port, [recording] * _UPLOADS, at_once=_UPLOADS)
        after = usage(api.pid)
    values = {
        "refused": sum(status != 200 for status, _ in sent.answers),
        "uploads": _UPLOADS,
        "wall_s": sent.seconds,
        "mb_per_s": _UPLOADS * _MEGABYTES / sent.seconds,
        "steno_cpu_s": after.cpu_seconds - before.cpu_seconds,
        "rss_growth_mb": after.peak_mb - before.rss_mb,
    }
    yield Result("uploads-at-once", f"{_UPLOADS} x {_MEGABYTES} MB", values, Goal("refused", "<=", 0))
