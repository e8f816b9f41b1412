"""Fixtures of every test: a real Redis of our own, settings over a folder of the test's own, the small speech model."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis
import pytest
from redis import Redis

from scripts.small_models import DATA, MODEL, unpack
from steno.config import Settings
from steno.redis_server import RedisServer, free_port
from steno.storage import base

__all__ = ["DATA", "MODEL", "MakeSettings"]

MakeSettings = Callable[..., Settings]

hypothesis.settings.register_profile("steno", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("steno")


def pytest_configure(config: pytest.Config) -> None:
    """Start Redis before any test is imported: the specification's own tests build their app at import."""
    for name in [name for name in os.environ if name.startswith("STENO_")]:
        del os.environ[name]
    folder, port = TemporaryDirectory(prefix="steno-tests-"), free_port()
    server = RedisServer(Path(folder.name) / "redis", port)
    server.start()
    with Redis.from_url(f"redis://127.0.0.1:{port}") as redis:
        redis.config_set("appendonly", "no")  # or a busy disk holds every lock and heartbeat up
    config.add_cleanup(folder.cleanup)
    config.add_cleanup(server.stop)  # the last to be added is the first to be done
    os.environ.update(REDIS_HOST="127.0.0.1", REDIS_PORT=str(port), UPLOAD_DIR=f"{folder.name}/uploads")


@pytest.fixture(autouse=True)
def _ids_that_can_be_read(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests call their jobs `job` or `old`, where Steno takes nothing but UUIDs; not those marked `strict_ids`."""
    with pytest.MonkeyPatch.context() as patch:
        if "strict_ids" not in request.keywords:
            patch.setattr(base, "_JOB_ID", re.compile(r"[A-Za-z0-9_-]{1,128}"))
        yield


@pytest.fixture
def redis() -> Iterator[Redis]:
    """An empty database of the session's Redis."""
    client = Redis.from_url(f"{_url()}/1")
    client.flushdb()
    yield client
    client.close()


def _url() -> str:
    return f"redis://127.0.0.1:{os.environ['REDIS_PORT']}"


@pytest.fixture
def make_settings(redis: Redis, tmp_path: Path, model_dir: Path) -> MakeSettings:
    """Settings over the empty database and a folder of the test's own, with the small model registered."""

    def make(**changes: Any) -> Settings:
        mine: dict[str, Any] = {
            "redis_url": f"{_url()}/1",
            "upload_dir": tmp_path / "jobs",
            "local_models": (f"faster-whisper:{MODEL}={model_dir}",),
            "default_model": MODEL,
        }
        return Settings(**{**mine, **changes})

    return make


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings()


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small Whisper model for CTranslate2: it truly hears the recordings in tests/data."""
    return unpack(tmp_path_factory.mktemp("models")) / "mini-ct2"


@pytest.fixture(scope="session")
def truth() -> dict[str, Any]:
    """What is said in each recording of tests/data: language, duration and words with their times."""
    told: dict[str, Any] = json.loads((DATA / "truth.json").read_text())
    return told
