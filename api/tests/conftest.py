"""Fixtures of the API's tests: one server for all who only knock, servers of their own for those who break things."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from redis import Redis

from api.tests.desk import Desk
from api.tests.server import Server, app_over, running
from api.tests.wire import MIB
from conftest import MakeSettings
from steno.config import Settings
from steno.outbound import Resolver, resolve
from steno.redis_server import RedisServer, free_port

Serve = Callable[..., Server]


@pytest.fixture(scope="session")
def common_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server behind `server`; takes recordings of up to 2 MiB."""
    settings = Settings(
        redis_url=f"redis://127.0.0.1:{os.environ['REDIS_PORT']}/2",
        upload_dir=tmp_path_factory.mktemp("api") / "jobs",
        max_file_size=2 * MIB,
    )
    with running(settings) as server:
        yield server


@pytest.fixture
def server(common_server: Server) -> Iterator[Server]:
    """A server whose folder is empty, and which must still serve when the test is over."""
    yield common_server
    common_server.tidy()


@pytest.fixture(scope="session")
def common_fetcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server behind `fetcher`."""
    settings = Settings(
        redis_url=f"redis://127.0.0.1:{os.environ['REDIS_PORT']}/3",
        upload_dir=tmp_path_factory.mktemp("fetcher") / "jobs",
        max_file_size=2 * MIB,
        url_fetch=True,
        url_networks="127.0.0.0/8",
    )
    with running(settings) as server:
        yield server


@pytest.fixture
def fetcher(common_fetcher: Server) -> Iterator[Server]:
    """Like `server`, and it fetches URLs, from this machine, too."""
    yield common_fetcher
    common_fetcher.tidy()


@pytest.fixture
def serve(make_settings: MakeSettings) -> Iterator[Serve]:
    """Start a server with these settings; it ends with the test."""
    with ExitStack() as stack:

        def start(patience: int | None = None, resolver: Resolver = resolve, **changes: object) -> Server:
            settings = make_settings(**{"default_model": "small", **changes})
            return stack.enter_context(running(settings, patience, resolver))

        yield start


@pytest.fixture
def mortal_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that the test may kill."""
    server = RedisServer(tmp_path / "mortal", free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """The API over `settings`, without a socket."""
    with TestClient(app_over(settings)) as client:
        yield client


@pytest.fixture
def offline_client(make_settings: MakeSettings) -> Iterator[TestClient]:
    """The API over the same folder, its Redis away."""
    settings = make_settings(redis_url=f"redis://127.0.0.1:{free_port()}")
    with TestClient(app_over(settings)) as client:
        yield client


@pytest.fixture
def desk(settings: Settings, redis: Redis) -> Desk:
    """Jobs in any state, over the folder and the Redis that `client` serves."""
    return Desk(settings, redis)
