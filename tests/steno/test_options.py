import pytest

from conftest import MODEL, MakeSettings
from steno.config import Settings
from steno.engines import ENGINES
from steno.jobs.options import OptionRefused, Options, resolve
from steno.languages import LANGUAGES, language_code


def test_defaults_are_filled_in(settings: Settings) -> None:
    assert resolve(settings, "faster-whisper", None, None) == Options("faster-whisper", MODEL, None)
    assert resolve(settings, "pocketsphinx", None, None) == Options("pocketsphinx", "en-us", None)


def test_the_specified_engines_are_accepted_before_they_are_installed(make_settings: MakeSettings) -> None:
    settings = make_settings(default_model="small")
    assert resolve(settings, "whisperx", "en", None).model == "small"
    assert resolve(settings, "timestamped", None, "tiny").model == "tiny"


@pytest.mark.parametrize("text", ["de", "DE", "German", " german "])
def test_a_language_may_be_a_code_or_a_name(settings: Settings, text: str) -> None:
    assert resolve(settings, "faster-whisper", text, None).language == "de"


def test_every_language_has_a_code_and_a_name() -> None:
    assert len(LANGUAGES) == 100
    assert all(language_code(code) == language_code(name) == code for code, name in LANGUAGES.items())


@pytest.mark.parametrize(
    ("engine", "language", "model", "field"),
    [
        ("whisperz", None, None, "engine"),
        ("faster-whisper", "klingon", None, "language"),
        ("pocketsphinx", "de", None, "language"),
        ("faster-whisper", None, "/etc/passwd", "model"),
        ("faster-whisper", None, "somebody/some-model", "model"),
        ("faster-whisper", None, "../mini", "model"),
        ("pocketsphinx", None, "mini", "model"),
    ],
)
def test_what_an_engine_cannot_honour_is_refused(
    settings: Settings, engine: str, language: str | None, model: str | None, field: str
) -> None:
    with pytest.raises(OptionRefused) as refused:
        resolve(settings, engine, language, model)
    assert refused.value.field == field


def test_a_server_that_knows_its_workers_names_the_install_command(make_settings: MakeSettings) -> None:
    settings = make_settings(engines=("pocketsphinx",))
    assert resolve(settings, "pocketsphinx", None, None).engine == "pocketsphinx"
    for name in set(ENGINES) - {"pocketsphinx"}:
        with pytest.raises(OptionRefused) as refused:
            resolve(settings, name, None, None)
        assert ENGINES[name].install in str(refused.value)
