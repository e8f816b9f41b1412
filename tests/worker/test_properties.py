"""Whatever the recording and the options, every engine's transcript keeps every promise."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

from conftest import MODEL
from steno.config import Settings
from steno.jobs.options import Options
from tests.sounds import any_of, keeps_its_promises, sounds, thorough
from worker.model_cache import ModelCache


@pytest.fixture(scope="module")
def cache(model_dir: Path) -> ModelCache:
    return ModelCache(Settings(local_models=(f"faster-whisper:{MODEL}={model_dir}",)))


@thorough
@given(samples=sounds, options=any_of(("faster-whisper", "pocketsphinx")))
def test_every_transcript_keeps_its_promises(
    cache: ModelCache, tmp_path: Path, samples: NDArray[np.float32], options: Options
) -> None:
    keeps_its_promises(cache, tmp_path, samples, options)
