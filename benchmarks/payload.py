"""Recordings of any size, of noise: valid wav files, kept in memory so that reading them costs the sender nothing."""

import os
import tempfile
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MB: Final = 1 << 20
_IN_MEMORY: Final = Path("/dev/shm")
_HEADER_BYTES: Final = 44
_BLOCK_BYTES: Final = 16 * MB


@contextmanager
def noise(size: int) -> Iterator[Path]:
    """A wav file of exactly `size` bytes (even, at least 44), removed with the context."""
    place = _IN_MEMORY if _IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="steno-benchmark-", dir=place) as folder:
        path = Path(folder) / "noise.wav"
        block = os.urandom(_BLOCK_BYTES)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            for left in range(size - _HEADER_BYTES, 0, -_BLOCK_BYTES):
                file.writeframesraw(block[:left])
        yield path
