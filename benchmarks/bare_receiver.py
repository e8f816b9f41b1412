"""The floor of an upload: bytes from a socket to the disk, synced, and nothing else.

As a process, `python -m benchmarks.bare_receiver PORT FOLDER`: one connection after the other, each a request with a
Content-Length whose body becomes a file.
"""

import os
import re
import socket
import sys
from pathlib import Path
from typing import Final

from benchmarks.servers import HOST

_BUFFER_BYTES: Final = 1 << 20
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def receive(connection: socket.socket, target: Path, buffer: memoryview) -> bool:
    """Write one request's body to `target` and sync it; False if the other side only looked whether anybody listens."""
    got = connection.recv_into(buffer)
    head, _, body = bytes(buffer[:got]).partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length is None:
        return False
    left = int(length[1]) - len(body)
    with target.open("wb", buffering=0) as file:
        file.write(body)
        while left and (got := connection.recv_into(buffer)):
            left -= file.write(buffer[:got])
        os.fsync(file.fileno())
    return not left


def main() -> None:
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    with socket.create_server((HOST, port)) as listener:
        for number in range(sys.maxsize):
            connection, _ = listener.accept()
            with connection:
                if receive(connection, folder / str(number), buffer):
                    connection.sendall(_ANSWER)


if __name__ == "__main__":
    main()
