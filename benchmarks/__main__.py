"""`python -m benchmarks [NAME...]`: the benchmarks named, or all of them; one JSON object a line."""

import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import engines, events, openai, overhead, recovery, reload, status, upload, uploads_at_once, warm
from benchmarks.result import Result

BENCHMARKS: dict[str, Callable[[Path], Iterator[Result]]] = {
    "upload": upload.run,
    "status": status.run,
    "events": events.run,
    "openai": openai.run,
    "overhead": overhead.run,
    "uploads-at-once": uploads_at_once.run,
    "warm": warm.run,
    "reload": reload.run,
    "recovery": recovery.run,
    "engines": engines.run,
}


def main(names: list[str]) -> int:
    if unknown := set(names) - set(BENCHMARKS):
        print(
            f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}.", file=sys.stderr
        )
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends what was started, as Ctrl-C does
    try:
        for name in names or BENCHMARKS:
            with tempfile.TemporaryDirectory(prefix="steno-benchmark-") as folder:
                for result in BENCHMARKS[name](Path(folder)):
                    print(result.line(), flush=True)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
