"""`python -m chaos.soak --minutes 60`: mixed work without faults; does anything grow?"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from chaos.book import NAMES, Recording, recordings
from chaos.disk import Disk
from chaos.sampling import Sampler
from chaos.service import Service
from chaos.work import Worker

_LENGTHS: Final = (
    *NAMES,
    "en-3.mp3",
    "en-1.wav",
    "exact-en-1.wav",
    "exact-de-3.wav",
    "fr-minute.flac",
    "de-minute.flac",
)
_CLIENTS: Final = 3
_WORKERS: Final = 2
_INTERVAL: Final = 10.0
_DISK_BYTES: Final = 1 << 30
_RETENTION_DAYS: Final = "0.001"
"""86 s: jobs go as fast as they come, so that what a service holds has reason to stay the same."""
_WARM_SECONDS: Final = 600.0
_SHOWN: Final = 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="of what the clients do (default 1)")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="steno-soak-"))
    with (folder / "log").open("ab") as log:
        os.dup2(log.fileno(), 2)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    good = False
    try:
        good = _soak(folder, asked.minutes * 60, asked.seed)
    finally:
        if good:
            shutil.rmtree(folder)
        else:
            print(f"What the processes said is in {folder / 'log'}")
    return 0 if good else 1


def _soak(folder: Path, seconds: float, seed: int) -> bool:
    disk = Disk(folder, _DISK_BYTES)
    try:
        with Service(folder, disk, _WORKERS, STENO_RETENTION_DAYS=_RETENTION_DAYS) as service:
            sampler = Sampler(service, _INTERVAL)
            workers = _workers(service, seed)
            sampler.start()
            begun = time.monotonic()
            time.sleep(seconds)
            sampler.stop()
            for worker in workers:
                worker.stop()
    finally:
        disk.unmount()
    return _told(sampler, workers, begun + min(_WARM_SECONDS, seconds / 2), seconds)


def _workers(service: Service, seed: int) -> list[Worker]:
    choice: list[Recording] = list(recordings(_LENGTHS).values())
    made = [Worker(service.url, choice, random.Random(f"{seed}-{n}")) for n in range(_CLIENTS)]
    for worker in made:
        worker.start()
    return made


def _told(sampler: Sampler, workers: list[Worker], since: float, seconds: float) -> bool:
    """Print what was done and how everything went; whether all stayed flat and nothing was answered amiss."""
    done = sum((worker.done for worker in workers), Counter[str]())
    trouble = [sentence for worker in workers for sentence in worker.trouble]
    trends, restarted = sampler.trends(since), sampler.restarted()
    print("done: " + ", ".join(f"{name} {count}" for name, count in done.most_common()))
    for line in (*(each.row() for each in trends), *trouble[:_SHOWN]):
        print(line)
    for process in restarted:
        print(f"restarted in mid-run: {process}")
    grown = [f"{each.process} {each.measure}" for each in trends if not each.flat]
    died = [process for process in restarted if not process.startswith("engine")]  # a cancel ends an engine on purpose
    good = bool(trends) and not (grown or trouble or died)
    told = {f"{each.process}, {each.measure}": [round(each.per_hour, 3), round(each.noise, 3)] for each in trends}
    print(
        json.dumps(
            {
                "soak": "ok" if good else "failed",
                "minutes": round(seconds / 60, 1),
                "done": done,
                "per_hour_and_noise": told,
                "grows": grown,
                "wrong_answers": len(trouble),
                "restarted": restarted,
            }
        )
    )
    return good


if __name__ == "__main__":
    sys.exit(main())
