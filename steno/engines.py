"""The engines there are, as every process knows them. What runs them lives in `worker/engines`."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec

WHISPER_MODELS = (
    "tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en",
    "large-v1", "large-v2", "large-v3", "large", "large-v3-turbo", "turbo",
)  # fmt: skip
DISTIL_MODELS = ("distil-small.en", "distil-medium.en", "distil-large-v2", "distil-large-v3", "distil-large-v3.5")


@dataclass(frozen=True)
class Engine:
    """What one can know of an engine without loading it.

    `module` is the file that runs it and `library` the import it needs; `languages` is None where any of Whisper's
    languages will do. `models` are the names a client may ask for, the first being the default unless settings differ.
    """

    name: str
    module: str
    library: str
    install: str
    licence: str
    models: tuple[str, ...]
    languages: tuple[str, ...] | None = None

    @property
    def is_whisper(self) -> bool:
        """Whether its models are Whisper's, so that STENO_DEFAULT_MODEL speaks for it."""
        return self.languages is None

    @property
    def is_installed(self) -> bool:
        """Whether this interpreter could run it. Looks only; imports no library."""
        return find_spec(self.library) is not None


ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            "whisperx",
            "worker.engines.whisperx_engine",
            "whisperx",
            "pip install 'steno[whisperx]'",
            "BSD-2-Clause",
            WHISPER_MODELS + DISTIL_MODELS,
        ),
        Engine(
            "timestamped",
            "worker.engines.timestamped_engine",
            "whisper_timestamped",
            "pip install 'steno[timestamped]'",
            "AGPL-3.0",
            WHISPER_MODELS,
        ),
        Engine(
            "faster-whisper",
            "worker.engines.faster_whisper_engine",
            "faster_whisper",
            "pip install steno",
            "MIT",
            WHISPER_MODELS + DISTIL_MODELS,
        ),
        Engine(
            "pocketsphinx",
            "worker.engines.pocketsphinx_engine",
            "pocketsphinx",
            "pip install steno",
            "BSD-2-Clause",
            ("en-us",),
            languages=("en",),
        ),
    )
}


def install_hints(names: Iterable[str]) -> str:
    """How to install each of these engines."""
    return "; ".join(f"{name}: {ENGINES[name].install}" for name in names)


def installed_engines() -> tuple[str, ...]:
    """Names of the engines that this interpreter could run, in table order."""
    return tuple(name for name, engine in ENGINES.items() if engine.is_installed)
