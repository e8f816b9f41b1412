"""Looking at processes and waiting for things to happen, for tests that kill."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return _stat(pid)[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    """The live direct children of a process."""
    return [int(entry.name) for entry in _processes() if _is_child(int(entry.name), pid)]


def engines(pid: int) -> list[int]:
    """The engine processes of a worker. For a moment after its start it has another child, which asks for versions."""
    return [child for child in children(pid) if b"worker.horse" in _command(child)]


def eventually(condition: Callable[[], object], seconds: float = 60.0, pause: float = 0.02) -> bool:
    """Whether the condition comes true in time; looked at again after a pause in seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(pause)
    return False


def _processes() -> Iterator[Path]:
    return (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _is_child(pid: int, of: int) -> bool:
    try:
        state, parent = _stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return parent == of and state != "Z"


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _stat(pid: int) -> tuple[str, int]:
    """State and parent; the name before them may hold anything, so read from its closing bracket."""
    os.kill(pid, 0)
    state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return state, int(parent)
