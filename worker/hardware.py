"""What this machine computes with, and how much memory that takes: measured, never guessed from a model's name."""

import ctypes
import gc
import os
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psutil

from steno.config import Settings

_CGROUP_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True)
class Gpu:
    """The GPU that CUDA would use first. Memory in bytes, of all processes on it."""

    name: str
    driver: str
    total: int
    used: int


def gpu() -> Gpu | None:
    """What NVIDIA's driver says of it; None without a driver, without a GPU, or with none visible to CUDA."""
    import pynvml

    try:
        pynvml.nvmlInit()
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
        by_uuid = visible.startswith(("GPU-", "MIG-"))
        handle = (
            pynvml.nvmlDeviceGetHandleByUUID(visible) if by_uuid else pynvml.nvmlDeviceGetHandleByIndex(int(visible))
        )
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        name, driver = pynvml.nvmlDeviceGetName(handle), pynvml.nvmlSystemGetDriverVersion()
    except (pynvml.NVMLError, ValueError):  # ValueError: CUDA_VISIBLE_DEVICES is empty, which hides every GPU
        return None
    return Gpu(str(name), str(driver), int(memory.total), int(memory.used))


@cache
def cuda_works() -> bool:
    """Whether CTranslate2, which every Whisper engine but one runs on, finds a CUDA device."""
    import ctranslate2

    return bool(ctranslate2.get_cuda_device_count())


def device(settings: Settings) -> str:
    """Where models run: cuda where there is a GPU that works, unless STENO_DEVICE says otherwise."""
    if settings.device != "auto":
        return settings.device
    return "cuda" if cuda_works() else "cpu"


def torch_device(settings: Settings) -> str:
    """The same for engines that need torch: a GPU that this build of torch cannot use is none."""
    import torch

    wanted = device(settings)
    return wanted if wanted != "cuda" or settings.device == "cuda" or torch.cuda.is_available() else "cpu"


def compute_type(settings: Settings, on: str) -> str:
    """STENO_COMPUTE_TYPE; where that is "default" on a GPU, float16 if it computes so, or else what the library finds best."""
    if settings.compute_type != "default" or on != "cuda":
        return settings.compute_type
    import ctranslate2

    return "float16" if "float16" in ctranslate2.get_supported_compute_types("cuda") else "auto"


def cudnn_version() -> str | None:
    """Of the cuDNN that CTranslate2 and torch would load; None where there is none to be found."""
    for name in (*sorted(_packaged_cudnn()), "libcudnn.so.9"):
        try:
            number = int(ctypes.CDLL(name).cudnnGetVersion())
        except (OSError, AttributeError):
            continue
        return f"{number // 10_000}.{number // 100 % 100}.{number % 100}"
    return None


def _packaged_cudnn() -> list[str]:
    """The library inside NVIDIA's own wheel, which torch brings along."""
    spec = find_spec("nvidia")
    folders = spec.submodule_search_locations if spec else None
    return [str(file) for folder in folders or () for file in Path(folder).glob("cudnn/lib/libcudnn.so.*")]


def memory_total(on: str) -> int:
    """Bytes that models on this device could ever fill: the GPU's memory, or the machine's or container's."""
    if on == "cuda" and (card := gpu()):
        return card.total
    limits = [int(text) for path in _CGROUP_LIMITS if (text := _read(path)).isdigit()]
    return min([int(psutil.virtual_memory().total), *limits])


def memory_used(on: str) -> int:
    """Bytes in use on the GPU by whoever, or resident in this process."""
    if on == "cuda" and (card := gpu()):
        return card.used
    return int(psutil.Process().memory_info().rss)


def release_memory() -> None:
    """Give what was freed back to the system: Python's cycles, torch's cache on the GPU, glibc's free lists."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
