"""The floor of transcription: a library called in a loop, in one process, with nothing around it.

As a process, `python -m benchmarks.loop WAY KEPT WARMING FILE...`: WAY is a function of benchmarks/libraries.py; KEPT is
`kept` to load the models once, `dropped` to load them anew for each recording; the first WARMING files are heard before the
clock starts. Prints a list with {"seconds", "words", "peak_mb"} for each of the others: the peak is that of the process so far.
"""

import contextlib
import gc
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import libraries
from benchmarks.servers import ask
from benchmarks.usage import usage


@dataclass(frozen=True)
class Heard:
    """One recording: wall seconds, decoding included; words heard; peak memory of the process that computed, in MB."""

    seconds: float
    words: int
    peak_mb: float


def loop(
    way: Callable[[], libraries.Listen],
    files: Sequence[Path],
    warming: Sequence[Path],
    python: str,
    environment: Mapping[str, str],
    *,
    kept: bool = True,
) -> list[Heard]:
    """Each of the files as this way of listening hears it, in a process of its own that has heard the warming ones before."""
    names = map(str, (*warming, *files))
    arguments = (way.__name__, "kept" if kept else "dropped", str(len(warming)), *names)
    return [Heard(**told) for told in ask("benchmarks.loop", *arguments, python=python, **environment)]


def _listening(way: Callable[[], libraries.Listen], *, kept: bool) -> libraries.Listen:
    if kept:
        return way()

    def listen_anew(path: Path) -> int:
        words = way()(path)
        gc.collect()  # what a model holds in circles goes with it
        return words

    return listen_anew


def _hear(listen: libraries.Listen, files: Sequence[Path]) -> Iterator[Heard]:
    for path in files:
        began = time.monotonic()
        words = listen(path)
        yield Heard(time.monotonic() - began, words, usage(os.getpid()).peak_mb)


def main() -> None:
    name, kept, warming = sys.argv[1], sys.argv[2] == "kept", int(sys.argv[3])
    files = [Path(argument) for argument in sys.argv[4:]]
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)  # the libraries tell of every model that they load
    with contextlib.redirect_stdout(sys.stderr):  # libraries print, too
        listen = _listening(getattr(libraries, name), kept=kept)
        heard = list(_hear(listen, files))[warming:]
    print(json.dumps([asdict(one) for one in heard]))


if __name__ == "__main__":
    main()
