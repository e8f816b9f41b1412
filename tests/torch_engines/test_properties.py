"""Whatever the recording and the options, the transcript keeps every promise: the validator that holds for the light engines."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

from steno.jobs.options import Options
from tests.sounds import any_of, keeps_its_promises, sounds, thorough
from worker.model_cache import ModelCache

pytestmark = [pytest.mark.torch, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]


@thorough
@given(samples=sounds, options=any_of(("whisperx", "timestamped")))
def test_every_transcript_keeps_its_promises(
    cache: ModelCache, tmp_path: Path, samples: NDArray[np.float32], options: Options
) -> None:
    keeps_its_promises(cache, tmp_path, samples, options)
