"""What became of it all: every job by its own words, every folder by its files, every process by its mark."""

import contextlib
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
from redis.exceptions import RedisError

from chaos.book import Book
from chaos.clients import status_of
from chaos.receiver import Receiver
from chaos.service import MARK, Service
from steno.config import Settings
from steno.jobs.queue import JobQueue
from steno.storage import LocalStorage

_TIDY_SECONDS: Final = 60.0
_HOURS: Final = 2 * 3600.0
"""By as much the clock is put forward for the sweep to see that rests of broken uploads are old."""
_LOOK_SECONDS: Final = 0.2
_UNFORESEEN: Final = (
    "Exception in ASGI",
    "unforeseen error",
    "A beat failed",
    "could not be looked after",
    "exception raised",
)
_EXCEPTION: Final = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Full|Missing|Died)\b")
_OUTCOMES: Final = {"transcript.json", "error.json", "canceled.json"}
_RECORDS: Final = {"upload.json", "request.json", "webhook.json", "retention.json", *_OUTCOMES}


@dataclass
class Findings:
    """Sentences, each about one thing that is wrong, by kind; and counts of what is neither good nor bad."""

    finished: int = 0
    lost: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    wrong_words: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    unanswered: int = 0
    """Jobs whose client never heard that its upload was accepted."""
    unforeseen: list[str] = field(default_factory=list)
    """Errors in the log that nobody's code expected. They cost no job, or that job is among the others; still worth a look."""
    twice_uploaded: int = 0
    """Uploads that became two jobs, since the answer of the first was lost."""


def look_at_jobs(service: Service, book: Book, found: Findings) -> None:
    """Ask the API for every accepted job."""
    with httpx.Client(base_url=service.url, timeout=30, trust_env=False) as http:
        for job_id, accepted in book.accepted.items():
            status = status_of(http, book, job_id)
            if status.get("status") == "finished":
                found.finished += 1
                if not accepted.recording.said_in(status["result"]):
                    found.wrong_words.append(f"{job_id}, {accepted.filename}: {status['result']['text']!r}")
            elif status.get("status") in ("failed", "canceled"):
                found.failed.append(f"{job_id}: {status['error_code']}, {status['error']}")
            else:
                found.lost.append(f"{job_id}: {status or 'unknown'}")


def look_at_queue(found: Findings) -> None:
    """No job waits, is watched or is held any more."""
    queue = JobQueue(Settings())

    def rest() -> dict[str, Any]:
        with contextlib.suppress(RedisError):
            waiting = [job_id for each in queue.all_queues() for job_id in each.get_job_ids()]
            return {"unfinished": queue.unfinished(), "queued": waiting}
        return {"redis": "does not answer"}

    if not _soon(lambda: not any(rest().values())):
        found.leftovers += [f"Redis still has {kind}: {what}" for kind, what in rest().items() if what]
    queue.redis.close()


def look_at_folders(service: Service, book: Book, found: Findings) -> None:
    """Each job's folder holds exactly its files; the rests of broken uploads are gone once they are old."""
    storage = LocalStorage(service.jobs)
    _soon(
        lambda: all(_outcomes(storage, job_id) for job_id in storage.job_ids() if storage.has(job_id, "request.json"))
    )
    service.set_clock(_HOURS)
    _soon(lambda: _rests_are_gone(service, storage))
    accepted, jobs = book.accepted, Counter[str]()
    for job_id in storage.job_ids():
        names = {path.name for path in (service.jobs / job_id).iterdir()}
        request = storage.get(job_id, "request.json")
        if request is None:
            found.leftovers.append(f"folder {job_id} has no request, only {sorted(names)}")
            continue
        jobs[request["filename"]] += 1
        if names - _RECORDS != {request["audio"]} or len(names & _OUTCOMES) != 1:
            found.leftovers.append(f"folder {job_id} holds {sorted(names)}")
        if job_id not in accepted:
            found.unanswered += 1
            _look_at_unanswered(storage, job_id, request["filename"], book, found)
    found.twice_uploaded = sum(count > 1 for count in jobs.values())
    found.lost += [f"{job_id}: no folder" for job_id in accepted.keys() - set(storage.job_ids())]


def _outcomes(storage: LocalStorage, job_id: str) -> set[str]:
    """The records there are that say how a job ended."""
    return {name for name in _OUTCOMES if storage.has(job_id, name)}


def _look_at_unanswered(storage: LocalStorage, job_id: str, filename: str, book: Book, found: Findings) -> None:
    """A job that no client knows of was accepted all the same, and must end like any other."""
    result = storage.get(job_id, "transcript.json")
    if result is None:
        found.failed.append(f"{job_id}, never answered: {storage.get(job_id, 'error.json')}")
    elif not book.uploads[filename].said_in(result):
        found.wrong_words.append(f"{job_id}, never answered: {result['text']!r}")


def _rests_are_gone(service: Service, storage: LocalStorage) -> bool:
    """If not, all folders are read again, as where Redis has lost its memory: each worker removes a rest at its second look."""
    holds = [storage.names(job_id) for job_id in storage.job_ids()]
    if all("request.json" in names and not any(name.endswith(".part") for name in names) for names in holds):
        return True
    with contextlib.suppress(RedisError):
        service.redis.delete("steno:remembers")
    return False


def look_at_webhooks(receiver: Receiver, book: Book, found: Findings, seconds: float) -> None:
    """Each accepted job was told of under one id and with one body, however often."""
    accepted = book.accepted
    _soon(lambda: accepted.keys() <= receiver.told.keys(), seconds)
    told = receiver.told
    found.lost += [f"{job_id}: no webhook" for job_id in accepted.keys() - told.keys()]
    for job_id, ids in told.items():
        if len(ids) > 1:
            found.duplicated.append(f"job {job_id} was told of under {len(ids)} ids")
        found.duplicated += [
            f"webhook {name} had {len(bodies)} bodies" for name, bodies in ids.items() if len(bodies) > 1
        ]
    if receiver.refused:
        found.wrong_words.append(f"{receiver.refused} webhooks had no good signature")


def look_at_log(folder: Path, found: Findings) -> None:
    """Where a process said that it met what it did not foresee, and the exception that it was."""
    saying = ""
    with (folder / "log").open(errors="replace") as log:
        for line in log:
            if any(phrase in line for phrase in _UNFORESEEN):
                saying = line.strip()
            elif saying and _EXCEPTION.match(line):
                found.unforeseen.append(f"{saying} - {line.strip()}")
                saying = ""


def look_for_processes(folder: Path, found: Findings) -> None:
    """After the end: no process of the run lives, and no temporary file is left."""
    mark = str(folder)
    ours = psutil.Process().pid

    def left() -> list[str]:
        return [
            f"process {p.pid}: {' '.join(p.cmdline())}" for p in psutil.process_iter() if p.pid != ours and _of(p, mark)
        ]

    if not _soon(lambda: not left(), 10.0):
        found.leftovers += left()
    found.leftovers += [f"temporary {path.name}" for path in (folder / "tmp").iterdir()]


def _of(process: psutil.Process, mark: str) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark)
    except psutil.Error:
        return False


def _soon(condition: Any, seconds: float = _TIDY_SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(_LOOK_SECONDS)
    return False
