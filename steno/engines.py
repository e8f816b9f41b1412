"""The engines there are, as every process knows them. What runs them lives in `worker/engines`."""

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import Any

WHISPER_MODELS = (
    "tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en",
    "large-v1", "large-v2", "large-v3", "large", "large-v3-turbo", "turbo",
)  # fmt: skip
DISTIL_MODELS = ("distil-small.en", "distil-medium.en", "distil-large-v2", "distil-large-v3", "distil-large-v3.5")


def is_english_only(model: str) -> bool:
    """Whether this model of Whisper's own names knows no other language."""
    return model.endswith(".en") or model in DISTIL_MODELS


def may_translate(model: str) -> bool:
    """False for those of Whisper's names that were not trained to: they would answer in the language spoken."""
    return not is_english_only(model) and model not in ("large-v3-turbo", "turbo")


@dataclass(frozen=True)
class Engine:
    """What one can know of an engine without loading it.

    `module` is the file that runs it and `library` the import it needs; `distributions` are the packages whose versions a
    transcript records. `languages` is None where any of Whisper's languages will do. `models` are the names a client may ask
    for, the first being the default unless settings differ. `options` names those of steno/jobs/options.py that it honours
    whatever their value; `fixed` are those it works at anyway, which may be asked for at this value only.
    """

    name: str
    module: str
    library: str
    distributions: tuple[str, ...]
    install: str
    licence: str
    models: tuple[str, ...]
    options: frozenset[str]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    languages: tuple[str, ...] | None = None
    aligns: bool = False
    """Whether a stage of its own, alignment, follows the listening."""
    imports: tuple[str, ...] = ()
    """Modules that take seconds to import: what STENO_STANDBY has ready."""

    @property
    def is_whisper(self) -> bool:
        """Whether its models are Whisper's, so that STENO_DEFAULT_MODEL speaks for it."""
        return self.languages is None

    def is_installed(self, python: str | None = None) -> bool:
        """Whether an interpreter, by default this one, could run it. Looks only; imports no library."""
        return find_spec(self.library) is not None if python is None else _finds(python, self.library)


ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            "whisperx",
            "worker.engines.whisperx_engine",
            "whisperx",
            ("whisperx", "faster-whisper", "ctranslate2", "pyannote-audio", "torch"),
            "pip install 'steno[whisperx]'",
            "BSD-2-Clause",
            WHISPER_MODELS + DISTIL_MODELS,
            frozenset(
                {
                    "task", "prompt", "hotwords", "beam_size", "batch_size", "diarize", "min_speakers", "max_speakers",
                    "word_timestamps", "suppress_numerals", "channels",
                }
            ),
            fixed={"vad": True, "temperature": 0.0},
            aligns=True,
            imports=("whisperx.asr", "whisperx.alignment", "whisperx.diarize"),
        ),
        Engine(
            "timestamped",
            "worker.engines.timestamped_engine",
            "whisper_timestamped",
            ("whisper-timestamped", "openai-whisper", "torch"),
            "pip install 'steno[timestamped]'",
            "AGPL-3.0",
            WHISPER_MODELS,
            frozenset({"task", "prompt", "temperature", "beam_size", "vad", "word_timestamps", "disfluencies", "channels"}),
            imports=("whisper_timestamped",),
        ),
        Engine(
            "faster-whisper",
            "worker.engines.faster_whisper_engine",
            "faster_whisper",
            ("faster-whisper", "ctranslate2"),
            "pip install steno",
            "MIT",
            WHISPER_MODELS + DISTIL_MODELS,
            frozenset(
                {
                    "task", "prompt", "hotwords", "temperature", "beam_size", "vad", "word_timestamps", "suppress_numerals",
                    "channels",
                }
            ),
        ),
        Engine(
            "pocketsphinx",
            "worker.engines.pocketsphinx_engine",
            "pocketsphinx",
            ("pocketsphinx",),
            "pip install steno",
            "BSD-2-Clause",
            ("en-us",),
            frozenset({"word_timestamps", "channels"}),
            fixed={"vad": True},
            languages=("en",),
        ),
    )
}  # fmt: skip


def install_hints(names: Iterable[str]) -> str:
    """How to install each of these engines."""
    return "; ".join(f"{name}: {ENGINES[name].install}" for name in names)


def installed_engines(pythons: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Names of the engines that could run, in table order: in the interpreter given for one, or else in this one."""
    return tuple(name for name, engine in ENGINES.items() if engine.is_installed((pythons or {}).get(name)))


@cache
def _finds(python: str, library: str) -> bool:
    """Whether that interpreter has the library and Steno itself, whose engine process it is to run."""
    look = "import sys; from importlib.util import find_spec; sys.exit(not all(map(find_spec, sys.argv[1:])))"
    try:
        return subprocess.run([python, "-c", look, library, "worker"], check=False).returncode == 0
    except OSError:
        return False
