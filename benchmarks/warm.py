"""`warm`: recordings through the service once its models are loaded, against the library itself called in a loop."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import libraries
from benchmarks.loop import loop
from benchmarks.models import python_of, small_models
from benchmarks.recordings import ONE_A_LANGUAGE, clips
from benchmarks.result import Goal, Result
from benchmarks.service import compare, values, warm_service
from benchmarks.trace import Trace

_RECORDINGS: Final = 30
_ROUNDS: Final = 2
_LIBRARIES: Final = {
    "whisperx": libraries.whisperx,
    "timestamped": libraries.whisper_timestamped,
}


def run(folder: Path) -> Iterator[Result]:
    models = small_models(folder)
    for engine, library in _LIBRARIES.items():
        yield from _measured(folder / engine, engine, library, models)


def _measured(
    folder: Path, engine: str, library: Callable[[], libraries.Listen], models: Mapping[str, str]
) -> Iterator[Result]:
    called = partial(loop, library, warming=ONE_A_LANGUAGE, python=python_of(engine), environment=models)
    with warm_service(folder, engine, models) as service, Trace(service.redis) as trace:
        rounds = compare(service, called, clips(_RECORDINGS), _ROUNDS)
    measure = f"{engine}: {_RECORDINGS} recordings, one worker, against the library in a loop"
    yield Result("warm", measure, values(rounds), Goal("wall_ratio", "<=", 1.05))
    told = {"loads": trace.stages["loading"], "jobs": trace.stages["writing"], "loads_while_warming": service.loads}
    yield Result("warm", f"{engine}: stages that its worker told Redis", told, Goal("loads", "<=", 0))
