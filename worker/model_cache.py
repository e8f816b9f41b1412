"""The models in memory: within a budget, the least recently used out first, and none kept that nobody asks for."""

import functools
import gc
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar

from steno.config import Settings
from worker import hardware, weights

log = logging.getLogger(__name__)

_MB: Final = 1 << 20
_SHARE: Final = 0.5
"""Of the memory that there is, where STENO_MODEL_MEMORY_MB does not say: the rest is for audio, activations and others."""

Key = tuple[str, ...]
"""What a model is asked for by: its kind and name, such as ("whisperx", "small") or ("align", "de")."""

T = TypeVar("T")


@dataclass
class _Loaded:
    model: Any
    size: int
    used: float


class ModelCache:
    """Models by key. One job at a time: what the job in hand has asked for is never evicted under it.

    A model's size is by how much the device's memory grew when it was loaded. The budget bounds the sum of sizes; a model
    larger than all of it is still loaded, alone.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._idle_seconds = settings.model_idle_minutes * 60
        self._loaded: OrderedDict[Key, _Loaded] = OrderedDict()
        self._sizes: dict[Key, int] = {}
        self._in_use: set[Key] = set()
        self._announce: Callable[[], None] = lambda: None

    def begin(self, announce: Callable[[], None]) -> None:
        """A new job: what the last one used may go, and `announce` is called before each load."""
        self._in_use.clear()
        self._announce = announce

    def get(
        self, key: Key, load: Callable[[], T], weigh: Callable[[], int] = lambda: 0, imports: Sequence[str] = ()
    ) -> T:
        """The model, from memory or by `load`, whose errors pass through, as do those of `weigh`.

        Nothing but the key is looked at if the model is here. If it is not, that is announced first, since finding it may take a
        download; then `weigh` gives its size in bytes, as far as it is known without loading. `imports` are modules that
        loading needs: imported before, so that their memory does not count as the model's.
        """
        self._in_use.add(key)
        if key not in self._loaded:
            self._announce()
            self._make_room(self._sizes[key] if key in self._sizes else weigh())
            _import(imports)
            self._loaded[key] = self._measured(key, load)
            self._make_room(0)
        self._loaded.move_to_end(key)
        entry = self._loaded[key]
        entry.used = time.monotonic()
        model: T = entry.model
        return model

    def get_located(
        self, key: Key, locate: Callable[[], Path], load: Callable[[Path], T], imports: Sequence[str] = ()
    ) -> T:
        """The same for a model whose weights are files: `locate` is asked once, and only if the model is not in memory."""
        place = functools.cache(locate)
        return self.get(key, lambda: load(place()), lambda: weights.size(place()), imports)

    def holds(self, key: Key) -> bool:
        return key in self._loaded

    @property
    def size(self) -> int:
        """Bytes that the loaded models take."""
        return sum(entry.size for entry in self._loaded.values())

    @property
    def next_expiry(self) -> float | None:
        """Seconds until a model will have been idle for long; None while there is none."""
        if not self._loaded:
            return None
        oldest = min(entry.used for entry in self._loaded.values())
        return max(0.0, oldest + self._idle_seconds - time.monotonic())

    def drop_idle(self) -> None:
        """Unload what nobody asked for in a long time. Call it between jobs."""
        self._in_use.clear()
        old = time.monotonic() - self._idle_seconds
        for key in [key for key, entry in self._loaded.items() if entry.used <= old]:
            self._drop(key, "idle")

    def _measured(self, key: Key, load: Callable[[], T]) -> _Loaded:
        on = hardware.device(self.settings)
        hardware.release_memory()  # else the model may fill what earlier work has freed, and seem to weigh nothing
        before = hardware.memory_used(on)
        model = load()
        self._sizes[key] = size = max(0, hardware.memory_used(on) - before)
        log.info("Model %s loaded: %d MB", "/".join(key), size // _MB, extra={"action": "model_loaded"})
        return _Loaded(model, size, time.monotonic())

    def _make_room(self, coming: int) -> None:
        """Evict, oldest first, until what is loaded and what is coming fit in the budget, or nothing more may go."""
        idle = [key for key in self._loaded if key not in self._in_use]
        if not idle:
            return
        budget = self._budget()
        for key in idle:
            if self.size + coming <= budget:
                return
            self._drop(key, "over_budget")

    def _drop(self, key: Key, why: str) -> None:
        log.info("Model %s unloaded", "/".join(key), extra={"action": f"model_{why}"})
        del self._loaded[key]
        hardware.release_memory()

    def _budget(self) -> float:
        if self.settings.model_memory_mb:
            return self.settings.model_memory_mb * _MB
        return _SHARE * hardware.memory_total(hardware.device(self.settings))


def _import(names: Sequence[str]) -> None:
    """Import modules without looking for garbage meanwhile: there is none, and the looking takes a fifth of torch's time."""
    gc.disable()
    try:
        for name in names:
            import_module(name)
    finally:
        gc.enable()
