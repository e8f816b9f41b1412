"""The short form of the fault suite, and its own parts: what cannot see trouble proves nothing."""

import base64
import contextlib
import hmac
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any, cast

import httpx
import pytest

from chaos.book import recordings
from chaos.deck import FAULTS
from chaos.proxy import HOST, Proxy
from chaos.receiver import SECRET, Receiver
from chaos.report import Report
from chaos.sampling import Sampler, trend
from chaos.service import MARK
from chaos.verify import Findings

ROOT = Path(__file__).parent.parent
SHIM = ROOT / "chaos" / "shim"


@pytest.mark.timeout(600)
def test_every_fault_is_survived() -> None:
    command = [sys.executable, "-m", "chaos", "--jobs", "40", "--short", "--webhooks", "--idempotency"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["finished"] == told["accepted"] >= 40
    assert told["strikes"].keys() == FAULTS.keys()


@pytest.mark.parametrize("kind", ["lost", "failed", "wrong_words", "duplicated", "leftovers"])
def test_a_report_with_trouble_is_no_success(kind: str) -> None:
    good = Findings(finished=3)
    assert _report(good).ok
    getattr(good, kind).append("what went wrong")
    assert not _report(good).ok
    assert "what went wrong" in _report(good).table()


def test_a_job_that_never_ended_is_no_success() -> None:
    assert not _report(Findings(finished=2)).ok


def test_two_jobs_for_one_upload_count_where_keys_are_honoured() -> None:
    assert _report(Findings(finished=3, twice_uploaded=1)).ok
    assert not _report(Findings(finished=3, twice_uploaded=1), keys_kept=True).ok


def test_words_are_compared_whole() -> None:
    recording = recordings()["exact-fr-4.mp3"]
    said = " ".join(recording.words).title() + "."
    assert recording.said_in({"text": said})
    assert not recording.said_in({"text": said + " " + said})
    assert not recording.said_in({"text": ""})


def test_a_silent_proxy_holds_back_and_a_cut_breaks() -> None:
    with socket.create_server((HOST, 0)) as server:
        echo = Thread(target=_echo, args=(server,))
        echo.start()
        proxy = Proxy(server.getsockname()[1])
        proxy.start()
        try:
            with socket.create_connection((HOST, proxy.port), timeout=10) as client:
                assert _asked(client, b"one") == b"one"
                proxy.silence()
                client.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    _asked(client, b"two")
                proxy.speak()
                client.settimeout(10)
                assert client.recv(10) == b"two"
                proxy.cut()
                assert _asked(client, b"three") == b""
        finally:
            proxy.stop()
            echo.join()


def test_clock_and_disk_of_a_process_under_test_obey_two_files(tmp_path: Path) -> None:
    (tmp_path / "clock").write_text("7200")
    (tmp_path / "full").touch()
    script = (
        "import os, time; from datetime import datetime, UTC\n"
        "print(time.time(), datetime.now(UTC).timestamp(), isinstance(datetime.fromtimestamp(0), datetime))\n"
        "try: os.mkdir('never')\n"
        "except OSError as error: print(error.strerror)"
    )
    environment = {**os.environ, "PYTHONPATH": str(SHIM), MARK: str(tmp_path)}
    told = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    clock, full = told.stdout.splitlines()
    by_time, by_datetime, same_class = clock.split()
    assert float(by_time) - time.time() == pytest.approx(7200, abs=60)
    assert float(by_datetime) - time.time() == pytest.approx(7200, abs=60)
    assert same_class == "True"
    assert full == os.strerror(28)


def test_the_receiver_keeps_ids_and_refuses_what_is_not_signed() -> None:
    body = json.dumps({"type": "transcription.completed", "data": {"job_id": "a"}}).encode()
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signature = "v1," + base64.b64encode(hmac.digest(key, b"msg_1.7." + body, "sha256")).decode()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "7", "webhook-signature": f"v1,other {signature}"}
    with Receiver() as receiver:
        for name in ("msg_1", "msg_2"):
            sent = {**headers, "webhook-id": name}
            assert httpx.post(receiver.url, content=body, headers=sent).status_code == (204 if name == "msg_1" else 400)
        assert receiver.told == {"a": {"msg_1": {body}}}
        assert (receiver.deliveries, receiver.refused) == (1, 1)


def test_of_a_process_that_was_replaced_the_one_that_lived_longest_is_judged_once_it_is_warm() -> None:
    sampler = Sampler(cast(Any, None), 1.0)
    sampler._begun = 0.0
    first = [(float(at), 100.0) for at in range(100)]
    second = [(float(at), 300.0 if at >= 150 else 200.0) for at in range(100, 400)]
    sampler._samples = {("engine", "rss_mb"): {1: first, 2: second}}
    (line,) = sampler.trends(since=50.0)
    assert (line.mean, line.growth) == (300.0, 0.0)


def test_a_leak_is_told_from_noise() -> None:
    times = [10.0 * n for n in range(60)]
    noisy = [50 + 6.0 * (-1) ** n for n in range(60)]
    assert trend("api", "rss_mb", times, noisy).flat
    leaking = [value + 0.5 * n for n, value in enumerate(noisy)]
    line = trend("api", "rss_mb", times, leaking)
    assert not line.flat
    assert line.per_hour == pytest.approx(180, rel=0.05)
    assert "GROWS" in line.row()


def _report(findings: Findings, keys_kept: bool = False) -> Report:
    return Report(1, 1.0, 3, findings, [], {200: 3}, {"api-kill": 1}, {}, None, keys_kept, "a disk")


def _echo(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection, contextlib.suppress(ConnectionError):
        while data := connection.recv(100):
            connection.sendall(data)


def _asked(client: socket.socket, question: bytes) -> bytes:
    """The answer; nothing where the connection is broken."""
    try:
        client.sendall(question)
        return client.recv(10)
    except ConnectionError:
        return b""
