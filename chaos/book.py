"""What was accepted, and what became of it: kept by the clients, read by the faults and by the report."""

import json
import random
import re
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from scripts.small_models import DATA

NAMES: Final = (
    "exact-fr-5.flac", "exact-fr-4.mp3", "exact-de-6.wav", "exact-de-5.flac", "exact-en-6.flac", "exact-en-4.mp3",
)  # fmt: skip


@dataclass(frozen=True)
class Recording:
    """A recording of tests/data and the words that are said in it."""

    name: str
    body: bytes = field(repr=False)
    words: tuple[str, ...] = field(repr=False)

    def said_in(self, result: dict[str, Any]) -> bool:
        """Whether a transcript has these words, all of them and no other."""
        return re.findall(r"\w+", str(result["text"]).lower()) == list(self.words)


def recordings(names: Sequence[str] = NAMES) -> dict[str, Recording]:
    """By name."""
    truth = json.loads((DATA / "truth.json").read_text())
    words = {name: tuple(word["word"] for word in truth[name]["words"]) for name in names}
    return {name: Recording(name, (DATA / name).read_bytes(), words[name]) for name in names}


@dataclass(frozen=True)
class Accepted:
    """An upload that was answered with 200, under a file name that no other upload has."""

    job_id: str
    filename: str
    recording: Recording


class Book:
    """May be used by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accepted: dict[str, Accepted] = {}
        self._open: dict[str, Accepted] = {}
        self._complaints: list[str] = []
        self.answers: Counter[int] = Counter()
        """HTTP statuses that uploads were answered with."""
        self.uploads: dict[str, Recording] = {}
        """Every upload that was begun, by its file name."""
        self.enough = threading.Event()
        """Set when no further upload is wanted."""

    def begin(self, filename: str, recording: Recording) -> None:
        with self._lock:
            self.uploads[filename] = recording

    def accept(self, accepted: Accepted) -> None:
        with self._lock:
            if accepted.job_id in self._accepted:
                self._complaints.append(f"job {accepted.job_id} was given to two uploads")
            self._accepted[accepted.job_id] = self._open[accepted.job_id] = accepted

    def answered(self, status: int) -> None:
        with self._lock:
            self.answers[status] += 1

    def over(self, job_id: str) -> None:
        """Its client saw it finished, failed or canceled; what it says is looked at when all is over."""
        with self._lock:
            self._open.pop(job_id, None)

    def complain(self, sentence: str) -> None:
        """An answer that no fault excuses."""
        with self._lock:
            self._complaints.append(sentence)

    @property
    def accepted(self) -> dict[str, Accepted]:
        with self._lock:
            return dict(self._accepted)

    @property
    def complaints(self) -> list[str]:
        with self._lock:
            return list(self._complaints)

    def still_open(self) -> list[str]:
        """Ids of jobs that nobody has seen over yet."""
        with self._lock:
            return list(self._open)

    def any_job(self, dice: random.Random) -> str | None:
        """A job that is not over, or else any; None before the first."""
        with self._lock:
            ids = list(self._open) or list(self._accepted)
        return dice.choice(ids) if ids else None
