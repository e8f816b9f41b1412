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


def test_what_a_broken_download_left_is_not_taken_for_the_model(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def download_model(model: str, local_files_only: bool = False) -> str:
        if not local_files_only:
            (tmp_path / "model.bin").write_bytes(b"whole")
        return str(tmp_path)  # as releases of the hub's library before 1.0 do, whatever is there

    monkeypatch.setattr("faster_whisper.download_model", download_model)
    monkeypatch.setattr(weights, "is_reachable", lambda address: True)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelUnavailable, match="not on this machine"):
        weights.ctranslate2_folder("faster-whisper", "tiny", make_settings(), fetch=False)
    for fetch in (True, False):
        found = weights.ctranslate2_folder("faster-whisper", "tiny", make_settings(), fetch=fetch)
        assert (found / "model.bin").read_bytes() == b"whole"


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("variables", "address", "door"),
    [
        ({}, "https://hub.example/models", ("hub.example", 443)),
        ({}, "http://mirror.lan", ("mirror.lan", 80)),
        ({}, "http://mirror.lan:8080", ("mirror.lan", 8080)),
        ({"https_proxy": "http://proxy.lan:3128"}, "https://hub.example", ("proxy.lan", 3128)),
        ({"https_proxy": "proxy.lan:3128"}, "https://hub.example", ("proxy.lan", 3128)),
        ({"https_proxy": "http://proxy.lan"}, "https://hub.example", ("proxy.lan", 80)),
        ({"all_proxy": "socks5://proxy.lan"}, "https://hub.example", ("proxy.lan", 1080)),
        ({"https_proxy": "proxy.lan:3128", "no_proxy": "mirror.lan"}, "https://mirror.lan", ("mirror.lan", 443)),
    ],
)
@pytest.mark.usefixtures("no_proxies")
def test_it_is_asked_where_the_library_would_ask(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], address: str, door: tuple[str, int]
) -> None:
    doors: list[object] = []

    def connected(door: object, timeout: float) -> socket.socket:
        doors.append(door)
        return socket.socket()

    monkeypatch.setattr(socket, "create_connection", connected)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert weights.is_reachable(address)
    assert doors == [door]


@pytest.mark.usefixtures("no_proxies")
def test_whether_a_machine_answers(monkeypatch: pytest.MonkeyPatch) -> None:
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
