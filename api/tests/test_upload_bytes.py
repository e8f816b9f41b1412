"""What is stored is what was sent, byte for byte, for any client that speaks multipart and however the network cuts it."""

import asyncio
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
from fastapi import Request
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from starlette.types import Message

from api.storage import Intake, Writer
from api.tests.conftest import Serve
from api.tests.server import Server
from api.tests.wire import BOUNDARY, ENGINE, KIB, MIB, MULTIPART, field, form, recording
from steno.config import Settings
from steno.storage import LocalStorage
from steno.storage.local import LocalUpload

few = examples(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
pieces = st.sampled_from(
    [
        b"\r",
        b"\n",
        b"\r\n",
        b"--",
        b"\r\n--",
        b"\r\n--xYz",
        b"\r\n--xYzZ",
        b"--xYzZy",
        b"\n--xYzZy--",
        b"xYzZy",
        b"\0",
        b"\xff",
    ]
)
contents = st.lists(pieces | st.binary(max_size=8), max_size=60).map(lambda each: b"RIFF" + b"".join(each))
contents = contents.filter(lambda data: f"\r\n--{BOUNDARY}".encode() not in data)


@pytest.fixture(scope="module")
def http(common_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=common_server.url) as client:
        yield client


def pattern(size: int) -> bytes:
    """Bytes full of line breaks, of which no two stretches are alike."""
    line = b"".join(b"%d\r\n--\n\r" % n for n in range(40 * KIB))
    return (line * (size // len(line) + 1))[:size]


@pytest.mark.parametrize("size", [1, 8191, 8192, 8193, MIB - 1, MIB, MIB + 1, 2 * MIB])
def test_a_plain_client_finds_its_bytes_in_storage(server: Server, http: httpx.Client, size: int) -> None:
    data = pattern(size)
    told = http.post("/transcribe", files={"file": ("talk.wav", data, "audio/wav")}, data={"engine": "whisperx"})
    assert told.status_code == 200
    assert told.json() == {"job_id": told.json()["job_id"], "status": "queued"}
    assert server.sha256_of(told.json()["job_id"]) == hashlib.sha256(data).hexdigest()
    assert server.request_of(told.json()["job_id"])["size"] == size


def test_a_larger_file_of_a_plain_client_is_stored_as_it_was_sent(serve: Serve) -> None:
    server, data = serve(), pattern(5 * MIB)
    told = httpx.post(f"{server.url}/transcribe", files={"file": ("talk.wav", data)}, data={"engine": "whisperx"})
    assert server.sha256_of(told.json()["job_id"]) == hashlib.sha256(data).hexdigest()


def test_a_client_that_streams_finds_its_bytes_in_storage(server: Server, http: httpx.Client) -> None:
    data = pattern(MIB + 17)
    body = form(ENGINE, recording(data))
    cuts = (body[at : at + 9973] for at in range(0, len(body), 9973))
    told = http.post("/transcribe", content=cuts, headers={"Content-Type": MULTIPART})
    assert server.sha256_of(told.json()["job_id"]) == hashlib.sha256(data).hexdigest()


@few
@given(data=contents)
def test_content_that_looks_like_a_form_is_kept(server: Server, http: httpx.Client, data: bytes) -> None:
    told = http.post(
        "/transcribe",
        files={"file": ("talk.wav", data)},
        data={"engine": "whisperx"},
        headers={"Content-Type": MULTIPART},
    )
    assert server.sha256_of(told.json()["job_id"]) == hashlib.sha256(data).hexdigest()


def asked(chunks: Sequence[bytes]) -> Request:
    """A request whose body arrives in these very chunks."""
    left = [*chunks]

    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": left.pop(0) if left else b"", "more_body": bool(left)}

    scope: dict[str, Any] = {"type": "http", "method": "POST", "headers": [(b"content-type", MULTIPART.encode())]}
    return Request(scope, receive)


async def taken_in(settings: Settings, chunks: Sequence[bytes]) -> bytes:
    """The recording as the intake stored it, before it is committed."""
    intake = Intake(settings, LocalStorage(settings.upload_dir))
    try:
        await intake.receive(asked(chunks))
        [partial] = settings.upload_dir.rglob("*.part")
        return partial.read_bytes()
    finally:
        await intake.discard()
        assert list(settings.upload_dir.iterdir()) == []


@few
@given(data=contents, cuts=st.lists(st.integers(1, 50), min_size=1, max_size=12))
def test_the_networks_cuts_do_not_matter(settings: Settings, data: bytes, cuts: list[int]) -> None:
    rest, chunks = form(field("engine", "faster-whisper"), recording(data)), list[bytes]()
    for size in itertools.cycle(cuts):
        chunks, rest = [*chunks, rest[:size]], rest[size:]
        if not rest:
            break
    assert asyncio.run(taken_in(settings, chunks)) == data


class Counting:
    """A true upload that remembers how many buffers it was handed at once."""

    def __init__(self, inner: LocalUpload) -> None:
        self.inner, self.most = inner, 0

    def write(self, buffers: Sequence[memoryview]) -> None:
        self.most = max(self.most, len(buffers))
        self.inner.write(buffers)

    def discard(self) -> None:
        self.inner.discard()


def test_tiny_chunks_are_written_before_they_pile_up(settings: Settings) -> None:
    upload = Counting(LocalStorage(settings.upload_dir).create("job", "audio.wav"))

    async def trickle() -> None:
        writer = Writer(upload, MIB)
        for _ in range(20_000):
            writer.take(memoryview(b"x"))
            await writer.flush_if_due()
        await writer.finish()

    asyncio.run(trickle())
    upload.discard()
    assert upload.most <= 1024
