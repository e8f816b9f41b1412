"""Kill -9 and SIGSTOP of API processes in the middle of a resumable upload: it goes on where it was, and is one job."""

import hashlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from api.tests.tus import TALK, Tus, begin_patch, job_of
from api.tests.wire import MIB, Wire
from steno.config import Settings
from steno.jobs.queue import JobQueue
from steno.jobs.record import REQUEST, UPLOAD
from tests.api_processes import Api, apis, settings_in
from tests.processes import alive, eventually

KILLS: Final = int(os.environ.get("TEST_ROUNDS", "20"))


class Service:
    """Two API processes over one folder and one Redis, and a client that turns to either."""

    def __init__(self, settings: Settings, made: list[Api]) -> None:
        self.settings, self.apis = settings, made
        self.folder = settings.upload_dir

    def offset(self, api: Api, path: str) -> int:
        """Where the upload is, as soon as anybody says so."""
        told: list[httpx.Response] = []

        def ask() -> bool:
            try:
                with Tus(api.url) as tus:
                    told[:] = [tus.head(path)]
            except httpx.HTTPError:
                return False
            assert told[0].status_code in (200, 423), told[0].text
            return told[0].status_code == 200

        assert eventually(ask)
        return int(told[0].headers["upload-offset"])

    def queued(self, path: str) -> int:
        """How often the upload waits in the queue."""
        queue = JobQueue(self.settings)
        try:
            return queue.queue("whisperx").get_job_ids().count(job_of(path))
        finally:
            queue.redis.close()

    def files(self, path: str) -> set[str]:
        """What is in its folder, but for a record that was being written when its process died: the janitor removes that."""
        names = {each.name for each in (self.folder / job_of(path)).iterdir()}
        return {name for name in names if ".json." not in name}

    def recording(self, path: str) -> bytes:
        return (self.folder / job_of(path) / "audio.wav").read_bytes()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = settings_in(tmp_path_factory.mktemp("apis"), 3, tus_lock=0.5)  # what a kill leaves behind is waited for
    with apis(settings, 2) as made:
        yield Service(settings, made)


def begun(service: Service, length: int) -> str:
    with Tus(service.apis[0].url) as tus:
        return tus.begun(length)


def test_twenty_random_kills_cost_one_upload_nothing(service: Service) -> None:
    dice = random.Random(5)
    data = b"RIFF" + dice.randbytes(16 * MIB)
    path, at = begun(service, len(data)), 0
    partial = service.folder / job_of(path) / "audio.wav.part"
    for number in range(KILLS):
        api = dice.choice(service.apis)
        before, at = at, service.offset(api, path)
        assert before <= at < len(data)
        with Wire(api.port) as wire:
            sent = dice.randrange(1_000_000) if number % 4 else 700_000
            begin_patch(wire, path, at, len(data) - at, data[at : at + sent])
            time.sleep(dice.random() * 0.05)
            if not number % 4:  # on a slow machine no other may get so far as to store anything
                assert eventually(lambda at=at: partial.stat().st_size > at, pause=0.001)  # type: ignore[misc]
            api.kill()
        most, at = at + sent, service.offset(dice.choice(service.apis), path)
        assert at <= most
    assert 0 < at < len(data)
    with Tus(service.apis[1].url) as tus:
        last = tus.patch(path, at, data[at:])
    assert last.headers["steno-job-id"] == job_of(path)
    assert hashlib.sha256(service.recording(path)).digest() == hashlib.sha256(data).digest()
    assert service.queued(path) == 1
    assert service.files(path) == {"audio.wav", REQUEST, UPLOAD}


def test_what_was_answered_is_never_lost(service: Service) -> None:
    """A piece that was answered with 204 is there after any kill."""
    data = b"RIFF" + random.Random(6).randbytes(2 * MIB)
    path, at = begun(service, len(data)), 0
    for end in (1, 65_536, 600_000, 2_000_000):
        with Tus(service.apis[0].url) as tus:
            assert tus.patch(path, at, data[at:end]).status_code == 204
        service.apis[0].kill()
        assert service.offset(service.apis[1], path) == end
        at = end


def has_come(partial: Path, length: int) -> bool:
    try:
        return partial.stat().st_size == length
    except FileNotFoundError:  # and has got its final name
        return True


@pytest.mark.parametrize("seconds", [0.0, 0.002, 0.005, 0.01, 0.02, 0.04])
def test_a_kill_between_the_last_byte_and_the_answer_makes_one_job(service: Service, seconds: float) -> None:
    data = b"RIFF" + random.Random(7).randbytes(300_000)
    path, api = begun(service, len(data)), service.apis[0]
    partial = service.folder / job_of(path) / "audio.wav.part"
    with Wire(api.port) as wire:
        begin_patch(wire, path, 0, len(data), data)
        assert eventually(lambda: has_come(partial, len(data)), pause=0.001)
        time.sleep(seconds)
        api.kill()
    assert service.offset(service.apis[1], path) == len(data)
    assert service.recording(path) == data
    assert service.files(path) == {"audio.wav", REQUEST, UPLOAD}
    with Tus(service.apis[1].url) as tus:
        assert tus.head(path).headers["steno-job-id"] == job_of(path)
        assert tus.http.get(f"/status/{job_of(path)}").json()["status"] == "queued"
    assert service.queued(path) <= 1  # none: the process died between request and queue, and the sweep will see to it


def test_who_was_frozen_and_overtaken_writes_nothing_more(service: Service) -> None:
    mine, other = (b"RIFF" + letter * MIB for letter in (b"m", b"o"))
    path = begun(service, len(mine))
    slow, quick = service.apis
    with Wire(slow.port) as wire:
        begin_patch(wire, path, 0, len(mine), mine[:600_000])
        with Tus(quick.url) as tus:
            assert eventually(lambda: tus.look(path)["offset"] >= 524_288)
            with slow.frozen():
                wire.send(mine[600_000:])
                at = service.offset(quick, path)
                assert tus.patch(path, at, other[at : at + 200_000]).status_code == 204
            answer = wire.answer()
            assert (answer.status, answer.code) == (503, "queue_unavailable")
            assert service.offset(quick, path) == at + 200_000
            assert tus.patch(path, at + 200_000, other[at + 200_000 :]).headers["steno-job-id"]
    assert service.recording(path) == mine[:at] + other[at:]


def unread(port: int) -> int:
    """Bytes that came to a server's connections and which it has yet to read, by the kernel's table."""
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(at[4].partition(":")[2], 16) for at in sockets if at[3] == "01" and int(at[1][-4:], 16) == port)


def test_an_api_that_is_told_to_stop_does_not_wait_for_the_rest_of_a_piece(service: Service) -> None:
    data = b"RIFF" + bytes(MIB)
    path, api = begun(service, len(data)), service.apis[0]
    pid = api.pid
    with Wire(api.port) as wire:
        begin_patch(wire, path, 0, len(data), data[:700_000])
        with Tus(service.apis[1].url) as tus:
            assert eventually(lambda: tus.look(path)["offset"] >= 524_288 and not unread(api.port))
        os.kill(pid, signal.SIGTERM)
        answer = wire.answer()
    assert (answer.status, answer.code, "HEAD" in answer.detail) == (503, "server_stops", True)
    assert eventually(lambda: not alive(pid))
    assert service.offset(service.apis[1], path) == 700_000


def test_pieces_may_go_to_any_process(service: Service) -> None:
    data = b"RIFF" + random.Random(8).randbytes(MIB)
    with Tus(service.apis[0].url) as tus:
        path = tus.create(len(data), TALK).headers["location"]
    for number, at in enumerate(range(0, len(data), 100_000)):
        with Tus(service.apis[number % 2].url) as tus:
            assert tus.offset(path) == at
            assert tus.patch(path, at, data[at : at + 100_000]).status_code == 204
    assert service.recording(path) == data
    assert service.queued(path) == 1
