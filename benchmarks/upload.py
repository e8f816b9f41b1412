"""`upload`: one large recording, against a bare socket receiver, FastAPI's UploadFile and itself in pieces; Steno's memory."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from redis import Redis

from benchmarks.payload import MB, noise
from benchmarks.result import Goal, Result
from benchmarks.sender import send
from benchmarks.servers import Server, redis_server, server, steno_settings, web_app
from benchmarks.usage import usage
from steno.redis_server import free_port

_ROUNDS: Final = 5

Start = Callable[[], AbstractContextManager[Server]]


@dataclass(frozen=True)
class Taken:
    """What one upload took: wall and server CPU in seconds, memory over what the fresh server had, in MB."""

    seconds: float
    cpu_seconds: float
    rss_growth_mb: float


def run(folder: Path) -> Iterator[Result]:
    with redis_server(folder) as redis:
        ways = _ways(folder / "uploads", redis)
        with noise(500 * MB) as recording:
            rounds = [
                {name: _measure(start, recording, folder / "uploads", way) for name, start, way in ways}
                for _ in range(_ROUNDS)
            ]
        yield from _compared(rounds)
        steno = [taken["steno"] for taken in rounds]
        yield _memory("500 MB", max(steno, key=lambda taken: taken.rss_growth_mb))
        with noise(2048 * MB) as recording:
            steno_way = next(start for name, start, _ in ways if name == "steno")
            yield _memory("2 GB", _measure(steno_way, recording, folder / "uploads", "form"))


def _ways(uploads: Path, redis: "Redis") -> list[tuple[str, Start, str]]:
    """The servers to compare, and how each is sent the recording. All write below `uploads`, their temporary files included."""
    place = {**steno_settings(redis, uploads), "TMPDIR": str(uploads)}

    def bare() -> AbstractContextManager[Server]:
        port = free_port()
        return server("benchmarks.bare_receiver", [str(port), str(uploads)], port)

    steno = partial(web_app, "api.main:app", **place)
    return [
        ("bare", bare, "form"),
        ("steno", steno, "form"),
        ("tus", steno, "tus"),
        ("upload_file", partial(web_app, "benchmarks.bare_apps:app", **place), "form"),
    ]


def _measure(start: Start, recording: Path, uploads: Path, way: str) -> Taken:
    """One upload to a fresh server, with a disk that has nothing left to do for anybody else."""
    uploads.mkdir()
    os.sync()
    try:
        with start() as running:
            before = usage(running.pid)
            sent = send(running.port, [recording], way=way)
            after = usage(running.pid)
    finally:
        shutil.rmtree(uploads)
    sent.accepted()
    return Taken(sent.seconds, after.cpu_seconds - before.cpu_seconds, after.peak_mb - before.rss_mb)


def _compared(rounds: list[dict[str, Taken]]) -> Iterator[Result]:
    """Steno's wall time as a multiple of each other's; the medians of the rounds' own ratios."""
    for other, limit in (("bare", 1.4), ("upload_file", 0.6)):
        values = {
            "wall_ratio": median(taken["steno"].seconds / taken[other].seconds for taken in rounds),
            "steno_s": median(taken["steno"].seconds for taken in rounds),
            f"{other}_s": median(taken[other].seconds for taken in rounds),
            "steno_cpu_s": median(taken["steno"].cpu_seconds for taken in rounds),
            f"{other}_cpu_s": median(taken[other].cpu_seconds for taken in rounds),
            f"{other}_rss_growth_mb": median(taken[other].rss_growth_mb for taken in rounds),
            "rounds": len(rounds),
        }
        yield Result("upload", f"500 MB against {other}", values, Goal("wall_ratio", "<=", limit))
    yield _in_pieces(rounds)


def _in_pieces(rounds: list[dict[str, Taken]]) -> Result:
    values = {
        "wall_ratio": median(taken["tus"].seconds / taken["steno"].seconds for taken in rounds),
        "tus_s": median(taken["tus"].seconds for taken in rounds),
        "form_s": median(taken["steno"].seconds for taken in rounds),
        "tus_cpu_s": median(taken["tus"].cpu_seconds for taken in rounds),
        "form_cpu_s": median(taken["steno"].cpu_seconds for taken in rounds),
        "tus_rss_growth_mb": max(taken["tus"].rss_growth_mb for taken in rounds),
        "rounds": len(rounds),
    }
    return Result("upload", "500 MB by tus in 8 MB pieces against the form", values, Goal("wall_ratio", "<=", 1.3))


def _memory(size: str, taken: Taken) -> Result:
    values = {
        "rss_growth_mb": taken.rss_growth_mb,
        "steno_s": taken.seconds,
        "steno_cpu_s": taken.cpu_seconds,
    }
    return Result("upload", f"memory at {size}", values, Goal("rss_growth_mb", "<=", 16))
