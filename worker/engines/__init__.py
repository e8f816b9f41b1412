"""The engines: one file each, and how to make one by name.

Comes in: decoded audio and options. Goes out: what was heard, as segments.
"""

from importlib import import_module

from steno.config import Settings
from steno.engines import ENGINES
from steno.jobs.errors import EngineUnavailable
from worker.engines.base import Engine


def load_engine(name: str, model: str, settings: Settings) -> Engine:
    """An engine with its model in memory; its file, in `steno/engines.py`, has a `load(model, settings)`.

    Raises EngineUnavailable and ModelUnavailable. Takes from milliseconds to minutes, for a first download.
    """
    engine = ENGINES[name]
    if not engine.is_installed:
        raise EngineUnavailable(f"Engine '{name}' is not installed on this worker; {engine.install}.")
    loaded: Engine = import_module(engine.module).load(model, settings)
    return loaded
