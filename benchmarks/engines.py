"""`engines`: recordings of 10 s to an hour through Steno's engine processes, against the libraries called directly."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import libraries
from benchmarks.engine_jobs import engine_jobs
from benchmarks.loop import Heard, loop
from benchmarks.models import python_of, small_models
from benchmarks.recordings import ONE_A_LANGUAGE, joined
from benchmarks.result import Goal, Result

_NAMES: Final = {10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h"}
_BATCHES: Final[Sequence[tuple[Sequence[int], int]]] = (((10, 60), 3), ((600,), 1), ((3600,), 1))
"""Lengths in seconds that one process hears, shortest first, and in how many rounds."""
_PAIRS: Final = (
    ("whisperx", "faster_whisper_batched"),
    ("whisperx", "whisper_timestamped"),
    ("timestamped", "whisper_timestamped"),
)
_WARMING: Final = ONE_A_LANGUAGE[1:2]

Way = Callable[[Sequence[Path]], Sequence[Heard]]
"""Hears recordings in a fresh process, its models loaded before."""
Rounds = list[dict[str, Heard]]
"""One recording, by round and way."""


def run(folder: Path) -> Iterator[Result]:
    ways = _ways(folder, small_models(folder))
    measured: dict[int, Rounds] = {}
    for lengths, rounds in _BATCHES:
        recordings = [joined(folder / f"{length}.wav", length) for length in lengths]
        heard = [{name: way(recordings) for name, way in ways.items()} for _ in range(rounds)]
        for number, length in enumerate(lengths):
            measured[length] = [{name: files[number] for name, files in taken.items()} for taken in heard]
            yield from (_compared(length, measured[length], *pair) for pair in _PAIRS)
    for engine in ("whisperx", "timestamped"):
        yield _growth(engine, measured)


def _ways(folder: Path, models: Mapping[str, str]) -> dict[str, Way]:
    forgetful = folder / "forgetful_python"
    forgetful.write_text(f"#!/bin/sh\nexec '{python_of('timestamped')}' -m benchmarks.forgetful_horse\n")
    forgetful.chmod(0o755)
    called = partial(loop, warming=_WARMING, python=python_of("whisperx"), environment=models)
    return {
        "whisperx": partial(_steno, "whisperx", models, python_of("whisperx")),
        "faster_whisper_batched": partial(called, libraries.faster_whisper_batched),
        "whisper_timestamped": partial(called, libraries.whisper_timestamped_forgetful),
        "timestamped": partial(_steno, "timestamped", models, str(forgetful)),
    }


def _steno(engine: str, models: Mapping[str, str], python: str, files: Sequence[Path]) -> list[Heard]:
    with engine_jobs(engine, models, python, standby=False) as jobs:
        return [jobs.run(path) for path in (*_WARMING, *files)][len(_WARMING) :]


def _compared(length: int, rounds: Rounds, engine: str, rival: str) -> Result:
    values = {"wall_ratio": median(taken[engine].seconds / taken[rival].seconds for taken in rounds)}
    for name in (engine, rival):
        heard = [taken[name] for taken in rounds]
        values[f"{name}_s_per_hour"] = _seconds_per_hour(length, heard)
        values[f"{name}_peak_mb"] = max(one.peak_mb for one in heard)
        values[f"{name}_words"] = heard[0].words
    forgetful = ", both without previous text" if engine == "timestamped" else ""
    alone = f"{rival} without previous text" if rival == "whisper_timestamped" and not forgetful else rival
    measure = f"{_NAMES[length]}: {engine} against {alone}{forgetful}"
    return Result("engines", measure, {**values, "rounds": len(rounds)}, Goal("wall_ratio", "<=", 1.05))


def _growth(engine: str, measured: Mapping[int, Rounds]) -> Result:
    """The cost of a second of the longest recording as a multiple of that of the second longest."""
    shorter, longer = ([taken[engine] for taken in measured[length]] for length in (600, 3600))
    values = {
        "growth_ratio": _seconds_per_hour(3600, longer) / _seconds_per_hour(600, shorter),
        "peak_mb_at_10_min": max(one.peak_mb for one in shorter),
        "peak_mb_at_1_h": max(one.peak_mb for one in longer),
    }
    return Result("engines", f"{engine}: 1 h against 10 min", values, Goal("growth_ratio", "<=", 1.1))


def _seconds_per_hour(length: int, heard: Sequence[Heard]) -> float:
    return median(one.seconds for one in heard) * 3600 / length
