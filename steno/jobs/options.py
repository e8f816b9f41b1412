"""What a client may ask of an engine, checked before the job is accepted."""

from dataclasses import dataclass

from steno.config import Settings
from steno.engines import ENGINES
from steno.languages import LANGUAGES, language_code


class OptionRefused(ValueError):
    """An option that cannot be honoured: `field` names it, the message says what would do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Options:
    """An engine and how it shall listen. `language` is a Whisper code, None to detect it; `model` is always a name."""

    engine: str
    model: str
    language: str | None = None


def resolve(settings: Settings, engine: str, language: str | None, model: str | None) -> Options:
    """Options that the engine can honour, defaults filled in.

    Raises OptionRefused for an engine that is not offered here, a model not on the operator's list, and a language that
    the engine does not know. A model is a name, never a path or a hub id.
    """
    _require_offered(settings, engine)
    return Options(engine, _model(settings, engine, model), _language(engine, language))


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


def _model(settings: Settings, engine: str, wanted: str | None) -> str:
    local = settings.local_models_of(engine)
    allowed = (*local, *ENGINES[engine].models)
    model = wanted or (settings.default_model if ENGINES[engine].is_whisper else ENGINES[engine].models[0])
    if model not in allowed:
        raise OptionRefused("model", f"Engine '{engine}' has no model '{model}'; choose one of {', '.join(allowed)}.")
    return model


def _language(engine: str, wanted: str | None) -> str | None:
    if wanted is None:
        return None
    code, known = language_code(wanted), ENGINES[engine].languages
    if code is None:
        raise OptionRefused("language", f"'{wanted}' is no language code or English name that Whisper knows.")
    if known is not None and code not in known:
        names = ", ".join(LANGUAGES[k].title() for k in known)
        raise OptionRefused("language", f"Engine '{engine}' knows {names} only, not {LANGUAGES[code].title()}.")
    return code
