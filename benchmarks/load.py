"""Many requests for one page: as fast as a server answers them, or at a steady light rate.

As a process, `python -m benchmarks.load PORT PATH CONNECTIONS SECONDS`: keeps so many keep-alive connections busy for
so long, and prints {"requests_per_second", "p50_ms", "p99_ms"}.
"""

import json
import re
import selectors
import socket
import sys
import threading
import time
from typing import Final

from benchmarks.result import percentile
from benchmarks.servers import HOST, ask

_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Asker:
    """One keep-alive connection that asks for one page over and over."""

    def __init__(self, port: int, path: str) -> None:
        self.socket = socket.create_connection((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked = 0.0
        self._request = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
        self._heard = b""

    def ask(self) -> None:
        self.asked = time.perf_counter()
        self._heard = b""
        self.socket.sendall(self._request)

    def hear(self) -> bool:
        """Take what has arrived; True once the answer is whole. Raises RuntimeError if it is not a 200."""
        self._heard += self.socket.recv(1 << 18)
        head, ended, body = self._heard.partition(b"\r\n\r\n")
        if not ended:
            return False
        length = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200 ") or length is None:
            raise RuntimeError(f"unexpected answer: {self._heard[:200]!r}")
        return len(body) == int(length[1])


def saturate(port: int, path: str, seconds: float, connections: int = 32) -> dict[str, float]:
    """Requests a second and latency under as much load as the connections make, from a process of its own."""
    told: dict[str, float] = ask("benchmarks.load", str(port), path, str(connections), str(seconds))
    return told


def _keep_busy(askers: list[Asker], seconds: float) -> list[float]:
    """Latencies in seconds of the answers that came in time."""
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        for asker in askers:
            selector.register(asker.socket, selectors.EVENT_READ, asker)
            asker.ask()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for key, _ in selector.select(1.0):
                if key.data.hear():
                    latencies.append(time.perf_counter() - key.data.asked)
                    key.data.ask()
    return latencies


class Prober:
    """While the context lasts, a thread asks `rate` times a second over one connection; `latencies` are in seconds.

    A question that is due while the last one is still unanswered counts from when it was due: a stalled server must not
    look good because nobody asked.
    """

    def __init__(self, port: int, path: str, rate: float) -> None:
        self.latencies: list[float] = []
        self._asker = Asker(port, path)
        self._interval = 1 / rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Prober":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._asker.socket.close()

    def _run(self) -> None:
        due = time.perf_counter()
        while not self._stop.is_set():
            late = time.perf_counter() > due
            self._stop.wait(due - time.perf_counter())
            self._asker.ask()
            while not self._asker.hear():
                pass
            self.latencies.append(time.perf_counter() - (due if late else self._asker.asked))
            due += self._interval


def main() -> None:
    port, path, connections, seconds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    askers = [Asker(port, path) for _ in range(connections)]
    latencies = _keep_busy(askers, seconds)
    told = {
        "requests_per_second": len(latencies) / seconds,
        "p50_ms": percentile(latencies, 0.5) * 1000,
        "p99_ms": percentile(latencies, 0.99) * 1000,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
