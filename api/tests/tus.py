"""A client of tus that does exactly what it is told, and one upload of it."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

import httpx

from api.tests.wire import Wire, head

STREAM: Final = "application/offset+octet-stream"
WAV: Final = b"RIFF" + bytes(range(256)) * 400


def pairs(**values: str) -> str:
    """Upload-Metadata."""
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in values.items())


TALK: Final = pairs(filename="talk.wav", engine="whisperx")


def checksum(data: bytes, algorithm: str = "sha1") -> str:
    """Upload-Checksum."""
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


class Tus:
    """Every method gives the answer, whatever it is."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, headers={"Tus-Resumable": "1.0.0"}, timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.http.close()

    def create(self, length: int | None = len(WAV), metadata: str = TALK, **more: Any) -> httpx.Response:
        headers = {"Upload-Metadata": metadata, **_headers(more.pop("headers", {}))}
        headers |= {} if length is None else {"Upload-Length": str(length)}
        return self.http.post("/uploads", headers=headers, **more)

    def begun(self, length: int | None = len(WAV), metadata: str = TALK, **headers: str) -> str:
        """The path of a new upload."""
        answer = self.create(length, metadata, headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.headers["location"]

    def patch(
        self, path: str, offset: int | None, data: bytes | Iterator[bytes] = b"", **headers: str
    ) -> httpx.Response:
        at = {} if offset is None else {"Upload-Offset": str(offset)}
        return self.http.patch(path, content=data, headers={"Content-Type": STREAM, **at, **_headers(headers)})

    def head(self, path: str) -> httpx.Response:
        return self.http.head(path)

    def offset(self, path: str) -> int:
        answer = self.head(path)
        assert answer.status_code == 200, answer.status_code
        return int(answer.headers["upload-offset"])

    def delete(self, path: str) -> httpx.Response:
        return self.http.delete(path)

    def look(self, path: str) -> dict[str, Any]:
        told: dict[str, Any] = self.http.get(path).json()
        return told


def begin_patch(wire: Wire, path: str, offset: int, length: int, data: bytes) -> None:
    """The head of a PATCH that announces so many bytes, and the first of them."""
    more = ("Tus-Resumable: 1.0.0", f"Upload-Offset: {offset}")
    wire.send(head(length, *more, method="PATCH", path=path, content_type=STREAM) + data)


def job_of(path: str) -> str:
    return path.rpartition("/")[2]


def _headers(named: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in named.items()}
