"""`events`: what five hundred listeners cost one API process, all on one job and each on a job of its own.

The jobs are told of as a worker does it: their progress twice a second. Nothing is transcribed.
"""

import selectors
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Final

from redis import Redis
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from benchmarks.load import Prober
from benchmarks.result import Goal, Result, percentile
from benchmarks.servers import HOST, Server, redis_server, steno_settings, web_app
from benchmarks.usage import usage
from steno.config import Settings
from steno.jobs import news
from steno.jobs.options import Options
from steno.jobs.queue import JobQueue
from steno.jobs.record import TRANSCRIPT
from steno.jobs.submit import Submission, submit
from steno.storage import LocalStorage
from steno.transcript import Transcript

_LISTENERS: Final = 500
_SECONDS: Final = 10.0
_ALONE_SECONDS: Final = 4.0
_TELL_SECONDS: Final = 0.5
"""As often as a worker reports at most."""
_RATE: Final = 50.0
"""Questions a second for /health meanwhile."""
_PATIENCE_SECONDS: Final = 60.0


def run(folder: Path) -> Iterator[Result]:
    for name, jobs, running in (
        ("on one running job", 1, 1),
        ("on as many jobs, two of them running", _LISTENERS, 2),
        ("on as many running jobs", _LISTENERS, _LISTENERS),
    ):
        uploads = folder / name
        with redis_server(folder) as redis, web_app("api.main:app", **steno_settings(redis, uploads)) as api:
            yield _measured(name, api, Desk(redis, uploads, jobs), running)
            redis.flushall()


class Desk:
    """Jobs that a worker seems to have."""

    def __init__(self, redis: "Redis", uploads: Path, jobs: int) -> None:
        settings = Settings(upload_dir=uploads)
        self.redis, self._storage, queue = redis, LocalStorage(uploads), JobQueue(settings, redis)
        self.ids = [str(uuid.uuid4()) for _ in range(jobs)]
        for job_id in self.ids:
            upload = self._storage.create(job_id, "audio.wav")
            upload.write([memoryview(b"RIFF")])
            sent = Submission(upload, job_id, "audio.wav", "talk.wav", Options("whisperx", "small"))
            submit(self._storage, queue, sent)
        self._jobs = Job.fetch_many(self.ids, connection=redis, serializer=JSONSerializer)

    def tell(self, progress: float, jobs: int) -> None:
        """How far the first so many jobs are."""
        for job in self._jobs[:jobs]:
            if job is not None:
                job.meta.update(attempts=1, stage="transcribing", progress=progress)
                job.save_meta()  # type: ignore[no-untyped-call]
                job.set_status(JobStatus.STARTED)
                news.state_changed(self.redis, job.id)

    def finish(self) -> None:
        for job in self._jobs:
            if job is not None:
                self._storage.put(job.id, TRANSCRIPT, Transcript("", "en", 1.0, 1.0, "whisperx", "small").to_dict())
                job.set_status(JobStatus.FINISHED)
                news.state_changed(self.redis, job.id, over=True)

    @contextmanager
    def telling(self, jobs: int) -> Iterator[None]:
        """While the context lasts, a thread tells of so many jobs at a worker's pace."""
        stop = Event()

        def work() -> None:
            progress = 0.0
            while not stop.wait(_TELL_SECONDS):
                progress = round((progress + 0.001) % 1, 3)
                self.tell(progress, jobs)

        thread = Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _measured(name: str, api: Server, desk: Desk, running: int) -> Result:
    with Prober(api.port, "/health", _RATE) as alone:
        time.sleep(_ALONE_SECONDS)
    before = usage(api.pid)
    with Crowd(api.port, desk.ids) as crowd:
        joined = usage(api.pid)
        with desk.telling(running), Prober(api.port, "/health", _RATE) as prober:
            crowd.listen(_SECONDS)
        after = usage(api.pid)
        ears = int(dict(desk.redis.pubsub_numsub(news.CHANNEL))[news.CHANNEL.encode()])
        desk.finish()
        crowd.listen(_PATIENCE_SECONDS)
        missed = crowd.without_end()
    values = {
        "missed_the_end": missed,
        "listeners": _LISTENERS,
        "subscriptions": ears,
        "rss_growth_mb": after.peak_mb - before.rss_mb,
        "cpu_share": (after.cpu_seconds - joined.cpu_seconds) / _SECONDS,
        "health_alone_p99_ms": percentile(alone.latencies, 0.99) * 1000,
        "health_p50_ms": percentile(prober.latencies, 0.5) * 1000,
        "health_p99_ms": percentile(prober.latencies, 0.99) * 1000,
        "states_a_listener": crowd.states / _LISTENERS,
    }
    return Result("events", f"{_LISTENERS} listeners {name}", values, Goal("missed_the_end", "<=", 0))


class Crowd:
    """Open streams, each read as soon as something comes."""

    def __init__(self, port: int, job_ids: Sequence[str]) -> None:
        self.states = 0
        self._tails: dict[socket.socket, bytes] = {}
        self._selector = selectors.DefaultSelector()
        for number in range(_LISTENERS):
            stream = socket.create_connection((HOST, port))
            path = f"/jobs/{job_ids[number % len(job_ids)]}/events"
            stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            self._tails[stream] = b""
            self._selector.register(stream, selectors.EVENT_READ)

    def __enter__(self) -> "Crowd":
        """Every stream has begun."""
        while not all(self._tails.values()):
            self._hear()
        self.states = 0
        return self

    def __exit__(self, *error: object) -> None:
        self._selector.close()
        for stream in self._tails:
            stream.close()

    def listen(self, seconds: float) -> None:
        """For so long, or until every stream has ended."""
        deadline = time.monotonic() + seconds
        while self._selector.get_map() and time.monotonic() < deadline:
            self._hear()

    def without_end(self) -> int:
        """How many streams ended without telling that their job is finished, or did not end."""
        return sum(b'"status":"finished"' not in tail for tail in self._tails.values())

    def _hear(self) -> None:
        for key, _ in self._selector.select(0.1):
            stream = key.fileobj
            assert isinstance(stream, socket.socket)
            got = stream.recv(1 << 16)
            self.states += got.count(b"event: state")
            self._tails[stream] = self._tails[stream][-1000:] + got
            if not got or self._tails[stream].endswith(b"0\r\n\r\n"):
                self._selector.unregister(stream)
