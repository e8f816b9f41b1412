"""A pyannote speaker diarization pipeline made on the spot, since no model hub can be reached where the tests run.

pyannote loads and runs it as it would `pyannote/speaker-diarization-community-1`. Finding speech, and telling voices
apart within a few seconds, is done by the trained segmentation weights that the whisperx wheel carries. Following a voice
through the recording needs an embedding, which is worked out here rather than trained: pyannote's x-vector network with
every weight set by hand, so that it gives the liftered mean cepstrum of a voice. That is plenty for voices that differ in
pitch or throat, such as a low and a high one of espeak's; it would not do for real people.
"""

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any, Final

import lightning
import numpy as np
import torch
from pyannote.audio import __version__
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.embedding import XVectorMFCC

_CEPSTRUM: Final[dict[str, Any]] = {"n_mfcc": 30, "melkwargs": {"n_fft": 512, "hop_length": 320, "n_mels": 40}}
"""Frames of 32 ms, every 20 ms: long enough to let a high pitch's harmonics stand out, which a low one's do not."""
_FIRST: Final = 4
"""The coefficients before say how loud and how bright it is: vowels and codecs change them more than voices do."""
_CONFIG: Final[dict[str, Any]] = {
    "dependencies": {"pyannote.audio": __version__},
    "pipeline": {
        "name": "pyannote.audio.pipelines.SpeakerDiarization",
        "params": {
            "segmentation": "$model/segmentation",
            "embedding": "$model/embedding",
            "plda": "$model/plda",
            "clustering": "AgglomerativeClustering",
            "segmentation_batch_size": 8,
            "embedding_batch_size": 8,
            "embedding_exclude_overlap": True,
        },
    },
    "params": {
        "segmentation": {"threshold": 0.5, "min_duration_off": 0.3},
        "clustering": {"method": "average", "threshold": 0.5, "min_cluster_size": 6},
    },
}


def write_diarizer(folder: Path) -> Path:
    """Write the pipeline (29 MB) into `folder`; returns what whisperx takes as `model_name`. The same bytes every time."""
    for part in ("segmentation", "embedding", "plda"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_segmentation_weights(), folder / "segmentation" / "pytorch_model.bin")
    _write_embedding(folder / "embedding" / "pytorch_model.bin")
    _write_plda(folder / "plda")
    (folder / "config.yaml").write_text(json.dumps(_CONFIG, indent=2), encoding="utf-8")  # JSON is YAML too
    return folder


def _segmentation_weights() -> Path:
    spec = importlib.util.find_spec("whisperx")  # not imported: that takes seconds
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "assets" / "pytorch_model.bin"


def _write_embedding(path: Path) -> None:
    """Each coefficient goes through the five layers twice, once negated: a leaky rectifier keeps the positive one."""
    count: int = _CEPSTRUM["n_mfcc"]
    model: Any = XVectorMFCC(mfcc=_CEPSTRUM, dimension=count - _FIRST)
    model.specifications = Specifications(Problem.REPRESENTATION, Resolution.CHUNK, duration=5.0)
    with torch.no_grad():
        for layer in model.tdnns:
            if isinstance(layer, torch.nn.Conv1d):
                for weights in layer.parameters():
                    weights.zero_()
                middle = layer.kernel_size[0] // 2
                for k in range(2 * count):
                    layer.weight[k, k % layer.in_channels, middle] = 1.0
        first = model.tdnns[0]
        first.weight[count : 2 * count] *= -1.0
        model.embedding.weight.zero_()
        model.embedding.bias.zero_()
        for k in range(_FIRST, count):
            # Liftering: the higher a coefficient, the smaller it is, and the more it tells of a voice and not of a vowel.
            model.embedding.weight[k - _FIRST, k] = k**0.5
            model.embedding.weight[k - _FIRST, count + k] = -(k**0.5)
    checkpoint = {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "pytorch-lightning_version": lightning.__version__,
    }
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)


def _write_plda(folder: Path) -> None:
    """One that changes nothing: pyannote insists on loading one, though agglomerative clustering makes no use of it."""
    size: int = _CEPSTRUM["n_mfcc"] - _FIRST
    np.savez(folder / "xvec_transform.npz", mean1=np.zeros(size), mean2=np.zeros(size), lda=np.eye(size))
    np.savez(folder / "plda.npz", mu=np.zeros(size), tr=np.eye(size), psi=np.ones(size))
