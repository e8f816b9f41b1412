"""What a client may ask of an engine: one schema for every door, checked before the job is accepted."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from steno.config import Settings
from steno.engines import ENGINES, Engine, is_english_only, may_translate
from steno.languages import LANGUAGES, language_code

TASKS: Final = ("transcribe", "translate")


class OptionRefused(ValueError):
    """An option that cannot be honoured: `field` names it, the message says what would do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Contradiction(OptionRefused):
    """An option that does not go with the others: one more, or another value of one, would mend it."""


@dataclass(frozen=True)
class Options:
    """An engine and how it shall listen. None always means: the engine's own way. docs/options.md says what each does.

    `model` is always a name, `language` a Whisper code, None to detect it; `temperature` is 0 to 1. Two runs with equal
    options over the same recording give the same transcript, but where a temperature above 0 is asked for.
    """

    engine: str
    model: str
    language: str | None = None
    task: str = "transcribe"
    prompt: str | None = None
    hotwords: str | None = None
    temperature: float | None = None
    beam_size: int | None = None
    batch_size: int | None = None
    vad: bool | None = None
    diarize: bool = False
    min_speakers: int | None = None
    max_speakers: int | None = None
    word_timestamps: bool = True
    disfluencies: bool = False
    suppress_numerals: bool = False
    channels: str = "mix"
    language_only: bool = False
    """What no form asks for: listen no further than it takes to tell the language, and give no segments."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Options":
        """Fields that a newer Steno added are passed over, so that versions may run side by side."""
        return cls(**{key: data[key] for key in cls.__dataclass_fields__ if key in data})


DEFAULTS: Final[dict[str, Any]] = {f.name: f.default for f in fields(Options) if f.name not in ("engine", "model")}


def resolve(
    settings: Settings, engine: str, language: str | None = None, model: str | None = None, **asked: Any
) -> Options:
    """Options that the engine can honour, defaults filled in. `asked` are fields of Options; None means not asked for.

    Raises OptionRefused for an engine that is not offered here, a model not on the operator's list, a language that the
    engine or the model does not know, and every option that the engine would ignore. A model is a name, never a path.
    """
    _require_offered(settings, engine)
    known = ENGINES[engine]
    given = {name: value for name, value in asked.items() if value is not None}
    for name, value in given.items():
        _require_honoured(known, name, value)
    options = Options(engine, _model(settings, known, model), _language(known, language), **given)
    _require_sense(options)
    return options


def honoured(engine: Engine, name: str, value: Any) -> bool:
    """Whether an engine does what is asked, if only because it never does anything else."""
    return name in engine.options or value == engine.fixed.get(name, DEFAULTS[name])


def _require_honoured(engine: Engine, name: str, value: Any) -> None:
    if honoured(engine, name, value):
        return
    others = [other.name for other in ENGINES.values() if honoured(other, name, value)]
    advice = f"; {', '.join(others)} can" if others else ""
    shown = name if isinstance(value, str) and value not in TASKS else f"{name}={str(value).lower()}"
    raise OptionRefused(name, f"Engine '{engine.name}' cannot honour {shown}{advice}. Leave it out.")


def _require_sense(options: Options) -> None:
    """What no engine could do."""
    low, high = options.min_speakers, options.max_speakers
    if not options.diarize and (low or high):
        field = "min_speakers" if low else "max_speakers"
        raise Contradiction(field, f"{field} says how many speakers to tell apart; ask for that with diarize=true.")
    if low and high and low > high:
        raise Contradiction("min_speakers", f"min_speakers={low} is more than max_speakers={high}.")
    if options.diarize and options.channels == "separate":
        raise Contradiction(
            "diarize", "channels=separate makes a speaker of each channel already; leave out one of them."
        )
    if is_english_only(options.model) and options.language not in (None, "en"):
        name = LANGUAGES[options.language].title()
        raise Contradiction("language", f"Model '{options.model}' knows English only, not {name}.")
    if options.task == "translate" and not may_translate(options.model):
        raise Contradiction(
            "task", f"Model '{options.model}' was not trained to translate; small, medium and large-v3 were."
        )


def _require_offered(settings: Settings, name: str) -> None:
    if name not in ENGINES:
        raise OptionRefused("engine", f"There is no engine '{name}'; choose one of {', '.join(ENGINES)}.")
    if settings.engines and name not in settings.engines:
        engine, offered = ENGINES[name], ", ".join(settings.engines)
        raise OptionRefused(
            "engine",
            f"Engine '{name}' is not installed on this server; install it with {engine.install} and start Steno again. "
            f"Offered now: {offered}.",
        )


def _model(settings: Settings, engine: Engine, wanted: str | None) -> str:
    allowed = settings.models_of(engine.name)
    model = wanted or settings.default_model_of(engine.name)
    if model not in allowed:
        raise OptionRefused(
            "model", f"Engine '{engine.name}' has no model '{model}'; choose one of {', '.join(allowed)}."
        )
    return model


def _language(engine: Engine, wanted: str | None) -> str | None:
    if wanted is None:
        return None
    code, known = language_code(wanted), engine.languages
    if code is None:
        raise OptionRefused("language", f"'{wanted}' is no language code or English name that Whisper knows.")
    if known is not None and code not in known:
        names = ", ".join(LANGUAGES[k].title() for k in known)
        raise OptionRefused("language", f"Engine '{engine.name}' knows {names} only, not {LANGUAGES[code].title()}.")
    return code
