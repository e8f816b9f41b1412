"""`openai`: the route of OpenAI's clients against a job of the native route; its first words; a hundred requests that wait."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Final

import httpx

from benchmarks.load import Prober
from benchmarks.models import small_models
from benchmarks.result import Goal, Result, percentile
from benchmarks.service import Service, warm_service
from benchmarks.usage import usage
from scripts.small_models import DATA, MODEL

_ENGINE: Final = "faster-whisper"
_RECORDING: Final = DATA / "en-minute.flac"
_SHORT: Final = DATA / "en-1.wav"
_PAIRS: Final = 20
_STREAMS: Final = 5
_AT_ONCE: Final = 100
_RATE: Final = 50.0
"""Questions a second for /health meanwhile."""
_PATIENCE_SECONDS: Final = 300.0


def run(folder: Path) -> Iterator[Result]:
    with warm_service(folder / "openai", _ENGINE, small_models(folder)) as service:
        url = f"http://127.0.0.1:{service.port}"
        with httpx.Client(base_url=url, timeout=_PATIENCE_SECONDS, trust_env=False) as client:
            yield _against_native(client)
            yield _first_words(client)
        yield from _waiting(service, url)


def _against_native(client: httpx.Client) -> Result:
    """One after the other, and the other way round: a machine that slowly changes its pace favours neither."""
    took: dict[str, list[float]] = {"route": [], "native": []}
    for number in range(_PAIRS):
        for way in ("route", "native")[:: -1 if number % 2 else 1]:
            began = time.monotonic()
            _by_route(client) if way == "route" else _by_job(client)
            took[way].append(time.monotonic() - began)
    ratios = [route / native for route, native in zip(took["route"], took["native"], strict=True)]
    values = {"wall_ratio": median(ratios), "route_s": median(took["route"]), "native_s": median(took["native"])}
    return Result("openai", f"{_PAIRS} requests against native jobs", values, Goal("wall_ratio", "<=", 1.05))


def _by_route(client: httpx.Client) -> None:
    with _RECORDING.open("rb") as file:
        answer = client.post("/v1/audio/transcriptions", files={"file": file}, data={"model": MODEL})
    answer.raise_for_status()


def _by_job(client: httpx.Client) -> None:
    with _RECORDING.open("rb") as file:
        answer = client.post("/transcribe", files={"file": file}, data={"engine": _ENGINE, "model": MODEL})
    job_id = answer.raise_for_status().json()["job_id"]
    while (status := client.get(f"/status/{job_id}", params={"wait": 60}).json()["status"]) != "finished":
        if status == "failed":
            raise RuntimeError("a job failed; the worker's log is above")


def _first_words(client: httpx.Client) -> Result:
    shares, segments = [], 0
    for _ in range(_STREAMS):
        began, deltas = time.monotonic(), []
        form = {"model": MODEL, "stream": "true"}
        with (
            _RECORDING.open("rb") as file,
            client.stream("POST", "/v1/audio/transcriptions", files={"file": file}, data=form) as answer,
        ):
            for line in answer.iter_lines():
                if line.startswith("data: ") and json.loads(line[6:])["type"] == "transcript.text.delta":
                    deltas.append(time.monotonic() - began)
        shares.append(deltas[0] / deltas[-1])
        segments = len(deltas)
    values = {"first_of_last_delta": median(shares), "deltas": segments}
    return Result("openai", "a stream's first delta", values, Goal("first_of_last_delta", "<", 1.0))


def _waiting(service: Service, url: str) -> Iterator[Result]:
    before = usage(service.pid)
    # Elsewhere: whoever asks for /health must not wait for their threads.
    with ProcessPoolExecutor(1, get_context("spawn")) as elsewhere, Prober(service.port, "/health", _RATE) as prober:
        statuses = elsewhere.submit(_all_at_once, url).result()
    after = usage(service.pid)
    memory = {"rss_growth_mb": after.peak_mb - before.rss_mb, "not_answered": _AT_ONCE - statuses.count(200)}
    yield Result("openai", f"memory of {_AT_ONCE} requests that wait at once", memory, Goal("rss_growth_mb", "<", 50.0))
    health = {f"p{share}_ms": percentile(prober.latencies, share / 100) * 1000 for share in (50, 99)}
    yield Result("openai", f"/health beside {_AT_ONCE} requests that wait", health, Goal("p99_ms", "<", 50.0))


def _all_at_once(url: str) -> list[int]:
    """The statuses of a hundred requests, begun together."""
    recording = _SHORT.read_bytes()
    limits = httpx.Limits(max_connections=None)
    with (
        httpx.Client(base_url=url, timeout=_PATIENCE_SECONDS, trust_env=False, limits=limits) as client,
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        file, form = (_SHORT.name, recording), {"model": MODEL}

        def ask(_: int) -> int:
            return client.post("/v1/audio/transcriptions", files={"file": file}, data=form).status_code

        return list(pool.map(ask, range(_AT_ONCE)))
