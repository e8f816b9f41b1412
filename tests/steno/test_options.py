import json
from typing import Any

import pytest

from conftest import MODEL, MakeSettings
from steno.config import Settings
from steno.engines import ENGINES
from steno.jobs.options import OptionRefused, Options, resolve
from steno.jobs.record import JobRequest
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


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"model": "small.en", "language": "de"}, "language"),
        ({"model": "distil-large-v3", "language": "french"}, "language"),
        ({"model": "small.en", "task": "translate"}, "task"),
        ({"model": "turbo", "task": "translate"}, "task"),
        ({"diarize": True, "min_speakers": 3, "max_speakers": 2}, "min_speakers"),
        ({"max_speakers": 2}, "max_speakers"),
        ({"diarize": False, "min_speakers": 2}, "min_speakers"),
        ({"diarize": True, "channels": "separate"}, "diarize"),
    ],
)
def test_what_no_engine_could_do_is_refused(make_settings: MakeSettings, asked: dict[str, Any], field: str) -> None:
    with pytest.raises(OptionRefused) as refused:
        resolve(make_settings(default_model="small"), "whisperx", **asked)
    assert refused.value.field == field


def test_an_option_at_the_value_that_an_engine_works_at_anyway_is_taken(make_settings: MakeSettings) -> None:
    settings = make_settings(default_model="small")
    made = resolve(settings, "whisperx", vad=True, temperature=0.0, disfluencies=False)
    assert (made.vad, made.temperature, made.disfluencies) == (True, 0.0, False)
    assert resolve(settings, "pocketsphinx", language="English", vad=True, task="transcribe", diarize=False)


def test_the_channels_can_be_told_apart_by_every_engine(make_settings: MakeSettings) -> None:
    settings = make_settings(default_model="small")
    for engine in ENGINES:
        assert resolve(settings, engine).channels == "mix"
        assert resolve(settings, engine, channels="separate").channels == "separate"


def test_every_option_survives_being_written_down(make_settings: MakeSettings) -> None:
    made = resolve(
        make_settings(default_model="small"), "whisperx", "de", "large-v3", task="translate", prompt="grün", hotwords="a, b",
        beam_size=3, batch_size=4, diarize=True, min_speakers=1, max_speakers=2, suppress_numerals=True, channels="mix",
    )  # fmt: skip
    assert Options.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_a_request_of_before_there_were_options_can_still_be_read() -> None:
    old = {"engine": "pocketsphinx", "model": "en-us", "language": "en"}
    rest = {"job_id": "a", "filename": "a.wav", "audio": "audio.wav", "size": 1, "created_at": "2026-11-22T00:00:00Z"}
    assert JobRequest.from_dict({**old, **rest}).options == Options("pocketsphinx", "en-us", "en", channels="mix")


def test_a_server_that_knows_its_workers_names_the_install_command(make_settings: MakeSettings) -> None:
    settings = make_settings(engines=("pocketsphinx",))
    assert resolve(settings, "pocketsphinx", None, None).engine == "pocketsphinx"
    for name in set(ENGINES) - {"pocketsphinx"}:
        with pytest.raises(OptionRefused) as refused:
            resolve(settings, name, None, None)
        assert ENGINES[name].install in str(refused.value)
