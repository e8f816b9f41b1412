"""The small models of both engines, an engine process's cache of them in this process, and a service that offers both."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from scripts.small_models import settings, unpack
from steno.interpreters import CALM
from tests.hearing import settings_from
from tests.stacks import running_stack
from worker.model_cache import ModelCache


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What tells Steno of every small model, in force in this process, too: the libraries read it when they are imported."""
    from tests.tiny_diarizer import write_diarizer

    with pytest.MonkeyPatch.context() as patch:
        for name, value in CALM.items():
            patch.setitem(os.environ, name, value)
        folder = unpack(tmp_path_factory.mktemp("models"))
        made = settings(folder)
        for name in ("NLTK_DATA", "HF_HUB_OFFLINE"):
            patch.setitem(os.environ, name, made[name])
        made["STENO_DIARIZATION_MODEL"] = str(write_diarizer(folder / "diarizer"))
        yield made


@pytest.fixture(scope="session")
def models(environment: dict[str, str]) -> Path:
    """The folder with the small models."""
    return Path(environment["NLTK_DATA"]).parent


@pytest.fixture(scope="session")
def cache(environment: dict[str, str]) -> ModelCache:
    """Models in this process, for what is better seen without a service around it."""
    return ModelCache(settings_from(environment))


@pytest.fixture(scope="session")
def service(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a running service whose one worker offers both engines."""
    with (
        running_stack(tmp_path_factory.mktemp("torch"), environment) as stack,
        httpx.Client(base_url=stack.url, timeout=60) as client,
    ):
        yield client
