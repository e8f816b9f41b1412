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


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (RuntimeError("CUDA failed with error out of memory"), EngineOutOfMemory),
        (RuntimeError("CUDA failed with error an illegal memory access was encountered"), EngineDied),
        (ValueError("This CTranslate2 package was not compiled with CUDA support"), ModelUnavailable),
        (RuntimeError("Unsupported model binary version"), ModelUnavailable),
        (OSError("no such file"), ModelUnavailable),
    ],
    ids=str,
)
def test_a_model_that_cannot_be_loaded_now_may_be_later(raised: Exception, kind: type[JobError]) -> None:
    with pytest.raises(kind, match=r"'small' could not be loaded: ") as failure, loading("small"):
        raise raised
    assert failure.type is kind
