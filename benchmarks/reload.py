"""`reload`: recordings through a warm worker, against a process that loads the models anew for each, as peers do."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import libraries
from benchmarks.loop import loop
from benchmarks.models import python_of, small_models
from benchmarks.recordings import ONE_A_LANGUAGE, clips
from benchmarks.result import Result
from benchmarks.service import compare, values, warm_service

_RECORDINGS: Final = 60
_LIBRARIES: Final = {"faster-whisper": libraries.faster_whisper, "whisperx": libraries.whisperx}


def run(folder: Path) -> Iterator[Result]:
    models = small_models(folder)
    for engine, library in _LIBRARIES.items():
        loaded_anew = partial(
            loop, library, warming=ONE_A_LANGUAGE, python=python_of(engine), environment=models, kept=False
        )
        with warm_service(folder / engine, engine, models) as service:
            rounds = compare(service, loaded_anew, clips(_RECORDINGS), rounds=1)
        measure = f"{engine}: {_RECORDINGS} recordings, one worker, against models loaded for each"
        yield Result("reload", measure, values(rounds))
