"""The courier against real receivers and a real Redis: what is delivered, what is not, and who else notices."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import Any

import openai
import pytest
from redis import Redis

from conftest import MakeSettings
from steno.jobs.record import TRANSCRIPT
from steno.redis_server import RedisServer, free_port
from steno.storage import StorageFull
from steno.webhooks.deliveries import due_at
from steno.webhooks.due import DUE, HELD, LEASE_SECONDS, announce
from tests.office import JOB, SECRET, Office
from tests.processes import eventually
from tests.receivers import Heard, Receiver, receiving, says, silent


def test_a_finished_job_is_told_of_signed_and_written_down(office: Office) -> None:
    with receiving(says(204)) as receiver:
        office.over(receiver.url())
        office.courier()
        event = office.tried()
    (heard,) = receiver.heard
    assert heard.line == "POST /hook?a=b HTTP/1.1"
    openai.OpenAI(api_key="none").webhooks.verify_signature(heard.body, heard.headers, secret=SECRET)
    told = json.loads(heard.body)
    assert (told["type"], told["data"]["job_id"]) == ("transcription.completed", JOB)
    assert heard.headers["webhook-id"] == event.id
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["user-agent"].startswith("steno/")
    assert (event.state, event.attempts[0].status, event.attempts[0].error) == ("delivered", 204, None)
    assert office.redis.zcard(DUE) == 0


def test_ten_failures_on_schedule_send_the_same_bytes_and_give_up(office: Office) -> None:
    with receiving(says(500)) as receiver:
        office.over(receiver.url())
        office.courier()
        for times in range(1, 11):
            event = office.tried(times)
            office.late += 100_000.0  # longer than any wait, so that none is waited for
        assert event.state == "failed"
        assert not eventually(lambda: len(receiver.heard) > 10, 1)
    assert len({heard.body for heard in receiver.heard}) == 1
    assert len(set(receiver.ids)) == 1
    stamps = [int(heard.headers["webhook-timestamp"]) for heard in receiver.heard]
    assert stamps == sorted(set(stamps))
    assert event.attempts[-1].error == "The receiver answered 500."


def test_what_is_not_due_is_left_alone(office: Office) -> None:
    with receiving(says(500)) as receiver:
        office.over(receiver.url())
        office.courier()
        event = office.tried()
        assert office.redis.zscore(DUE, JOB) == pytest.approx(due_at(event, office.clock()))
        office.late = 2.0  # the second attempt comes after 4.5 to 5.5 s
        assert not eventually(lambda: len(receiver.heard) > 1, 0.5)
        office.late = 6.0
        office.tried(2)


def test_gone_means_never_again(office: Office) -> None:
    with receiving(says(410)) as receiver:
        office.over(receiver.url())
        office.courier()
        assert office.tried().state == "disabled"
        office.late = 100_000.0
        announce(office.storage, office.redis, JOB)
        assert not eventually(lambda: len(receiver.heard) > 1, 0.7)


@pytest.mark.parametrize("date", [False, True])
def test_a_busy_receiver_says_when_to_come_back(office: Office, date: bool) -> None:
    asked = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 600)) if date else "600"
    with receiving(says(429, f"retry-after: {asked}")) as receiver:
        office.over(receiver.url())
        office.courier()
        assert due_at(office.tried(), time.time()) - time.time() == pytest.approx(600, abs=60)


def test_two_couriers_on_one_queue_deliver_once(office: Office) -> None:
    with receiving(says(200)) as receiver:
        office.courier()
        office.courier()
        for number in range(60):
            office.over(receiver.url(), f"job-{number}")
        assert eventually(lambda: all(office.state(f"job-{number}") == "delivered" for number in range(60)))
        assert eventually(lambda: office.redis.zcard(DUE) + office.redis.zcard(HELD) == 0)
    assert len(receiver.ids) == len(set(receiver.ids)) == 60


def test_a_redis_that_lost_its_memory_is_told_again_and_the_delivery_goes_on(office: Office) -> None:
    with receiving(says(500)) as receiver:
        office.over(receiver.url())
        office.courier()
        event = office.tried()
        office.redis.flushdb()
        announce(office.storage, office.redis, JOB)  # as the sweep does
        office.late = 10.0
        assert office.tried(2).id == event.id
    assert len(receiver.heard) == 2


def test_a_redis_emptied_in_mid_delivery_costs_no_record(office: Office) -> None:
    def answer(receiver: Receiver, connection: Any, heard: Heard) -> None:
        office.redis.flushdb()
        says(200)(receiver, connection, heard)

    with receiving(answer) as receiver:
        office.over(receiver.url())
        office.courier()
        assert office.tried().state == "delivered"
        announce(office.storage, office.redis, JOB)
    assert office.redis.zcard(DUE) == 0
    assert len(receiver.heard) == 1


def test_a_redis_that_is_away_is_waited_for(make_settings: MakeSettings, tmp_path: Any) -> None:
    server = RedisServer(tmp_path / "mortal", free_port())
    server.start()
    with ExitStack() as stack, receiving(says(200)) as receiver:
        stack.callback(server.stop)
        redis = Redis.from_url(server.url)
        stack.callback(redis.close)
        settings = make_settings(redis_url=server.url, webhook_secrets=(SECRET,), webhook_networks="127.0.0.0/8")
        office = Office(settings, redis)
        courier = office.courier()
        stack.callback(courier.stop)
        office.over(receiver.url(), "before")
        office.tried(job_id="before")
        server.stop()
        time.sleep(0.7)  # long enough for the courier to have asked in vain
        server.start()
        office.over(receiver.url(), "after")
        assert office.tried(job_id="after").state == "delivered"


def test_a_deleted_job_is_let_go(office: Office) -> None:
    def answer(receiver: Receiver, connection: Any, heard: Heard) -> None:
        office.storage.delete(JOB)
        says(500)(receiver, connection, heard)

    with receiving(answer) as receiver:
        office.over(receiver.url())
        office.courier()
        assert eventually(lambda: receiver.heard and office.redis.zcard(DUE) + office.redis.zcard(HELD) == 0)
    assert list(office.storage.job_ids()) == []


def test_a_courier_that_stops_gives_up_its_leases(office: Office) -> None:
    with receiving(silent) as receiver:
        office.over(receiver.url())
        courier = office.courier(attempt_seconds=60.0)
        assert eventually(lambda: len(receiver.heard) == 1)
        courier.stop()
        assert eventually(lambda: office.redis.zcard(HELD) == 0)
        assert office.redis.zrange(DUE, 0, -1) == [JOB.encode()]
        assert office.attempts() == 0


def test_a_worker_without_secrets_leaves_webhooks_to_others_and_says_so(
    office: Office, make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with receiving(says(200)) as receiver:
        office.over(receiver.url())
        office.courier(make_settings())
        assert eventually(lambda: "STENO_WEBHOOK_SECRETS" in caplog.text)
        assert office.redis.zrange(DUE, 0, -1) == [JOB.encode()]
    assert not receiver.heard


def test_trouble_on_our_own_side_is_logged_and_tried_later(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    with receiving(says(200)) as receiver:
        office.over(receiver.url())
        (office.settings.upload_dir / JOB / TRANSCRIPT).write_text("{")
        office.over(receiver.url(), "other")
        office.courier()
        office.tried(job_id="other")
        assert eventually(lambda: office.redis.zscore(DUE, JOB) is not None)
    assert f"Webhook of job {JOB} could not be delivered" in caplog.text
    assert len(receiver.heard) == 1


def environment(office: Office) -> dict[str, str]:
    settings = office.settings
    mine = {
        "STENO_REDIS_URL": str(settings.redis_url),
        "UPLOAD_DIR": str(settings.upload_dir),
        "STENO_ENGINES": "pocketsphinx",
    }
    return {**os.environ, **mine, "STENO_WEBHOOK_SECRETS": SECRET, "STENO_WEBHOOK_NETWORKS": "127.0.0.0/8"}


def test_every_worker_has_one(office: Office) -> None:
    with receiving(says(200)) as receiver:
        office.over(receiver.url())
        worker = subprocess.Popen([sys.executable, "-m", "worker.main"], env=environment(office))
        try:
            assert office.tried().state == "delivered"
        finally:
            worker.terminate()
            assert worker.wait(20) == 0


ALONE = """
import sys
from steno.config import load_settings
from steno.storage import LocalStorage
from worker.courier import Courier
settings = load_settings()
Courier(settings, LocalStorage(settings.upload_dir)).start()
sys.stdin.read()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_courier_killed_or_stopped_in_mid_delivery_loses_its_lease(office: Office, how: signal.Signals) -> None:
    """The other one delivers the event under the same id; and one that wakes up again does not write over that."""
    with receiving(silent) as receiver:
        office.over(receiver.url())
        process = subprocess.Popen([sys.executable, "-c", ALONE], env=environment(office), stdin=subprocess.PIPE)
        try:
            assert eventually(lambda: len(receiver.heard) == 1)
            process.send_signal(how)
            receiver.answer = says(200)
            office.courier()
            assert not eventually(lambda: len(receiver.heard) > 1, 1)
            office.late = LEASE_SECONDS + 1
            assert office.tried().state == "delivered"
            if how == signal.SIGSTOP:
                process.send_signal(signal.SIGCONT)
                receiver.ended.set()  # the first delivery ends, and its courier finds that it was overtaken
                time.sleep(1)
        finally:
            process.kill()
            process.communicate()
    assert len(receiver.heard) == 2
    assert len(set(receiver.ids)) == 1
    assert office.attempts() == 1


@pytest.mark.parametrize(("ahead", "is_free"), [(3000.0, True), (LEASE_SECONDS + 50, False)])
def test_a_lease_taken_before_a_clock_was_set_back_holds_nobody_up(office: Office, ahead: float, is_free: bool) -> None:
    """That of a courier whose clock is ahead by less than a minute is a lease like any other."""
    with receiving(says(200)) as receiver:
        office.over(receiver.url())
        office.redis.zadd(HELD, {JOB: office.clock() + ahead})  # by one that could not give it back
        office.courier()
        assert eventually(lambda: bool(receiver.heard), 10 if is_free else 2) == is_free


def test_a_full_disk_sends_nothing_again_and_again(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    put = office.storage.put
    receiver: Receiver

    def is_full() -> bool:
        return bool(receiver.heard) and not freed.is_set()

    def refuse(job_id: str, name: str, data: dict[str, Any]) -> None:
        if is_full():
            raise StorageFull
        put(job_id, name, data)

    freed = threading.Event()
    monkeypatch.setattr(office.storage, "put", refuse)
    monkeypatch.setattr(office.storage, "free_bytes", lambda: 0 if is_full() else 1 << 30)
    with receiving(says(200)) as receiver:
        office.over(receiver.url())
        office.courier()
        for _ in range(3):
            assert eventually(lambda: (office.redis.zscore(DUE, JOB) or 0) > office.clock())
            office.late += 61
        assert eventually(lambda: (office.redis.zscore(DUE, JOB) or 0) > office.clock())
        assert len(receiver.heard) == 1
        freed.set()
        office.late += 61
        assert office.tried().state == "delivered"
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1
