"""A whole service in a folder of its own, for tests that only use it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from steno.config import Settings
from steno.redis_server import free_port
from steno.serve import Stack


@contextmanager
def running_stack(folder: Path, environment: Mapping[str, str]) -> Iterator[Stack]:
    """As `steno serve` runs it with this environment, its own Redis included."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("REDIS_HOST", "REDIS_PORT", "UPLOAD_DIR"):
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        stack = Stack(Settings(), folder, "127.0.0.1", free_port())
        stack.start()  # the children inherit the environment; the tests after this have their own again
    try:
        yield stack
    finally:
        stack.stop()
