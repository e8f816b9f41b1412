"""The client of every upload measured: files by sendfile, so that it costs next to nothing and the same for everyone.

As a process, `python -m benchmarks.sender PORT AT_ONCE ENGINE WAY FILE...`: sends each file as a `form` to /transcribe, or by
`tus` in pieces of 8 MB to /uploads, and prints
{"began": time.monotonic() at the first byte, "seconds": until the last answer, "answers": [[status, body], ...]}.
"""

import base64
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
_STREAM: Final = "application/offset+octet-stream"
_PIECE_BYTES: Final = 8 << 20


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


def send(port: int, files: Sequence[Path], at_once: int = 1, engine: str = "faster-whisper", way: str = "form") -> Sent:
    """Send the files from a process of their own, `at_once` at a time, each batch over connections opened before."""
    told = ask("benchmarks.sender", str(port), str(at_once), engine, way, *map(str, files))
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
            _send_bytes(connection, file.fileno(), 0, path.stat().st_size)
            connection.sendall(tail)
        while more := connection.recv(1 << 16):
            answer += more
    status, _, body = answer.partition(b"\r\n\r\n")
    return (int(status.split()[1]) if status else 0), body.decode()


def _send_bytes(connection: socket.socket, file: int, begin: int, end: int) -> None:
    while begin < end:
        begin += os.sendfile(connection.fileno(), file, begin, end - begin)


def _in_pieces(connection: socket.socket, path: Path, engine: str) -> tuple[int, str]:
    """By tus, over one connection, one piece after the other. 200 and the job's id, or the status and head of what refused."""
    size = path.stat().st_size
    pairs = {"filename": path.name, "engine": engine}
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in pairs.items())
    common = f"Host: {HOST}\r\nTus-Resumable: 1.0.0\r\n"
    with connection, path.open("rb") as file:
        create = f"POST /uploads HTTP/1.1\r\n{common}Upload-Length: {size}\r\nUpload-Metadata: {metadata}\r\n"
        connection.sendall(f"{create}Content-Length: 0\r\n\r\n".encode())
        status, told = _head_of_answer(connection)
        location, piece = told.get("location", ""), f"Content-Type: {_STREAM}\r\n"
        for begin in range(0, size, _PIECE_BYTES):
            end = min(begin + _PIECE_BYTES, size)
            request = f"PATCH {location} HTTP/1.1\r\n{common}{piece}Upload-Offset: {begin}\r\n"
            connection.sendall(f"{request}Content-Length: {end - begin}\r\n\r\n".encode())
            _send_bytes(connection, file.fileno(), begin, end)
            status, told = _head_of_answer(connection)
            if status != 204:
                return status, str(told)
    return (200, told["steno-job-id"]) if "steno-job-id" in told else (status, str(told))


def _head_of_answer(connection: socket.socket) -> tuple[int, dict[str, str]]:
    """Of one without a body."""
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        more = connection.recv(1 << 16)
        if not more:
            return 0, {}
        answer += more
    first, *lines = answer.decode().split("\r\n")
    return int(first.split()[1]), {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def _batches(files: Sequence[Path], at_once: int) -> Iterator[Sequence[Path]]:
    for start in range(0, len(files), at_once):
        yield files[start : start + at_once]


_WAYS: Final = {"form": _post, "tus": _in_pieces}


def main() -> None:
    port, at_once, engine, way = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    files = [Path(name) for name in sys.argv[5:]]
    answers: list[tuple[int, str]] = []
    began = 0.0
    with ThreadPoolExecutor(at_once) as pool:
        for batch in _batches(files, at_once):
            connections = [socket.create_connection((HOST, port)) for _ in batch]
            began = began or time.monotonic()
            answers += pool.map(_WAYS[way], connections, batch, repeat(engine))
    print(json.dumps({"began": began, "seconds": time.monotonic() - began, "answers": answers}))


if __name__ == "__main__":
    main()
