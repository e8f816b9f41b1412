"""A receiver of webhooks that keeps what it was told: which ids, with which bodies, for which job."""

import base64
import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final

from chaos.proxy import HOST

SECRET: Final = "whsec_" + base64.b64encode(b"chaos" * 6).decode()


class Receiver:
    """Answers 204 to every delivery with a good signature and keeps it; 400 to any other, and counts those."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, dict[str, set[bytes]]] = {}
        self.deliveries = 0
        self.refused = 0
        self._server = ThreadingHTTPServer((HOST, 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="receiver")
        self.url = f"http://{HOST}:{self._server.server_address[1]}/told"

    @property
    def told(self) -> dict[str, dict[str, set[bytes]]]:
        """By job, by webhook id: the different bodies that came."""
        with self._lock:
            return {job_id: dict(ids) for job_id, ids in self._told.items()}

    def take(self, webhook_id: str, timestamp: str, signatures: str, body: bytes) -> bool:
        """Keep a delivery, if one of its signatures is ours (Standard Webhooks, v1)."""
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        digest = hmac.digest(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
        with self._lock:
            if f"v1,{base64.b64encode(digest).decode()}" not in signatures.split():
                self.refused += 1
                return False
            self.deliveries += 1
            job_id = json.loads(body)["data"]["job_id"]
            self._told.setdefault(job_id, {}).setdefault(webhook_id, set()).add(body)
            return True

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                told = [self.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")]
                good = receiver.take(told[0], told[1], told[2], body)
                self.send_response(204 if good else 400)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: the report tells."""

        return Handler

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
