"""The whole stack, as `steno serve` runs it: one for all the tests that only use it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from conftest import MODEL
from steno.serve import Stack
from tests.stacks import running_stack


@pytest.fixture(scope="session")
def stack(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running service with the small model as its default."""
    environment = {
        "STENO_LOCAL_MODELS": f"faster-whisper:{MODEL}={model_dir}",
        "STENO_DEFAULT_MODEL": MODEL,
        "STENO_WEBHOOK_NETWORKS": "127.0.0.0/8",
        "ALLOWED_FORMATS": "mp3,wav,m4a,flac,mp4,mkv,webm",
        "STENO_URL_FETCH": "true",
        "STENO_URL_NETWORKS": "127.0.0.0/8",
    }
    with running_stack(tmp_path_factory.mktemp("stack"), environment) as made:
        yield made


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.url, timeout=60) as client:
        yield client
