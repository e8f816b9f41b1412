"""Where weights are found, and how quickly it is said that they cannot be."""

import importlib
import socket
import time
from pathlib import Path

import pytest

from conftest import MakeSettings
from steno.jobs.errors import ModelUnavailable
from steno.redis_server import free_port
from worker import weights


def test_a_model_that_is_not_here_is_said_within_a_second_with_the_command_to_fetch_it(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{free_port()}")
    importlib.import_module("faster_whisper")  # which takes its own time
    began = time.monotonic()
    with pytest.raises(ModelUnavailable, match="steno models pull faster-whisper tiny"):
        weights.ctranslate2_folder("faster-whisper", "tiny", make_settings(), fetch=True)
    assert time.monotonic() - began < 15  # a second where nothing else runs; the hub's own retries take 23


def test_whether_a_machine_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert weights.is_reachable(f"http://127.0.0.1:{port}/models")
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        assert weights.is_reachable("https://hub.invalid")  # the proxy is who must answer
    monkeypatch.delenv("https_proxy")
    assert not weights.is_reachable(f"http://127.0.0.1:{port}/models")
    assert not weights.is_reachable("https://hub.invalid")


def test_a_network_that_swallows_everything_does_not_hold_up_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def swallow(*arguments: object) -> None:
        time.sleep(8)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", swallow)
    began = time.monotonic()
    assert not weights.is_reachable("https://hub.invalid")
    assert time.monotonic() - began < 5


def test_the_version_of_a_hubs_model_is_its_commit_and_of_a_local_one_its_sum(tmp_path: Path) -> None:
    folder = tmp_path / "models--x" / "snapshots" / "0123abcd"
    folder.mkdir(parents=True)
    assert weights.version(folder) == "0123abcd"
    (tmp_path / "model.bin").write_bytes(b"abc")
    assert weights.version(tmp_path) == weights.version(tmp_path / "model.bin") == "sha256:ba7816bf8f01cfea"


def test_a_registered_file_that_is_gone_is_named(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings(local_models=(f"timestamped:ours={tmp_path}/ours.pt",), default_model="ours")
    with pytest.raises(ModelUnavailable, match=r"ours\.pt"):
        weights.openai_file("timestamped", "ours", settings, fetch=True)
    (tmp_path / "ours.pt").write_bytes(b"12345")
    found = weights.openai_file("timestamped", "ours", settings, fetch=False)
    assert (found.name, weights.size(found)) == ("ours.pt", 5)
