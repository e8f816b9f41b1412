"""A running Steno with one worker, and its time for many recordings against that of a loop without any service."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

from redis import Redis

from benchmarks.loop import Heard
from benchmarks.recordings import ONE_A_LANGUAGE
from benchmarks.result import Value
from benchmarks.sender import Sent, send
from benchmarks.servers import program, redis_server, steno_settings, web_app
from benchmarks.trace import Trace
from steno.jobs.queue import UNFINISHED
from steno.jobs.record import TRANSCRIPT
from steno.storage import LocalStorage

_AT_ONCE: Final = 4
_LOOK_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 300.0


@dataclass(frozen=True)
class Service:
    """A running Steno with one worker for one engine. While it was warmed, jobs announced `loads` times that they load."""

    engine: str
    pid: int
    """Of the API."""
    port: int
    redis: "Redis"
    uploads: Path
    loads: int = 0

    def transcribe(self, files: Sequence[Path]) -> tuple[Sent, float]:
        """Upload all, wait for all; seconds from the first byte sent to the last job finished.

        What is asked while waiting is one number from Redis: a hundred clients polling would be another benchmark.
        """
        sent = send(self.port, files, _AT_ONCE, self.engine)
        while self.redis.scard(UNFINISHED):
            if time.monotonic() - sent.began > _PATIENCE_SECONDS:
                raise RuntimeError("the service does not finish; its worker's log is above")
            time.sleep(_LOOK_SECONDS)
        return sent, time.monotonic() - sent.began

    def words(self, sent: Sent) -> int:
        """How many words the transcripts of these jobs hold. Raises RuntimeError if there is one missing."""
        storage = LocalStorage(self.uploads)
        words = 0
        for body in sent.accepted():
            transcript = storage.get(json.loads(body)["job_id"], TRANSCRIPT)
            if transcript is None:
                raise RuntimeError("a job failed; the worker's log is above")
            words += sum(len(segment["words"]) for segment in transcript["segments"])
        return words


@contextmanager
def warm_service(folder: Path, engine: str, models: Mapping[str, str]) -> Iterator[Service]:
    """Redis, API and a worker whose engine process has every model loaded. The worker's log is shown if anything fails."""
    folder.mkdir(exist_ok=True)
    log, uploads = folder / "worker.log", folder / "uploads"
    with redis_server(folder) as redis:
        settings = steno_settings(redis, uploads, STENO_ENGINES=engine, **models)
        with web_app("api.main:app", **settings) as api, program("worker.main", log=log, **settings):
            cold = Service(engine, api.pid, api.port, redis, uploads)
            try:
                with Trace(redis) as trace:
                    cold.words(cold.transcribe(ONE_A_LANGUAGE)[0])
                yield replace(cold, loads=trace.stages["loading"])
            except RuntimeError:
                sys.stderr.write(log.read_text())
                raise


@dataclass(frozen=True)
class Round:
    """Wall seconds of the same recordings in a loop and through the service, of which the client spent `uploading`."""

    loop: float
    service: float
    uploading: float
    recordings: int


def compare(
    service: Service, loop: Callable[[Sequence[Path]], list[Heard]], files: Sequence[Path], rounds: int
) -> list[Round]:
    """Loop and service, then service and loop, and so on: a machine that slowly changes its pace favours neither."""
    taken = []
    for number in range(rounds):
        if number % 2:
            sent, seconds = service.transcribe(files)
        heard = loop(files)
        if not number % 2:
            sent, seconds = service.transcribe(files)
        if service.words(sent) != sum(one.words for one in heard):
            raise RuntimeError("service and loop did not hear the same words")
        taken.append(Round(sum(one.seconds for one in heard), seconds, sent.seconds, len(files)))
    return taken


def values(rounds: Sequence[Round]) -> dict[str, Value]:
    """The service's wall time as a multiple of the loop's, and where it goes; medians of the rounds."""
    return {
        "wall_ratio": median(taken.service / taken.loop for taken in rounds),
        "loop_s": median(taken.loop for taken in rounds),
        "service_s": median(taken.service for taken in rounds),
        "of_it_uploading_s": median(taken.uploading for taken in rounds),
        "extra_ms_a_job": median((taken.service - taken.loop) / taken.recordings * 1000 for taken in rounds),
        "rounds": len(rounds),
    }
