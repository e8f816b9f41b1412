"""The miniature models, one of a kind for every engine, and the interpreters that the engines run under."""

import sys
from pathlib import Path
from typing import Final

from scripts.small_models import settings, unpack
from steno.interpreters import CALM

_WITH_TORCH: Final = Path(__file__).parents[1] / ".venv-engines" / "bin" / "python"
_NEED_TORCH: Final = ("whisperx", "timestamped")


def python_of(engine: str) -> str:
    """The interpreter that has the engine's library. Raises RuntimeError if that environment is not there."""
    if engine not in _NEED_TORCH:
        return sys.executable
    if not _WITH_TORCH.exists():
        raise RuntimeError(f"{_WITH_TORCH} is not there; `make bench` installs it")
    return str(_WITH_TORCH)


def small_models(folder: Path) -> dict[str, str]:
    """Unpack the models; the environment in which Steno, or a program that calls the libraries, computes with them.

    The thread settings are those that Steno gives its engine processes, so that no rival fares better or worse by them.
    """
    pythons = [f"{engine}={python_of(engine)}" for engine in _NEED_TORCH if _WITH_TORCH.exists()]
    return {**CALM, **settings(unpack(folder / "models")), "STENO_ENGINE_PYTHONS": ",".join(pythons)}
