"""Webhook receivers over real sockets: good ones, and those that nobody wants to talk to."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

CERTIFICATE: Final = Path(__file__).parent / "tls" / "cert.pem"
"""Of hooks.example, signed by itself; its key beside it is for these tests only."""


@dataclass(frozen=True)
class Heard:
    """A request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[["Receiver", socket.socket, Heard], None]


@dataclass
class Receiver:
    """Hears on a port of its own and answers as it was told, each connection in a thread."""

    answer: Answer
    listener: socket.socket
    tls: ssl.SSLContext | None = None
    heard: list[Heard] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    most_at_once: int = 0
    _at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    @property
    def at_once(self) -> int:
        """How many it is talking to."""
        return self._at_once

    def at(self, path: str) -> str:
        """The URL of another path of it."""
        return self.url().replace("/hook?a=b", path)

    @property
    def ids(self) -> list[str]:
        """The webhook-id of each request, in order."""
        return [heard.headers["webhook-id"] for heard in self.heard]

    def url(self, host: str | None = None) -> str:
        """Its address, under another name where one is given."""
        return f"http{'s' if self.tls else ''}://{host or self.listener.getsockname()[0]}:{self.port}/hook?a=b"

    def serve(self) -> None:
        while not self.ended.is_set():
            with contextlib.suppress(OSError):
                connection, _ = self.listener.accept()
                thread = threading.Thread(target=self._follow, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _follow(self, plain: socket.socket) -> None:
        plain.settimeout(10)
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            with plain, contextlib.suppress(OSError), self._wrapped(plain) as connection:
                heard = _request(connection)
                if heard is not None:
                    self.heard.append(heard)
                    self.answer(self, connection, heard)
        finally:
            with self._lock:
                self._at_once -= 1

    def _wrapped(self, plain: socket.socket) -> socket.socket:
        return self.tls.wrap_socket(plain, server_side=True) if self.tls else plain

    def close(self) -> None:
        self.ended.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self._threads:
            thread.join(10)


def _request(connection: socket.socket) -> Heard | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (entry.partition(":") for entry in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return Heard(line, headers, body)


def says(status: int, *headers: str, body: bytes = b"") -> Answer:
    """Answers with this, at once."""

    def answer(receiver: Receiver, connection: socket.socket, heard: Heard) -> None:
        head = [f"HTTP/1.1 {status} Said", f"content-length: {len(body)}", *headers]
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)

    return answer


def writes(data: bytes) -> Answer:
    """Answers with these bytes, whatever they mean, and hangs up."""

    def answer(receiver: Receiver, connection: socket.socket, heard: Heard) -> None:
        connection.sendall(data)

    return answer


def silent(receiver: Receiver, connection: socket.socket, heard: Heard) -> None:
    """Takes the request and says nothing until the other side has gone."""
    connection.settimeout(0.05)
    while not receiver.ended.is_set():
        with contextlib.suppress(TimeoutError):
            if not connection.recv(1):
                return


def sends_forever(head: bytes, chunk: bytes, pause: float = 0.0) -> Answer:
    """Begins with `head` and never stops."""

    def answer(receiver: Receiver, connection: socket.socket, heard: Heard) -> None:
        connection.sendall(head)
        while not receiver.ended.is_set():
            connection.sendall(chunk)
            time.sleep(pause)

    return answer


ENDLESS: Final = {
    "head": sends_forever(b"HTTP/1.1 200 OK\r\n", b"x-padding: " + b"a" * 1000 + b"\r\n"),
    "one header": sends_forever(b"HTTP/1.1 200 OK\r\nx-padding: ", b"a" * 1000),
    "interim answers": sends_forever(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "head, byte by byte": sends_forever(b"HTTP/1.1 200 OK\r\nx-padding: ", b"a", 0.05),
}
ENDLESS_BODY: Final = sends_forever(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n", b"a" * 1000)


@contextmanager
def receiving(answer: Answer, host: str = "127.0.0.1", port: int = 0, tls: bool = False) -> Iterator[Receiver]:
    """A receiver on this address."""
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_name("key.pem"))
    receiver = Receiver(answer, socket.create_server((host, port), backlog=128), context)
    if context:
        context.sni_callback = lambda _socket, name, _context: receiver.names.append(name)
    thread = threading.Thread(target=receiver.serve, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.close()
        thread.join(10)
