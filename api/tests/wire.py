"""Forms made byte by byte, and a connection that sends them as a broken or hostile client would."""

import json
import socket
import struct
from dataclasses import dataclass
from http.client import HTTPResponse
from types import TracebackType
from typing import Any, Final

BOUNDARY: Final = "xYzZy"
MULTIPART: Final = f"multipart/form-data; boundary={BOUNDARY}"
SOUND: Final = b"RIFF" + b"\x00" * 100
KIB: Final = 1024
MIB: Final = 1024 * KIB


def part(*headers: bytes | str, body: bytes) -> bytes:
    """One part of a form, its headers to the letter."""
    lines = [line if isinstance(line, bytes) else line.encode() for line in headers]
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def field(name: str, value: str | bytes) -> bytes:
    body = value if isinstance(value, bytes) else value.encode()
    return part(f'Content-Disposition: form-data; name="{name}"', body=body)


def recording(data: bytes = SOUND, filename: str | bytes = "talk.wav", name: str = "file") -> bytes:
    shown = filename if isinstance(filename, bytes) else filename.encode()
    disposition = b'Content-Disposition: form-data; name="' + name.encode() + b'"; filename="' + shown + b'"'
    return part(disposition, "Content-Type: audio/wav", body=data)


ENGINE: Final = field("engine", "whisperx")


def form(*parts: bytes, end: bytes = b"--\r\n", boundary: str = BOUNDARY) -> bytes:
    """The parts between boundaries; another `end` leaves the form open."""
    mark = b"--" + boundary.encode()
    return b"".join(mark + b"\r\n" + each + b"\r\n" for each in parts) + mark + end


def head(
    length: int | None = None,
    *more: str,
    method: str = "POST",
    path: str = "/transcribe",
    content_type: str | None = MULTIPART,
) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: steno", *more]
    lines += [f"Content-Type: {content_type}"] if content_type else []
    lines += [f"Content-Length: {length}"] if length is not None else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


CHUNKED: Final = head(None, "Transfer-Encoding: chunked")


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body; the empty one ends it."""
    return b"%x\r\n" % len(data) + data + b"\r\n"


def upload(*parts: bytes) -> bytes:
    """A whole honest request."""
    body = form(*parts)
    return head(len(body)) + body


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def code(self) -> str:
        return str(self.json["code"])

    @property
    def detail(self) -> str:
        return str(self.json["detail"])

    @property
    def job_id(self) -> str:
        assert self.status == 200, self.body
        return str(self.json["job_id"])


class Wire:
    """One connection. Sends what it is given, whether or not the other side still wants it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> bool:
        """False if the other side hung up before it had everything."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def hang_up(self, reset: bool = False) -> None:
        """Close the connection, politely or not."""
        linger = struct.pack("ii", 1, 0)
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()

    def done_sending(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def answer(self) -> Answer:
        """The next answer, past any `100 Continue`."""
        response = HTTPResponse(self._socket)
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        answer = Answer(response.status, headers, response.read())
        response.close()
        return answer

    def first_bytes(self, count: int) -> bytes:
        """What comes first, be it `100 Continue` or the answer."""
        return self._socket.recv(count, socket.MSG_WAITALL)

    def everything(self) -> bytes:
        """All that comes until the other side hangs up."""
        received = bytearray()
        try:
            while piece := self._socket.recv(64 * KIB):
                received += piece
        except ConnectionResetError:
            pass
        return bytes(received)
