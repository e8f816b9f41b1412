"""Runs in every Python process under test before anything else: its clock can be shifted, its disk can seem full.

Two files in the folder that CHAOS_FOLDER names decide, and are looked at again many times a second: `clock` holds the
seconds by which time.time and datetime.now are ahead; while `full` is there, making folders, writing uploads and syncing
files meet ENOSPC.
"""

import datetime
import errno
import os
import time
from typing import Any

_LOOK_SECONDS = 0.05
_REAL = datetime.datetime


class _Clock:
    """How far ahead the clock is, read anew when the last look is too old."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._looked = 0.0
        self._ahead = 0.0
        self._time = time.time

    def ahead(self) -> float:
        now = time.monotonic()
        if now - self._looked > _LOOK_SECONDS:
            self._looked = now
            try:
                with open(self._path) as file:  # noqa: PTH123 - pathlib would be imported into every process for this
                    self._ahead = float(file.read())
            except (OSError, ValueError):
                pass  # not there yet, or being written
        return self._ahead

    def time(self) -> float:
        return self._time() + self.ahead()

    def time_ns(self) -> int:
        return int(self.time() * 1e9)


class _AsDatetime(type):
    """Values made by C code are of the real class; they count as ours, too."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _REAL)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _REAL)


def _shift_clock(path: str) -> None:
    clock = _Clock(path)

    class Shifted(_REAL, metaclass=_AsDatetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return _REAL.now(tz) + datetime.timedelta(seconds=clock.ahead())

        @classmethod
        def utcnow(cls) -> Any:
            return cls.now(datetime.UTC).replace(tzinfo=None)

    Shifted.__name__ = Shifted.__qualname__ = "datetime"
    for name, value in (("time", clock.time), ("time_ns", clock.time_ns)):
        setattr(time, name, value)
    setattr(datetime, "datetime", Shifted)  # noqa: B010 - a type checker knows that one does not assign to a class


def _fill_disk(path: str) -> None:
    def refusing(call: Any) -> Any:
        def refused(*args: Any, **named: Any) -> Any:
            if os.path.exists(path):  # noqa: PTH110
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*args, **named)

        return refused

    for name in ("writev", "fsync", "mkdir"):
        setattr(os, name, refusing(getattr(os, name)))


if folder := os.environ.get("CHAOS_FOLDER"):
    _shift_clock(f"{folder}/clock")
    _fill_disk(f"{folder}/full")
