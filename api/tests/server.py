"""A real uvicorn on a real socket, and what it left in its folder."""

import contextlib
import hashlib
import json
import os
import resource
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from api.tests.wire import Answer, Wire, head, upload
from steno.config import Settings
from steno.outbound import Resolver, resolve


def eventually(holds: Callable[[], bool], within: float = 30.0) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def app_over(settings: Settings) -> FastAPI:
    """The app. Imported late: `api.main` reads the environment, which is set up only after the conftests are read."""
    from api.main import create_app

    return create_app(settings)


@contextlib.contextmanager
def kernel_limit(what: int, most: int) -> Iterator[None]:
    """A limit of this process, one of `resource.RLIMIT_...`. A file that may not grow is to us as a full disk is."""
    before = resource.getrlimit(what)
    resource.setrlimit(what, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


@dataclass(frozen=True)
class Server:
    settings: Settings
    port: int
    stop: Callable[[], None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        return self.settings.upload_dir

    def connect(self) -> Wire:
        return Wire(self.port)

    def send(self, request: bytes) -> Answer:
        """One request on a connection of its own."""
        with self.connect() as wire:
            wire.send(request)
            return wire.answer()

    def post(self, *parts: bytes) -> Answer:
        return self.send(upload(*parts))

    def get(self, path: str) -> Answer:
        return self.send(head(method="GET", path=path, content_type=None))

    def left(self) -> list[str]:
        """Everything in the upload folder."""
        found = ((Path(top), names) for top, folders, files in os.walk(self.folder) for names in (folders, files))
        return sorted(str((top / name).relative_to(self.folder)) for top, names in found for name in names)

    def nothing_left(self) -> bool:
        return not self.left()

    def request_of(self, job_id: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.folder / job_id / "request.json").read_text())
        return told

    def sha256_of(self, job_id: str) -> str:
        audio = self.folder / job_id / str(self.request_of(job_id)["audio"])
        return hashlib.sha256(audio.read_bytes()).hexdigest()

    def tidy(self) -> None:
        """Still serving; then empty the folder for whoever comes next."""
        assert self.get("/health").json == {"status": "ok"}
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def running(
    settings: Settings, patience: int | None = None, resolver: Resolver = resolve, app: FastAPI | None = None
) -> Iterator[Server]:
    """A server over these settings; told to stop, it waits for its requests, `patience` seconds if given."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = app or app_over(settings)
    app.state.steno.resolver = resolver
    config = uvicorn.Config(app, log_level="critical", ws="none", timeout_graceful_shutdown=patience, access_log=False)
    inner = uvicorn.Server(config)
    thread = threading.Thread(target=inner.run, kwargs={"sockets": [listening]})

    def stop() -> None:
        inner.should_exit = True

    thread.start()
    try:
        assert eventually(lambda: inner.started)
        yield Server(settings, listening.getsockname()[1], stop)
    finally:
        stop()
        thread.join()
        listening.close()


def assert_refused(server: Server, answer: Answer, status: int, *said: str) -> None:
    """A problem of that status that says so, nothing left, and the server serves on."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == status
    for words in said:
        assert words.lower() in answer.detail.lower()
    assert eventually(server.nothing_left), server.left()
    assert server.get("/health").status == 200
