"""One run: clients at work, faults one after the other, then calm, and a look at what became of every job."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chaos import verify
from chaos.book import Book, recordings
from chaos.clients import Client, wait_for_all
from chaos.deck import FAULTS, Deck
from chaos.disk import Disk
from chaos.faults import Pace, Scene
from chaos.receiver import SECRET, Receiver
from chaos.recovery import Measures
from chaos.report import Report
from chaos.service import Service
from chaos.verify import Findings

FULL: Final = Pace(calm=(1.0, 4.0), halt=(2.0, 12.0), worker_halt=35.0, engine_halt=35.0, network=30.0, together=0.3)
SHORT: Final = Pace(calm=(0.2, 0.8), halt=(0.5, 2.0), worker_halt=5.0, engine_halt=9.0, network=6.0, together=0.2)
_FULL_SETTINGS: Final = {"STENO_TIME_LIMIT_BASE": "20", "STENO_TIME_LIMIT_FACTOR": "1"}
_SHORT_SETTINGS: Final = {"STENO_WORKER_TTL": "2", "STENO_TIME_LIMIT_BASE": "6", "STENO_TIME_LIMIT_FACTOR": "0.3"}
_DISK_BYTES: Final = 96 << 20
_JOB_BYTES: Final = 200 << 10
"""Room on the disk: for Redis and what is left over, and for each job."""
_CLIENTS: Final = 4
_WORKERS: Final = 2
_AT_ONCE_SECONDS: Final = 0.5
_FIRST_SECONDS: Final = 120.0
"""A service that accepts nothing for so long does not suffer from the faults."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is asked of a run. It goes on until `jobs` uploads were accepted and each fault has struck once."""

    jobs: int
    seed: int
    faults: Sequence[str]
    short: bool
    webhooks: bool
    keys_kept: bool

    @property
    def pace(self) -> Pace:
        return SHORT if self.short else FULL


def run(plan: Plan, folder: Path, tell: Tell) -> Report:
    """Run in this folder, saying what happens. Changes this process's environment and mounts; so one run a process."""
    begun = time.monotonic()
    disk = Disk(folder, _DISK_BYTES + plan.jobs * _JOB_BYTES)
    book, measures, found = Book(), Measures(), Findings()
    deck = Deck(plan.faults, random.Random(plan.seed))
    settings = _SHORT_SETTINGS if plan.short else _FULL_SETTINGS
    if plan.webhooks:
        settings = {**settings, "STENO_WEBHOOK_SECRETS": SECRET, "STENO_WEBHOOK_NETWORKS": "127.0.0.0/8"}
    try:
        with Receiver() as receiver, Service(folder, disk, _WORKERS, **settings) as service:
            clients = _clients(plan, service, book, receiver)
            _strike(
                plan, service, book, deck, measures, lambda line: tell(f"{time.monotonic() - begun:7.1f} s  {line}")
            )
            for client in clients:
                client.join()
            tell(f"calm; {len(book.still_open())} of {len(book.accepted)} accepted jobs are not over yet")
            _look(plan, service, book, receiver, found)
        verify.look_for_processes(folder, found)
        verify.look_at_log(folder, found)
    finally:
        disk.unmount()
    return Report(
        plan.seed,
        time.monotonic() - begun,
        len(book.accepted),
        found,
        book.complaints,
        book.answers,
        deck.dealt,
        measures.summary(),
        receiver.deliveries if plan.webhooks else None,
        plan.keys_kept,
        "a tmpfs of its own" if disk.mounted else "pretended inside the processes: no mount is allowed here",
    )


def _clients(plan: Plan, service: Service, book: Book, receiver: Receiver) -> list[Client]:
    fields = {"callback_url": receiver.url} if plan.webhooks else {}
    choice = list(recordings().values())
    made = [Client(service.url, book, choice, random.Random(f"{plan.seed}-{n}"), fields) for n in range(_CLIENTS)]
    for client in made:
        client.start()
    return made


def _strike(plan: Plan, service: Service, book: Book, deck: Deck, measures: Measures, tell: Tell) -> None:
    """Faults with calm between them, now and then two at once, until the plan is fulfilled."""
    dice, begun = random.Random(plan.seed), time.monotonic()
    while not (len(book.accepted) >= plan.jobs and deck.through):
        if not book.accepted and time.monotonic() > begun + _FIRST_SECONDS:
            raise RuntimeError(f"no upload was accepted in {_FIRST_SECONDS:.0f} s; answers were {dict(book.answers)}")
        time.sleep(dice.uniform(*plan.pace.calm))
        second = deck.deal() if dice.random() < plan.pace.together else None
        scene = Scene(service, book, dice, plan.pace, None if second else measures)
        beside = threading.Thread(target=_one, args=(second, scene, book, tell)) if second else None
        if beside:
            beside.start()
            time.sleep(dice.uniform(0, _AT_ONCE_SECONDS))
        _one(deck.deal(), scene, book, tell)
        if beside:
            beside.join()
    book.enough.set()
    service.set_clock(0.0)


def _one(name: str, scene: Scene, book: Book, tell: Tell) -> None:
    told = FAULTS[name].strike(scene)
    tell(f"{name:<15} {told}  [{len(book.accepted)} accepted, {len(book.still_open())} open]")


def _look(plan: Plan, service: Service, book: Book, receiver: Receiver, found: Findings) -> None:
    wait_for_all(service.url, book, 90.0 if plan.short else 600.0)
    verify.look_at_jobs(service, book, found)
    if plan.webhooks:
        # What was due while the clock was ahead comes when it has caught up: by five minutes.
        verify.look_at_webhooks(receiver, book, found, 400.0 if plan.short else 900.0)
    verify.look_at_queue(found)
    verify.look_at_folders(service, book, found)
