"""The client of every upload measured: files by sendfile, so that it costs next to nothing and the same for everyone.

As a process, `python -m benchmarks.sender PORT AT_ONCE ENGINE FILE...`: posts each file as a form to /transcribe and prints
{"began": time.monotonic() at the first byte, "seconds": until the last answer, "answers": [[status, body], ...]}.
"""

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Final

from benchmarks.servers import HOST, ask

_BOUNDARY: Final = "steno-benchmark-1f0c9e5a7d3b"


@dataclass(frozen=True)
class Sent:
    """How a batch of uploads went. `began` is a moment of time.monotonic(), which all processes share."""

    began: float
    seconds: float
    answers: list[tuple[int, str]]

    def accepted(self) -> list[str]:
        """The bodies of the answers. Raises RuntimeError if any was not 200: what was measured is no upload then."""
        if refused := [answer for answer in self.answers if answer[0] != 200]:
            raise RuntimeError(f"{len(refused)} uploads were refused, the first with {refused[0]}")
        return [body for _, body in self.answers]


def send(port: int, files: Sequence[Path], at_once: int = 1, engine: str = "faster-whisper") -> Sent:
    """Post the files from a process of their own, `at_once` at a time, each batch over connections opened before."""
    told = ask("benchmarks.sender", str(port), str(at_once), engine, *map(str, files))
    return Sent(told["began"], told["seconds"], [(status, body) for status, body in told["answers"]])


def _frame(path: Path, engine: str) -> tuple[bytes, bytes]:
    """What goes before and after the file's bytes."""
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="engine"\r\n\r\n{engine}\r\n'
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    tail = f"\r\n--{_BOUNDARY}--\r\n"
    length = len(head) + path.stat().st_size + len(tail)
    request = (
        f"POST /transcribe HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: {length}\r\n"
        f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\n\r\n"
    )
    return (request + head).encode(), tail.encode()


def _post(connection: socket.socket, path: Path, engine: str) -> tuple[int, str]:
    """Status and body of the answer; 0 if there was none."""
    head, tail = _frame(path, engine)
    answer = b""
    with connection, contextlib.suppress(OSError):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError), path.open("rb") as file:
            connection.sendall(head)
            size, offset = path.stat().st_size, 0
            while offset < size:
                offset += os.sendfile(connection.fileno(), file.fileno(), offset, size - offset)
            connection.sendall(tail)
        while more := connection.recv(1 << 16):
            answer += more
    status, _, body = answer.partition(b"\r\n\r\n")
    return (int(status.split()[1]) if status else 0), body.decode()


def _batches(files: Sequence[Path], at_once: int) -> Iterator[Sequence[Path]]:
    for start in range(0, len(files), at_once):
        yield files[start : start + at_once]


def main() -> None:
    port, at_once, engine, files = (
        int(sys.argv[1]),
        int(sys.argv[2]),
        sys.argv[3],
        [Path(name) for name in sys.argv[4:]],
    )
    answers: list[tuple[int, str]] = []
    began = 0.0
    with ThreadPoolExecutor(at_once) as pool:
        for batch in _batches(files, at_once):
            connections = [socket.create_connection((HOST, port)) for _ in batch]
            began = began or time.monotonic()
            answers += pool.map(_post, connections, batch, repeat(engine))
    print(json.dumps({"began": began, "seconds": time.monotonic() - began, "answers": answers}))


if __name__ == "__main__":
    main()
