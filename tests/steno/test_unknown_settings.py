import os
import subprocess
import sys

import pytest

from steno.config import Settings
from steno.unknown_settings import unknown_settings


@pytest.fixture(autouse=True)
def _no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("STENO_")]:
        monkeypatch.delenv(name)


def test_every_setting_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields.values():
        monkeypatch.setenv(str(field.validation_alias), "x")
    assert unknown_settings() == []


@pytest.mark.parametrize(
    "name",
    [
        "STENO_SERVER",
        "STENO_ENGINE",
        "STENO_PORT",
        "STENO_SERVICE_HOST",
        "STENO_PORT_8000_TCP_ADDR",
        "STENO_API_SERVICE_PORT_HTTP",
    ],
)
def test_what_others_read_or_write_is_no_mistake(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "tcp://10.0.0.1:8000")
    assert unknown_settings() == []


def test_a_name_that_there_is_not_is_told_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STENO_WEBHOOK_SECRET", "hush")
    monkeypatch.setenv("STENO_REDIS_PORT", "6380")
    monkeypatch.setenv("STENO_XYZZY", "hush")
    assert unknown_settings() == [
        "STENO_REDIS_PORT is no setting and changes nothing; did you mean 'REDIS_PORT'?",
        "STENO_WEBHOOK_SECRET is no setting and changes nothing; did you mean 'STENO_WEBHOOK_SECRETS'?",
        "STENO_XYZZY is no setting and changes nothing.",
    ]


@pytest.mark.parametrize(
    "program", ["import api.main", "from worker import main; main.work = lambda *_: None; main.main()"]
)
def test_api_and_worker_say_so_as_they_start(program: str) -> None:
    environment = {**os.environ, "STENO_RETENTION_DAY": "1"}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=60)
    assert "STENO_RETENTION_DAY is no setting and changes nothing" in run.stderr
