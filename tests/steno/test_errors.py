"""What an error of an engine's library is for the job."""

import pytest

from steno.jobs.errors import EngineDied, EngineFailed, EngineOutOfMemory, JobError, ModelUnavailable, kind_of
from worker.weights import loading


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("CUDA failed with error out of memory", EngineOutOfMemory),
        ("CUDA out of memory. Tried to allocate 2.00 GiB", EngineOutOfMemory),
        ("CUDA error: an illegal memory access was encountered", EngineDied),
        ("cuDNN failed with status CUDNN_STATUS_EXECUTION_FAILED", EngineDied),
        ("cuBLAS failed with status CUBLAS_STATUS_NOT_SUPPORTED", EngineDied),
        ("index out of range", EngineFailed),
    ],
)
def test_what_may_pass_in_another_process_is_told_from_what_may_not(said: str, kind: type[JobError]) -> None:
    assert kind_of(RuntimeError(said)) is kind


def test_a_model_for_which_there_is_no_memory_may_find_some_later() -> None:
    with pytest.raises(EngineOutOfMemory), loading("small"):
        raise RuntimeError("CUDA failed with error out of memory")
    with pytest.raises(ModelUnavailable, match=r"'small' could not be loaded: no such file"), loading("small"):
        raise OSError("no such file")
