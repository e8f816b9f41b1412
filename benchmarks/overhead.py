"""`overhead`: a hundred recordings through the whole service, against the same engine called in a loop."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import libraries
from benchmarks.loop import loop
from benchmarks.models import python_of, small_models
from benchmarks.recordings import ONE_A_LANGUAGE, clips
from benchmarks.result import Goal, Result
from benchmarks.service import compare, values, warm_service

_RECORDINGS: Final = 100
_ROUNDS: Final = 2
_ENGINE: Final = "faster-whisper"


def run(folder: Path) -> Iterator[Result]:
    models = small_models(folder)
    engine = partial(
        loop, libraries.steno_engine, warming=ONE_A_LANGUAGE, python=python_of(_ENGINE), environment=models
    )
    with warm_service(folder, _ENGINE, models) as service:
        rounds = compare(service, engine, clips(_RECORDINGS), _ROUNDS)
    yield Result("overhead", f"{_RECORDINGS} recordings, one worker", values(rounds), Goal("wall_ratio", "<=", 1.10))
