"""The whole stack, as `steno serve` runs it: one for all the tests that only use it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from conftest import MODEL
from steno.config import Settings
from steno.redis_server import free_port
from steno.serve import Stack


@pytest.fixture(scope="session")
def stack(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running service with the small model as its default."""
    changes = {
        "STENO_LOCAL_MODELS": f"faster-whisper:{MODEL}={model_dir}",
        "STENO_DEFAULT_MODEL": MODEL,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in ("REDIS_HOST", "REDIS_PORT", "UPLOAD_DIR"):
            patch.delenv(name)
        for name, value in changes.items():
            patch.setenv(name, value)
        made = Stack(Settings(), tmp_path_factory.mktemp("stack"), "127.0.0.1", free_port())
        made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.url, timeout=60) as client:
        yield client
