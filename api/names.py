"""The model names of doors whose clients know no engines: `engine/model`, a model of the default engine, or an alias."""

from dataclasses import dataclass
from typing import Final

from api.errors import NoWorker
from steno.config import Settings
from steno.engines import ENGINES
from steno.jobs.options import honoured

ALIASES: Final = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize")
"""OpenAI's own names, which clients have built in."""
WITH_SPEAKERS: Final = "gpt-4o-transcribe-diarize"
"""The one whose transcripts tell speakers apart."""
_PREFERRED: Final = ("whisperx", "faster-whisper", "timestamped", "pocketsphinx")


@dataclass(frozen=True)
class Names:
    """What the names stand for just now: `offered` are the engines that live workers offer."""

    settings: Settings
    offered: frozenset[str]

    @property
    def default_engine(self) -> str:
        """Raises NoWorker where there is nothing to choose from."""
        if self.settings.openai_engine is not None:
            return self.settings.openai_engine
        for name in _PREFERRED:
            if self.is_at_hand(name):
                return name
        raise NoWorker("No worker is running; send the request again later.")

    def find(self, name: str) -> tuple[str, str]:
        """Engine and model of a name, whether or not there is such a model. Raises NoWorker."""
        if name in (told := self._told()):
            return told[name]
        if name in ALIASES:
            engine = self.speaker_engine if name == WITH_SPEAKERS else self.default_engine
            return engine, self.settings.default_model_of(engine)
        engine, _, model = name.partition("/")
        return (engine, model) if model and engine in ENGINES else (self.default_engine, name)

    def aliases(self) -> dict[str, tuple[str, str]]:
        """Engine and model of every alias. Raises NoWorker."""
        return {name: self.find(name) for name in (*ALIASES, *self._told())}

    def _told(self) -> dict[str, tuple[str, str]]:
        """The operator's own."""
        entries = (entry.partition("=") for entry in self.settings.openai_aliases)
        targets = {alias: target.partition("/") for alias, _, target in entries}
        return {alias: (engine, model) for alias, (engine, _, model) in targets.items()}

    @property
    def speaker_engine(self) -> str:
        """One that tells speakers apart; the default engine if there is none. Raises NoWorker."""
        names = (self.default_engine, *_PREFERRED)
        able = (name for name in names if self.is_at_hand(name) and honoured(ENGINES[name], "diarize", True))
        return next(able, self.default_engine)

    def is_at_hand(self, engine: str) -> bool:
        """Whether a live worker offers it, and this server does."""
        return engine in self.offered and (not self.settings.engines or engine in self.settings.engines)
