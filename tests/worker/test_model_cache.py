"""Which models stay in memory. Sizes are told by a scripted meter; what real ones weigh is measured in the engines' tests."""

import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import MakeSettings
from worker import hardware
from worker.model_cache import ModelCache

MB = 1 << 20


class Weight:
    """A model that takes so many MB for as long as it lives."""

    def __init__(self, memory: "Memory", size: int) -> None:
        memory.used += size * MB
        weakref.finalize(self, memory.free, size * MB)


class Memory:
    """The memory of a machine on which nothing else runs."""

    def __init__(self) -> None:
        self.used = 100 * MB

    def free(self, size: int) -> None:
        self.used -= size

    def model(self, size: int) -> Callable[[], Weight]:
        return lambda: Weight(self, size)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    made = Memory()
    monkeypatch.setattr(hardware, "memory_used", lambda on: made.used)
    monkeypatch.setattr(hardware, "memory_total", lambda on: 1000 * MB)
    return made


def cache_of(make_settings: MakeSettings, memory_mb: int, idle_minutes: float = 60) -> ModelCache:
    return ModelCache(make_settings(model_memory_mb=memory_mb, model_idle_minutes=idle_minutes))


def ask(cache: ModelCache, memory: Memory, name: str, size: int) -> list[str]:
    """Ask for a model in a job of its own; what was announced of it."""
    told: list[str] = []
    cache.begin(lambda: told.append("loading"))
    cache.get((name,), memory.model(size))
    return told


def held(cache: ModelCache, *names: str) -> list[bool]:
    return [cache.holds((name,)) for name in names]


def test_models_stay_as_long_as_they_fit(make_settings: MakeSettings, memory: Memory) -> None:
    cache = cache_of(make_settings, 300)
    assert [ask(cache, memory, name, 100) for name in ("a", "b", "c", "a", "b")] == [["loading"]] * 3 + [[], []]
    assert held(cache, "a", "b", "c") == [True, True, True]


def test_the_least_recently_used_goes_first(make_settings: MakeSettings, memory: Memory) -> None:
    cache = cache_of(make_settings, 300)
    for name in ("a", "b", "c", "a", "d"):
        ask(cache, memory, name, 100)
    assert held(cache, "a", "b", "c", "d") == [True, False, True, True]
    assert memory.used == 400 * MB


def test_a_model_whose_size_is_known_finds_its_room_before_it_is_loaded(
    make_settings: MakeSettings, memory: Memory
) -> None:
    cache, before = cache_of(make_settings, 250), list[int]()

    def load() -> Weight:
        before.append(memory.used)
        return Weight(memory, 200)

    for name in ("a", "b", "a", "b"):
        cache.begin(lambda: None)
        cache.get((name,), load, lambda: 200 * MB)
    assert before == [100 * MB] * 4
    assert held(cache, "a", "b") == [False, True]


def test_a_model_larger_than_the_budget_is_loaded_alone(make_settings: MakeSettings, memory: Memory) -> None:
    cache = cache_of(make_settings, 150)
    for name, size in (("a", 50), ("giant", 500)):
        ask(cache, memory, name, size)
    assert held(cache, "a", "giant") == [False, True]


def test_what_the_job_in_hand_uses_is_not_taken_from_it(make_settings: MakeSettings, memory: Memory) -> None:
    cache = cache_of(make_settings, 150)
    ask(cache, memory, "whisper", 100)
    cache.get(("align",), memory.model(100))
    assert held(cache, "whisper", "align") == [True, True]
    ask(cache, memory, "other", 50)
    assert held(cache, "whisper", "align", "other") == [False, True, True]


def test_without_a_setting_half_of_the_memory_is_the_budget(make_settings: MakeSettings, memory: Memory) -> None:
    cache = cache_of(make_settings, 0)
    for name in ("a", "b", "c"):
        ask(cache, memory, name, 250)
    assert held(cache, "a", "b", "c") == [False, True, True]


def test_a_model_that_could_not_be_loaded_is_asked_for_again(make_settings: MakeSettings, memory: Memory) -> None:
    cache = cache_of(make_settings, 300)
    with pytest.raises(ZeroDivisionError):
        cache.get(("a",), lambda: 1 / 0)
    assert not cache.holds(("a",))
    assert ask(cache, memory, "a", 10) == ["loading"]


def test_a_model_is_announced_before_it_is_looked_for_and_looked_for_only_once(
    make_settings: MakeSettings, memory: Memory, tmp_path: Path
) -> None:
    cache, told = cache_of(make_settings, 300), list[str]()

    def locate() -> Path:
        told.append("looked for")
        return tmp_path

    for _ in range(3):
        cache.begin(lambda: told.append("loading"))
        cache.get_located(("a",), locate, lambda path: path)
    assert told == ["loading", "looked for"]


def test_idle_models_are_unloaded_and_the_others_stay(
    make_settings: MakeSettings, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("worker.model_cache.time.monotonic", lambda: now)
    cache = cache_of(make_settings, 300, idle_minutes=1)
    assert cache.next_expiry is None
    ask(cache, memory, "a", 10)
    now += 50
    ask(cache, memory, "b", 10)
    assert cache.next_expiry == 10
    now += 10
    cache.drop_idle()
    assert held(cache, "a", "b") == [False, True]
    assert cache.next_expiry == 50
    assert memory.used == 110 * MB


def test_this_process_and_machine_have_memory() -> None:
    assert 10 * MB < hardware.memory_used("cpu") < hardware.memory_total("cpu")
