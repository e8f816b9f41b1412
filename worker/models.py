"""What models there are on this machine, one JSON object a line: `python -m worker.models COMMAND ...`.

    describe ENGINE...             what a worker that runs in this interpreter offers: versions, models, device
    list ENGINE...                 each model by name: where it is, or why it is not
    pull ENGINE MODEL [--language CODE]... [--diarization]
                                   fetch it if it is not here; for whisperx its other models, too
    check ENGINE MODEL             load it and let it listen to a second of silence
    machine                        the GPU and CUDA's libraries as this interpreter finds them

Runs in a process of its own, under the engine's interpreter, so that no speech library enters the one that asks.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from steno.config import Settings, SettingsError, load_settings
from steno.engines import ENGINES
from steno.jobs.errors import JobError
from steno.jobs.options import Options
from steno.parent import die_with_parent
from worker import hardware, weights
from worker.audio import Audio
from worker.engines import load_engine, versions
from worker.model_cache import ModelCache


def describe(engine: str, settings: Settings) -> dict[str, Any]:
    """The fields of steno.jobs.roster.Offer, and the engine's name."""
    on = "cpu" if engine == "pocketsphinx" else hardware.device(settings)
    return {"engine": engine, "versions": versions(engine), "models": settings.models_of(engine), "device": on}


def listed(engine: str, settings: Settings) -> Iterator[dict[str, Any]]:
    """A row a model: `path` and `size` in bytes where it is here, `problem` where it is not or is not whole."""
    registered = settings.local_models_of(engine)
    for model in settings.models_of(engine):
        row: dict[str, Any] = {"engine": engine, "model": model, "registered": model in registered}
        try:
            path = locate(engine, model, settings, fetch=False)
            yield {**row, "path": str(path), "size": weights.size(path), "problem": None}
        except JobError as error:
            yield {**row, "path": None, "size": None, "problem": str(error)}


def locate(engine: str, model: str, settings: Settings, *, fetch: bool) -> Path:
    """Where the model's files are; with `fetch`, after getting them from the hub. Raises ModelUnavailable."""
    place: Path = import_module(ENGINES[engine].module).locate(model, settings, fetch=fetch)
    return place


def pull(engine: str, model: str, languages: list[str], diarization: bool, settings: Settings) -> dict[str, Any]:
    """Fetch what the engine would fetch in the middle of a job. Raises ModelUnavailable."""
    path = locate(engine, model, settings, fetch=True)
    code = import_module(ENGINES[engine].module)
    for language in languages:
        code.fetch_aligner(language, settings)
    if diarization:
        code.fetch_diarizer(settings)
    return {"engine": engine, "model": model, "path": str(path), "size": weights.size(path)}


def check(engine: str, model: str, settings: Settings) -> dict[str, Any]:
    """Load the model and listen to silence. Raises JobError, or whatever the library raises."""
    locate(engine, model, settings, fetch=False)
    cache, began = ModelCache(settings), time.monotonic()
    loaded = load_engine(engine, model, settings, cache)
    took = time.monotonic() - began
    with tempfile.TemporaryDirectory(prefix="steno-check-") as folder:
        path = Path(folder) / "silence.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(bytes(32_000))
        # Voice detection would find nothing to listen to, and English need not be detected: the model itself shall compute.
        options = Options(engine, model, "en", vad=False if "vad" in ENGINES[engine].options else None)
        list(loaded.transcribe(Audio(path), options, lambda *told: None).segments)
    return {"engine": engine, "model": model, "version": loaded.version, "load_seconds": took, "memory": cache.size}


def machine(settings: Settings) -> dict[str, Any]:
    """The GPU by the driver's account, and whether the libraries of this interpreter can compute on it."""
    return {
        "gpu": vars(card) if (card := hardware.gpu()) else None,
        "device": hardware.device(settings),
        "cudnn": hardware.cudnn_version(),
    }


def answers(asked: argparse.Namespace, settings: Settings) -> Iterator[dict[str, Any]]:
    match asked.command:
        case "describe":
            yield from (describe(engine, settings) for engine in asked.engines)
        case "list":
            for engine in asked.engines:
                yield from listed(engine, settings)
        case "pull":
            yield pull(asked.engine, asked.model, asked.language, asked.diarization, settings)
        case "check":
            yield check(asked.engine, asked.model, settings)
        case "machine":
            yield machine(settings)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m worker.models")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("describe", "list"):
        commands.add_parser(name).add_argument("engines", nargs="+", choices=ENGINES)
    for name in ("pull", "check"):
        command = commands.add_parser(name)
        command.add_argument("engine", choices=ENGINES)
        command.add_argument("model")
        if name == "pull":
            command.add_argument("--language", action="append", default=[], help="whisperx: its alignment model, too")
            command.add_argument("--diarization", action="store_true", help="whisperx: its diarization models, too")
    commands.add_parser("machine")
    return parser.parse_args()


def main() -> int:
    die_with_parent(signal.SIGKILL)
    try:
        for row in answers(parsed(), load_settings()):
            print(json.dumps(row))
    except (JobError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
