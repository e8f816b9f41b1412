"""`status`: how many questions for a job one process answers, against a bare route; and how fast during uploads."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Final

from redis import Redis

from benchmarks.load import Prober, saturate
from benchmarks.payload import MB, noise
from benchmarks.result import Goal, Result, percentile
from benchmarks.sender import send
from benchmarks.servers import Server, redis_server, steno_settings, web_app
from steno.jobs.queue import job_key
from steno.jobs.record import TRANSCRIPT
from steno.storage import LocalStorage
from steno.transcript import Segment, Transcript, Word

_ROUNDS: Final = 5
_ROUND_SECONDS: Final = 1.5
_UPLOADS: Final = 3
_UPLOAD_ROUNDS: Final = 4
_RATE: Final = 50.0
"""Questions a second during uploads: some hundred clients that poll every two seconds, far from saturation."""

Pages = Mapping[str, tuple[Server, str]]
Loads = list[dict[str, dict[str, float]]]


def run(folder: Path) -> Iterator[Result]:
    uploads = folder / "uploads"
    with redis_server(folder) as redis:
        settings = steno_settings(redis, uploads)
        with web_app("api.main:app", **settings) as api, web_app("benchmarks.bare_apps:app", **settings) as bare:
            queued = _queued(api)
            pages = {
                "steno": (api, f"/status/{queued}"),
                "bare": (bare, f"/status/{queued}"),
                "finished": (api, f"/status/{_finished(api, redis, uploads, 30)}"),
                "finished_hour": (api, f"/status/{_finished(api, redis, uploads, 9000)}"),
                "plain": (bare, f"/plain/{queued}"),
            }
            loads = _loads(pages)
            yield _compared(loads)
            yield _context(loads, "plain", "plain Starlette route, one Redis read")
            yield _context(loads, "finished", "finished job of 30 words")
            yield _context(loads, "finished_hour", "finished job of 9000 words")
        with web_app("api.main:app", **settings) as api:
            yield _during_uploads(api, uploads, queued)


def _queued(api: Server) -> str:
    """The id of a job that waits: nothing but the API runs, so nobody takes it."""
    with noise(100_000) as recording:
        job_id: str = json.loads(send(api.port, [recording]).accepted()[0])["job_id"]
        return job_id


def _finished(api: Server, redis: "Redis", uploads: Path, words: int) -> str:
    """The id of a job that is over by RQ's account and by storage's, with a transcript of so many words."""
    job_id = _queued(api)
    heard = tuple(Word("recording", 0.4 * n, 0.4 * n + 0.35, 0.987) for n in range(words))
    lines = [heard[n : n + 10] for n in range(0, words, 10)]
    segments = tuple(
        Segment(n, line[0].start, line[-1].end, " ".join(word.text for word in line), 0.987, None, line)
        for n, line in enumerate(lines)
    )
    text = " ".join(segment.text for segment in segments)
    transcript = Transcript(text, "en", 0.99, 0.4 * words, "faster-whisper", "small", segments)
    LocalStorage(uploads).put(job_id, TRANSCRIPT, transcript.to_dict())
    redis.hset(job_key(job_id), "status", "finished")
    return job_id


def _loads(pages: Pages) -> Loads:
    """Every page in turn, round after round; a first short one each is for the servers' first-time work."""
    for server, path in pages.values():
        saturate(server.port, path, 0.3)
    return [
        {name: saturate(server.port, path, _ROUND_SECONDS) for name, (server, path) in pages.items()}
        for _ in range(_ROUNDS)
    ]


def _medians(loads: Loads, name: str) -> dict[str, float]:
    return {value: median(load[name][value] for load in loads) for value in loads[0][name]}


def _compared(loads: Loads) -> Result:
    steno, bare = _medians(loads, "steno"), _medians(loads, "bare")
    ratios = [load["steno"]["requests_per_second"] / load["bare"]["requests_per_second"] for load in loads]
    values = {
        "rate_ratio": median(ratios),
        **{f"steno_{name}": value for name, value in steno.items()},
        **{f"bare_{name}": value for name, value in bare.items()},
        "connections": 32,
        "rounds": len(loads),
    }
    return Result("status", "queued job against a bare route", values, Goal("rate_ratio", ">=", 0.8))


def _context(loads: Loads, name: str, measure: str) -> Result:
    return Result("status", measure, _medians(loads, name))


def _during_uploads(api: Server, uploads: Path, job_id: str) -> Result:
    latencies: list[float] = []
    seconds = 0.0
    with noise(500 * MB) as recording:
        for _ in range(_UPLOAD_ROUNDS):
            os.sync()
            with Prober(api.port, f"/status/{job_id}", _RATE) as prober:
                sent = send(api.port, [recording] * _UPLOADS, at_once=_UPLOADS)
            latencies += prober.latencies
            seconds += sent.seconds
            for body in sent.accepted():
                shutil.rmtree(uploads / json.loads(body)["job_id"])
    values = {
        "p99_ms": percentile(latencies, 0.99) * 1000,
        "p50_ms": percentile(latencies, 0.5) * 1000,
        "max_ms": max(latencies) * 1000,
        "questions": len(latencies),
        "questions_per_second": _RATE,
        "uploading_s": seconds,
    }
    return Result("status", f"while {_UPLOADS} uploads of 500 MB arrive", values, Goal("p99_ms", "<", 50))
