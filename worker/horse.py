"""The long-lived engine process behind a worker: `python -m worker.horse`.

It reads one job a line from standard input and answers with events, one JSON object a line, on what was its
standard output. It keeps its models loaded from job to job. It knows neither Redis nor storage: a path comes in, segments go out.
It ends when its standard input does, so it never outlives its worker.

A job:     {"path", "engine", "model", "language"}
Events:    {"event": "stage", "stage": "loading" | "decoding" | "transcribing", "duration": seconds as far as known}
           {"event": "progress", "stage": ..., "share": 0 to 1}
           {"event": "segment", "segment": {...}}
           {"event": "done", "language", "language_probability", "duration", "warnings"}
           {"event": "failed", "code", "message"}       the process is ready for the next job all the same
"""

import json
import logging
import os
import queue
import signal
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final, TextIO

from steno.config import Settings, load_settings
from steno.jobs.errors import EngineFailed, EngineOutOfMemory, JobError
from steno.jobs.options import Options
from steno.parent import die_with_parent
from steno.transcript.model import tidy
from worker.audio import Audio
from worker.engines import load_engine
from worker.engines.base import Engine

log = logging.getLogger(__name__)

Emit = Callable[[dict[str, Any]], None]

MODELS_KEPT: Final = 2
"""Loaded models kept, least recently used out first."""


class Models:
    """The engines in memory, by engine and model."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._loaded: OrderedDict[tuple[str, str], Engine] = OrderedDict()

    def holds(self, engine: str, model: str) -> bool:
        return (engine, model) in self._loaded

    def get(self, engine: str, model: str) -> Engine:
        """The engine, loaded if it is not. Raises EngineUnavailable, ModelUnavailable."""
        key = (engine, model)
        if key not in self._loaded:
            while len(self._loaded) >= MODELS_KEPT:
                self._loaded.popitem(last=False)
            self._loaded[key] = load_engine(engine, model, self.settings)
        self._loaded.move_to_end(key)
        return self._loaded[key]


def listen(job: dict[str, Any], models: Models, emit: Emit) -> None:
    """Do one job and emit its events, `done` last. Raises JobError, or whatever the engine raised."""
    options = Options(job["engine"], job["model"], job["language"])
    audio = Audio(Path(job["path"]), models.settings.max_audio_hours * 3600)
    if not models.holds(options.engine, options.model):
        emit({"event": "stage", "stage": "loading", "duration": audio.expected_duration})
    engine = models.get(options.engine, options.model)
    emit({"event": "stage", "stage": "decoding", "duration": audio.expected_duration})

    def report(stage: str, share: float) -> None:
        emit({"event": "progress", "stage": stage, "share": share})

    heard = engine.transcribe(audio, options, report)
    emit({"event": "stage", "stage": "transcribing", "duration": max(audio.duration, audio.expected_duration)})
    number, last = 0, 0.0
    for segment in heard.segments:
        if segment.text:
            kept = tidy(segment, id=number, after=last, duration=audio.duration)
            number, last = number + 1, kept.end
            emit({"event": "segment", "segment": asdict(kept)})
    for _ in audio.blocks() if not audio.duration else ():
        pass  # an engine that found nothing to listen to may not have read the recording to its end
    emit(
        {
            "event": "done",
            "language": heard.language,
            "language_probability": heard.language_probability,
            "duration": round(audio.duration, 3),
            "warnings": [*heard.warnings, *audio.warnings],
        }
    )


def answer(job: dict[str, Any], models: Models, out: TextIO) -> None:
    """Do one job and write its events; a failure is an event, too."""
    try:
        listen(job, models, partial(_write, out))
    except JobError as error:
        _write(out, {"event": "failed", "code": error.code, "message": str(error)})
    except MemoryError:
        _write(out, {"event": "failed", "code": EngineOutOfMemory.code, "message": str(EngineOutOfMemory())})
    except Exception as error:  # an engine's library may raise anything
        log.exception("Engine %s failed", job["engine"], extra={"action": "engine_failed"})
        code = EngineOutOfMemory.code if "out of memory" in str(error).lower() else EngineFailed.code
        sentence = f"Engine '{job['engine']}' failed on this recording: {type(error).__name__}: {error}"
        _write(out, {"event": "failed", "code": code, "message": sentence})


def _write(out: TextIO, event: dict[str, Any]) -> None:
    out.write(json.dumps(event) + "\n")
    out.flush()


def _jobs() -> Iterator[dict[str, Any]]:
    """Jobs as they come. A thread reads them, so that the worker's end is noticed in the middle of a job, too."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True, name="jobs").start()
    while True:
        yield json.loads(lines.get())


def main() -> None:
    die_with_parent(signal.SIGKILL)  # on Linux; everywhere, the end of standard input ends it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to handle
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not look like an event
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    models = Models(load_settings())
    for job in _jobs():
        answer(job, models, out)


if __name__ == "__main__":
    main()
