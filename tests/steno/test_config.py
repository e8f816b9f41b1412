import sys
from pathlib import Path

import pytest

from steno.config import Settings, SettingsError, load_settings
from steno.redis_address import without_password


def test_the_specified_settings_have_their_names_and_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_HOST", "REDIS_PORT", "UPLOAD_DIR", "MAX_FILE_SIZE", "ALLOWED_FORMATS"):
        monkeypatch.delenv(name, raising=False)
    settings = load_settings()
    assert (settings.redis_host, settings.redis_port) == ("redis", 6379)
    assert settings.upload_dir == Path("/tmp/uploads")
    assert settings.max_file_size == 500 * 1024 * 1024
    assert settings.allowed_formats == {"mp3", "wav", "m4a", "flac"}
    assert settings.retention_seconds == 7 * 86_400


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_FORMATS", " .WAV, ogg ")
    monkeypatch.setenv("STENO_ENGINES", "pocketsphinx")
    monkeypatch.setenv("STENO_LOCAL_MODELS", "faster-whisper:a=/models/a,faster-whisper:b=/models/x=y")
    settings = load_settings()
    assert settings.allowed_formats == {"wav", "ogg"}
    assert settings.engines == ("pocketsphinx",)
    assert settings.local_models_of("faster-whisper") == {"a": Path("/models/a"), "b": Path("/models/x=y")}
    assert settings.local_models_of("pocketsphinx") == {}
    assert settings.local_models_of("faster-whisper") is load_settings().local_models_of("faster-whisper")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_PORT", "many"),
        ("STENO_REDIS_URL", "localhost:6379"),
        ("MAX_FILE_SIZE", "0"),
        ("ALLOWED_FORMATS", "wav,../x"),
        ("ALLOWED_FORMATS", ","),
        ("STENO_ENGINES", "whisperz"),
        ("STENO_LOCAL_MODELS", "/models/a"),
        ("STENO_LOCAL_MODELS", "whisperz:a=/models/a"),
        ("STENO_DEVICE", "tpu"),
        ("STENO_MODELS", "small,gigantic"),
        ("STENO_DEFAULT_MODEL", "gigantic"),
        ("STENO_ENGINE_PYTHONS", "/usr/bin/python3"),
        ("STENO_ENGINE_PYTHONS", "whisperz=/usr/bin/python3"),
        ("STENO_ALIGN_MODELS", "klingon=/models/a"),
        ("STENO_WHISPERX_VAD", "auditok"),
        ("STENO_MODEL_IDLE_MINUTES", "0"),
        ("STENO_RETENTION_DAYS", "-1"),
        ("STENO_RETENTION_DAYS", "1e12"),
        ("STENO_AUDIO_RETENTION_DAYS", "inf"),
        ("STENO_MODEL_IDLE_MINUTES", "999999999"),
        ("STENO_TUS_EXPIRY", "inf"),
        ("STENO_WORKER_TTL", "99999999999999999999"),
        ("REDIS_HOST", " "),
        ("REDIS_HOST", "redis://x:6379"),
        ("STENO_REDIS_URL", "redis://localhost:99999"),
        ("STENO_REDIS_URL", "http://localhost:6379"),
    ],
)
def test_a_wrong_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load_settings()


def test_an_empty_variable_is_as_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = [str(field.validation_alias) for field in Settings.model_fields.values()]
    for name in variables:
        monkeypatch.delenv(name, raising=False)
    unset = load_settings()
    for name in variables:
        monkeypatch.setenv(name, "")
    assert load_settings() == unset


def test_an_operator_says_which_models_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STENO_MODELS", "large-v3,small,distil-large-v3")
    monkeypatch.setenv("STENO_LOCAL_MODELS", "whisperx:ours=/models/ours")
    settings = load_settings()
    assert settings.models_of("whisperx") == ("ours", "small", "large-v3", "distil-large-v3")
    assert settings.models_of("timestamped") == ("small", "large-v3")
    assert settings.models_of("pocketsphinx") == ("en-us",)


def test_a_default_model_that_nobody_may_use_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STENO_MODELS", "tiny")
    with pytest.raises(SettingsError, match="STENO_DEFAULT_MODEL"):
        load_settings()


def test_an_engine_may_have_an_interpreter_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STENO_ENGINE_PYTHONS", f"pocketsphinx={sys.executable},timestamped=/nowhere/python")
    settings = load_settings()
    assert settings.pythons == {"pocketsphinx": sys.executable, "timestamped": "/nowhere/python"}
    assert "pocketsphinx" in settings.runnable_engines
    assert "timestamped" not in settings.runnable_engines


def test_a_full_redis_address_goes_before_host_and_port() -> None:
    assert Settings(redis_host="a", redis_port=1).redis_address == "redis://a:1"
    assert Settings(redis_host="a", redis_url="unix:///s").redis_address == "unix:///s"
    assert Settings(redis_host="::1", redis_port=1).redis_address == "redis://[::1]:1"


def test_the_password_of_redis_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("redis://:secret@host:1/2", "rediss://me:secret@host", "redis://me:sec:ret@host"):
        assert without_password(address) == address.replace("sec:ret", "***").replace("secret", "***")
        assert "sec" not in repr(Settings(redis_url=address))
    assert without_password("redis://host:1") == "redis://host:1"
    monkeypatch.setenv("STENO_REDIS_URL", "http://:secret@host")
    monkeypatch.setenv("REDIS_HOST", "redis://:secret@host")
    with pytest.raises(SettingsError) as wrong:
        load_settings()
    assert "secret" not in str(wrong.value)
    assert str(wrong.value).startswith("Wrong settings. REDIS_HOST: give the host's name or address alone")
