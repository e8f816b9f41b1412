"""The worker's side of the engine process: start it, hand it a job, hear its events, kill it when it must go."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import IO, Any, Final

from steno.interpreters import CALM
from steno.jobs.errors import EngineDied, EngineOutOfMemory

_KILLED: Final = -int(signal.SIGKILL)
_CHUNK: Final = 1 << 12
"""Bytes of events read at once. Python takes so many, and cuts them down to what came: of 64 KB the rest was soon a bit too short
for the next 64, and the heap of a worker grew by half a megabyte an hour."""
_LAST_BREATH: Final = 5.0
"""Seconds between a process closing its output and its end."""


class Silence(Exception):
    """The engine process said nothing until the moment given."""


class EngineProcess:
    """At most one process that works, started when first needed and kept until it dies or is killed; and one that stands by.

    Not for two threads at once, but `kill` may be called from any thread or signal handler.
    """

    def __init__(self, environment: dict[str, str] | None = None, python: str = sys.executable) -> None:
        self._environment = environment
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None
        self._spare: subprocess.Popen[bytes] | None = None
        self._unread = b""

    @property
    def pid(self) -> int | None:
        """Of the running process; None if there is none."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def send(self, job: dict[str, Any]) -> None:
        """Hand over a job, starting a process if there is none. Raises EngineDied."""
        if self.pid is None:
            self._start()
        process = self._running()
        try:
            _input(process).write(json.dumps(job).encode() + b"\n")
        except OSError as error:
            raise self._obituary() from error

    def event(self, until: float) -> dict[str, Any]:
        """The next event of the job. Raises Silence at `until` (time.monotonic), EngineDied, EngineOutOfMemory."""
        process = self._running()
        assert process.stdout is not None
        while b"\n" not in self._unread:
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise Silence
            chunk = os.read(process.stdout.fileno(), _CHUNK)
            if not chunk:
                raise self._obituary()
            self._unread += chunk
            if time.monotonic() > until and b"\n" not in chunk:
                raise Silence
        line, self._unread = self._unread.split(b"\n", 1)
        event: dict[str, Any] = json.loads(line)
        return event

    def kill(self) -> None:
        """End the process at once and give back its memory. The next job starts a fresh one."""
        process = self._process
        if process is not None:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LAST_BREATH)
            if process.returncode is None:  # in the kernel's hands (a hanging disk or GPU): leave it there
                self._process = None

    def stand_by(self, engine: str) -> None:
        """Have a second process import this engine's libraries, to take over when the first one is gone.

        Say it after every job: like models, libraries that nobody needs for long are let go. Raises nothing: this is a comfort.
        """
        with contextlib.suppress(OSError, EngineDied):
            if self._spare is None or self._spare.poll() is not None:
                _close(self._spare)
                self._spare = None
                self._spare = self._spawned()
                os.set_blocking(_input(self._spare).fileno(), False)  # one that hangs must not hold up the worker
            _input(self._spare).write(json.dumps({"stand_by": engine}).encode() + b"\n")

    def close(self) -> None:
        """End both processes."""
        self._bury()
        if self._spare is not None:
            self._spare.kill()
        _close(self._spare)
        self._spare = None

    def _bury(self) -> None:
        self.kill()
        _close(self._process)
        self._process = None

    def _start(self) -> None:
        self._bury()
        self._unread = b""
        spare, self._spare = self._spare, None
        if spare is not None and spare.poll() is None:
            os.set_blocking(_input(spare).fileno(), True)
            self._process = spare
        else:
            _close(spare)
            self._process = self._spawned()

    def _spawned(self) -> "subprocess.Popen[bytes]":
        try:
            return subprocess.Popen(
                [self._python, "-m", "worker.horse"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env={**CALM, **(os.environ if self._environment is None else self._environment)},
                process_group=0,  # Ctrl-C in a terminal goes to the worker alone
            )
        except OSError as error:
            raise EngineDied(f"The engine process could not be started with {self._python}: {error}.") from error

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise EngineDied
        return self._process

    def _obituary(self) -> EngineDied | EngineOutOfMemory:
        """Why the process ended, as an error of the job. Linux's memory killer leaves nothing but its signal."""
        process = self._running()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LAST_BREATH)
        code = process.returncode
        self._bury()
        if code is None:
            return EngineDied("The engine process closed its output in the middle of the job.")
        if code == _KILLED:
            return EngineOutOfMemory("The engine process was killed (SIGKILL), most likely because memory ran out.")
        if code < 0:
            return EngineDied(f"The engine process crashed in the middle of the job ({_signal_name(-code)}).")
        return EngineDied(f"The engine process ended in the middle of the job (exit code {code}).")


def _input(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin


def _close(process: "subprocess.Popen[bytes] | None") -> None:
    """Close the pipes of a process that ends or has ended; without its input it ends itself."""
    if process is None:
        return
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LAST_BREATH)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
