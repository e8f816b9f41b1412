"""The engines: one file each, and how to make one by name.

Comes in: decoded audio and options. Goes out: what was heard, as segments.
"""

import functools
from importlib import import_module
from importlib.metadata import version

import steno
from steno.config import Settings
from steno.engines import ENGINES
from steno.jobs.errors import EngineUnavailable
from worker.engines.base import Engine
from worker.model_cache import ModelCache


def load_engine(name: str, model: str, settings: Settings, cache: ModelCache) -> Engine:
    """An engine with its model in memory, taken from the cache if it is there.

    Raises EngineUnavailable and ModelUnavailable. Takes from milliseconds to minutes, for a first download.
    """
    engine = ENGINES[name]
    if not engine.is_installed():
        raise EngineUnavailable(f"Engine '{name}' is not installed on this worker; {engine.install}.")
    loaded: Engine = import_module(engine.module).load(model, settings, cache)
    return loaded


@functools.cache
def versions(name: str) -> dict[str, str]:
    """The exact versions of Steno and of the libraries that do an engine's work, by their names on the package index."""
    return {"steno": steno.__version__, **{package: version(package) for package in ENGINES[name].distributions}}
