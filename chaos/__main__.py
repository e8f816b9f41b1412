"""`python -m chaos`: faults without end while clients work; then what became of their jobs."""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from chaos.deck import FAULTS
from chaos.report import Report
from chaos.run import Plan, run


def main() -> int:
    plan = _plan()
    folder = Path(tempfile.mkdtemp(prefix="steno-chaos-"))
    terminal = os.fdopen(os.dup(2), "w", buffering=1)
    with (folder / "log").open("ab") as log:
        os.dup2(log.fileno(), 2)  # what the processes say goes to the log, by inheritance
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended from outside, it ends its processes, too
    report: Report | None = None
    try:
        report = run(plan, folder, lambda line: print(line, file=terminal))
        print(report.table())
        print(report.line())
    finally:
        if report and report.ok:
            shutil.rmtree(folder)
        else:
            print(f"What the processes said is in {folder / 'log'}", file=terminal)
    return 0 if report.ok else 1


def _plan() -> Plan:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000, help="uploads to be accepted (default 2000)")
    parser.add_argument(
        "--seed", type=int, default=None, help="of the random order; a random one by default, which is told"
    )
    parser.add_argument("--faults", default=",".join(FAULTS), help="comma separated; all by default: %(default)s")
    parser.add_argument("--short", action="store_true", help="short faults and a short STENO_WORKER_TTL")
    parser.add_argument("--webhooks", action="store_true", help="give each job a callback_url and look at what arrives")
    parser.add_argument("--idempotency", action="store_true", help="no upload may become two jobs")
    asked = parser.parse_args()
    names = [name for name in asked.faults.split(",") if name]
    if unknown := [name for name in names if name not in FAULTS]:
        parser.error(f"there is no fault {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    if asked.jobs < 1 or not names:
        parser.error("ask for at least one job and one fault")
    seed = random.SystemRandom().randrange(1 << 31) if asked.seed is None else asked.seed
    return Plan(asked.jobs, seed, names, asked.short, asked.webhooks, asked.idempotency)


if __name__ == "__main__":
    sys.exit(main())
