"""The long-lived engine process behind a worker: `python -m worker.horse`.

It reads one job a line from standard input and answers with events, one JSON object a line, on what was its
standard output. It keeps its models loaded from job to job. It knows neither Redis nor storage: a path comes in, segments go out.
It ends when its standard input does, so it never outlives its worker.

A job:     {"path", "options": {...}}      options as steno/jobs/options.py has them
Or:        {"stand_by": engine}            import what the engine needs, and load nothing; no event answers
Events:    {"event": "stage", "stage": "loading" | "decoding", "duration": seconds as far as known}
           (with "times" where these are heard more than once: how often, from here on)
           {"event": "progress", "stage": "transcribing" | "aligning" | "diarizing", "share": 0 to 1, "duration": seconds}
           (the share is of the stage; with channels=separate, of the whole, since the stages come again with each channel)
           {"event": "segment", "segment": {...}}
           {"event": "done", "language", "language_probability", "duration", "warnings", "model_version", "versions"}
           {"event": "failed", "code", "message"}       the process is ready for the next job all the same
"""

import json
import logging
import math
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TextIO

from steno.config import load_settings
from steno.engines import ENGINES
from steno.jobs.errors import EngineOutOfMemory, JobError, kind_of
from steno.jobs.options import Options
from steno.parent import die_with_parent
from steno.transcript.model import share
from worker.audio import Audio
from worker.channels import listen_apart, survey
from worker.engines import load_engine, versions
from worker.listening import listen_to
from worker.model_cache import ModelCache

log = logging.getLogger(__name__)

Emit = Callable[[dict[str, Any]], None]

_LANGUAGE_SECONDS: Final = 120.0
"""Where only the language is asked for, so much is listened to. Whisper needs half a minute, but films begin with music."""


def listen(job: dict[str, Any], cache: ModelCache, emit: Emit) -> None:
    """Do one job and emit its events, `done` last. Raises JobError, or whatever the engine raised."""
    options, settings = Options.from_dict(job["options"]), cache.settings
    until = _LANGUAGE_SECONDS if options.language_only else math.inf
    audio = Audio(Path(job["path"]), settings.max_audio_hours * 3600, until)

    def stage(name: str, **more: int) -> None:
        length = max(audio.duration, audio.expected_duration)
        emit({"event": "stage", "stage": name, "duration": length, **more})

    def report(name: str, done: float) -> None:
        emit({"event": "progress", "stage": name, "share": float(done), "duration": audio.duration})

    cache.begin(partial(stage, "loading"))
    engine = load_engine(options.engine, options.model, settings, cache)
    stage("decoding")
    if options.language_only:
        heard = replace(
            engine.transcribe(audio, options, report), segments=iter(())
        )  # some only listen when these are asked for
    elif options.channels == "separate":
        found = survey(audio)
        stage("decoding", times=len(found.worth_hearing))
        heard = listen_apart(engine, audio, found, options, report)
    else:
        heard = listen_to(engine, audio, options, report)
    for segment in heard.segments:
        emit({"event": "segment", "segment": asdict(segment)})
    for _ in audio.blocks() if not audio.duration else ():
        pass  # an engine that found nothing to listen to may not have read the recording to its end
    emit(
        {
            "event": "done",
            "language": heard.language,
            "language_probability": share(heard.language_probability),
            "duration": round(audio.duration, 3),
            "warnings": list(dict.fromkeys((*heard.warnings, *audio.warnings))),
            "model_version": engine.version,
            "versions": versions(options.engine),
        }
    )


def answer(job: dict[str, Any], cache: ModelCache, out: TextIO) -> None:
    """Do one job and write its events; a failure is an event, too."""
    try:
        listen(job, cache, partial(_write, out))
    except JobError as error:
        _write(out, {"event": "failed", "code": error.code, "message": str(error)})
    except MemoryError:
        _write(out, {"event": "failed", "code": EngineOutOfMemory.code, "message": str(EngineOutOfMemory())})
    except Exception as error:  # an engine's library may raise anything
        engine = job["options"]["engine"]
        log.exception("Engine %s failed", engine, extra={"action": "engine_failed"})
        sentence = f"Engine '{engine}' failed on this recording: {type(error).__name__}: {error}"
        _write(out, {"event": "failed", "code": kind_of(error).code, "message": sentence})


def stand_by(engine: str, cache: ModelCache) -> None:
    """Have the engine's libraries imported, for as long as a model that nobody asks for would be kept."""
    cache.begin(lambda: None)
    try:
        cache.get(("library", engine), lambda: None, imports=ENGINES[engine].imports)
    except Exception as error:  # noqa: BLE001 - a job for the engine will say it where somebody hears
        log.warning("Cannot stand by for %s: %s", engine, error, extra={"action": "no_standby"})


def _write(out: TextIO, event: dict[str, Any]) -> None:
    out.write(json.dumps(event) + "\n")
    out.flush()


class Jobs:
    """Jobs as they come on a pipe. Reads no further than the line it returns: what waits is there for a fresh process, too."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        threading.Thread(target=self._end_with_the_worker, daemon=True, name="worker-watch").start()

    def next(self, timeout: float | None) -> dict[str, Any] | None:
        """The next job; None if there is none within so many seconds."""
        ready, _, _ = select.select([self._pipe], [], [], timeout)
        if not ready:
            return None
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self._pipe, 1)
            if not byte:
                os._exit(0)
            line += byte
        job: dict[str, Any] = json.loads(line)
        return job

    def _end_with_the_worker(self) -> None:
        """The worker's end is noticed in the middle of a job, too."""
        watch = select.poll()
        watch.register(self._pipe, 0)
        watch.poll()  # returns for nothing but the other end being closed
        os._exit(0)


def serve(jobs: Jobs, cache: ModelCache, out: TextIO) -> None:
    """Answer jobs for ever. Returns when every model has been idle for long."""
    while True:
        job = jobs.next(cache.next_expiry)
        if job is not None and "stand_by" in job:
            stand_by(job["stand_by"], cache)
            continue
        if job is not None:
            answer(job, cache, out)
            continue
        cache.drop_idle()
        if cache.next_expiry is None:
            return


def main() -> None:
    die_with_parent(signal.SIGKILL)  # on Linux; everywhere, the end of standard input ends it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to handle
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not look like an event
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    serve(Jobs(0), ModelCache(load_settings()), out)
    # Libraries keep memory of their own (torch a GB), so the process becomes a fresh one; a job that comes meanwhile waits in
    # the pipe, and the worker sees the same process id.
    os.dup2(out.fileno(), 1)
    os.execv(sys.executable, sys.orig_argv)


if __name__ == "__main__":
    main()
