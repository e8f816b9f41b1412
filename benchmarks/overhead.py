"""`overhead`: a hundred recordings through the whole service, against the same engine called in a loop."""

import json
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Final

from redis import Redis

from benchmarks.result import Goal, Result
from benchmarks.sender import Sent, send
from benchmarks.servers import ask, program, redis_server, steno_settings, web_app
from steno.jobs.queue import UNFINISHED
from steno.jobs.record import TRANSCRIPT
from steno.storage import LocalStorage

_DATA: Final = Path(__file__).parents[1] / "tests" / "data"
_RECORDINGS: Final = 100
_AT_ONCE: Final = 4
_ROUNDS: Final = 2
_LOOK_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 300.0


def run(folder: Path) -> Iterator[Result]:
    with tarfile.open(_DATA / "mini-ct2.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    models = {"STENO_LOCAL_MODELS": f"faster-whisper:mini={folder / 'mini-ct2'}", "STENO_DEFAULT_MODEL": "mini"}
    log = folder / "worker.log"
    with redis_server(folder) as redis:
        settings = steno_settings(redis, folder / "uploads", **models)
        with web_app("api.main:app", **settings) as api, program("worker.main", log=log, **settings):
            try:
                yield _compared(_rounds(Service(api.port, redis, folder / "uploads"), models))
            except RuntimeError:
                sys.stderr.write(log.read_text())
                raise


@dataclass(frozen=True)
class Round:
    """Wall seconds of the recordings in a loop and through the service, of which the client spent `uploading`."""

    loop: float
    service: float
    uploading: float

    @property
    def ratio(self) -> float:
        return self.service / self.loop


@dataclass(frozen=True)
class Service:
    """A running Steno with one worker."""

    port: int
    redis: "Redis"
    uploads: Path

    def transcribe(self, files: Sequence[Path]) -> tuple[Sent, float]:
        """Upload all, wait for all; seconds from the first byte sent to the last job finished.

        What is asked while waiting is one number from Redis: a hundred clients polling would be another benchmark.
        """
        sent = send(self.port, files, _AT_ONCE)
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


def _rounds(service: Service, models: Mapping[str, str]) -> list[Round]:
    """Loop and service, then service and loop, and so on: a machine that slowly changes its pace favours neither."""
    files = list(islice(cycle(sorted(_DATA.glob("exact-*"))), _RECORDINGS))
    service.transcribe(files[:1])  # loads the model and warms it, as the loop does for itself
    rounds = []
    for number in range(_ROUNDS):
        if number % 2:
            sent, seconds = service.transcribe(files)
        loop = ask("benchmarks.engine_loop", "faster-whisper", "mini", *map(str, files), **models)
        if not number % 2:
            sent, seconds = service.transcribe(files)
        if service.words(sent) != loop["words"]:
            raise RuntimeError("service and loop did not hear the same words")
        rounds.append(Round(loop["seconds"], seconds, sent.seconds))
    return rounds


def _compared(rounds: Sequence[Round]) -> Result:
    values = {
        "wall_ratio": median(taken.ratio for taken in rounds),
        "loop_s": median(taken.loop for taken in rounds),
        "service_s": median(taken.service for taken in rounds),
        "of_it_uploading_s": median(taken.uploading for taken in rounds),
        "extra_ms_a_job": median((taken.service - taken.loop) / _RECORDINGS * 1000 for taken in rounds),
        "rounds": len(rounds),
    }
    return Result("overhead", f"{_RECORDINGS} recordings, one worker", values, Goal("wall_ratio", "<=", 1.10))
