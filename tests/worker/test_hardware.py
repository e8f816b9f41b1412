"""What is chosen by what the machine has. NVIDIA's driver and CUDA are played here, since few test machines have them."""

from pathlib import Path
from types import SimpleNamespace

import ctranslate2
import pynvml
import pytest

from conftest import MakeSettings
from worker import hardware

GB = 1 << 30


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A machine with a GPU; what its driver was asked for is in the list."""
    asked: list[object] = []

    def handle(which: object) -> str:
        asked.append(which)
        return "handle"

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", handle)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", handle)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", lambda _: SimpleNamespace(total=80 * GB, used=3 * GB))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetName", lambda _: "H100")
    monkeypatch.setattr(pynvml, "nvmlSystemGetDriverVersion", lambda: "570.1")
    monkeypatch.setattr(hardware, "cuda_works", lambda: True)
    return asked


def test_a_machine_without_a_driver_computes_on_its_cpu(make_settings: MakeSettings) -> None:
    if hardware.gpu() is not None:
        pytest.skip("this machine has a GPU")
    assert hardware.device(make_settings()) == "cpu"
    assert hardware.memory_used("cuda") == pytest.approx(hardware.memory_used("cpu"), rel=0.1)


def test_memory_on_a_gpu_is_what_its_driver_says(card: list[object], make_settings: MakeSettings) -> None:
    assert hardware.device(make_settings()) == "cuda"
    assert hardware.device(make_settings(device="cpu")) == "cpu"
    assert (hardware.memory_total("cuda"), hardware.memory_used("cuda")) == (80 * GB, 3 * GB)
    assert hardware.memory_total("cpu") != 80 * GB


@pytest.mark.parametrize(
    ("visible", "asked"), [(None, [0]), ("2,3", [2]), ("GPU-1a2b", ["GPU-1a2b"]), ("", []), ("none", [])]
)
def test_the_gpu_is_the_one_that_cuda_would_use(
    card: list[object], monkeypatch: pytest.MonkeyPatch, visible: str | None, asked: list[object]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert (hardware.gpu() is not None) == bool(asked)
    assert card == asked


@pytest.mark.parametrize(
    ("on", "setting", "computes", "chosen"),
    [
        ("cuda", "default", {"float16", "float32"}, "float16"),
        ("cuda", "default", {"int8", "float32"}, "auto"),
        ("cuda", "int8", {"float16"}, "int8"),
        ("cpu", "default", {"float32"}, "default"),
    ],
)
def test_a_gpu_computes_with_half_the_bits_where_it_can(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, on: str, setting: str, computes: set[str], chosen: str
) -> None:
    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda device: computes)
    assert hardware.compute_type(make_settings(compute_type=setting), on) == chosen


def test_a_container_has_no_more_memory_than_its_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "limit").write_text(f"{GB}\n")
    (tmp_path / "none").write_text("max\n")
    monkeypatch.setattr(hardware, "_CGROUP_LIMITS", (tmp_path / "none", tmp_path / "absent"))
    whole = hardware.memory_total("cpu")
    monkeypatch.setattr(hardware, "_CGROUP_LIMITS", (tmp_path / "none", tmp_path / "limit"))
    assert hardware.memory_total("cpu") == GB < whole
