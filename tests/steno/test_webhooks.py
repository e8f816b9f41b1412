"""What is told of a job, how it is signed, and when it is told again: without a socket and without waiting."""

import json
import os
import re
import textwrap
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import openai
import pytest
from redis import Redis

from conftest import MakeSettings
from steno.config import SettingsError, load_settings
from steno.jobs.options import Options
from steno.jobs.record import CANCELED, ERROR, REQUEST, TRANSCRIPT, JobRequest, canceled_record, error_record, iso_time
from steno.outbound import UrlRefused
from steno.storage import LocalStorage
from steno.webhooks.deliveries import (
    JITTER,
    LONGEST_RETRY_AFTER,
    SCHEDULE,
    WEBHOOK,
    Attempt,
    Event,
    check_callback,
    due_at,
    note,
    plan,
    read,
    write,
)
from steno.webhooks.due import DUE, announce
from steno.webhooks.signing import kept_secret, new_secret, signed_headers

URL = "https://example.org/hook"
NOW = 1_760_000_000.0
HEARD = {"language": "en", "duration": 4.0, "segments": [], "text": "Good morning."}
FAILURE = Attempt("2026-01-01T00:00:00Z", 500, "The receiver answered 500.", 3)
SUCCESS = Attempt("2026-01-01T00:00:00Z", 204, None, 3)


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "jobs")


def submitted(storage: LocalStorage, job_id: str = "job", **more: Any) -> str:
    """A job whose client wants to be told of it."""
    upload = storage.create(job_id, "audio.wav")
    upload.commit()
    plan(storage, job_id, URL)
    request = JobRequest(
        job_id=job_id, options=Options("whisperx", "small"), filename="talk.wav", audio="audio.wav", size=4,
        created_at="2026-01-01T00:00:00Z",
    )  # fmt: skip
    storage.put(job_id, REQUEST, {**request.to_dict(), **more})
    return job_id


def noted(storage: LocalStorage, job_id: str, now: float = NOW) -> list[Event]:
    """The events once the outcome was noted, which looking again later does not change."""
    before = read(storage, job_id)
    assert before is not None
    after = note(storage, job_id, before, now)
    assert read(storage, job_id) == after
    assert note(storage, job_id, after, now + 99) == after
    return list(after.events)


def ended(storage: LocalStorage, job_id: str, record: str) -> str:
    return iso_time(storage.written_at(job_id, record) or 0.0)


def test_what_a_newer_steno_wrote_of_an_event_is_read_without_what_is_new(storage: LocalStorage) -> None:
    job_id = submitted(storage)
    storage.put(job_id, TRANSCRIPT, HEARD)
    (event,) = noted(storage, job_id)
    record = storage.get(job_id, WEBHOOK) or {}
    told = {**record["events"][0], "colour": "red", "attempts": [{**asdict(SUCCESS), "colour": "red"}]}
    storage.put(job_id, WEBHOOK, {**record, "events": [told]})
    after = read(storage, job_id)
    assert after is not None
    assert after.events == (replace(event, attempts=(SUCCESS,)),)


def verified(body: bytes, headers: dict[str, str], secret: str) -> None:
    openai.OpenAI(api_key="none").webhooks.verify_signature(body, headers, secret=secret, tolerance=10**9)


def test_openais_library_accepts_the_signature_and_no_other_byte() -> None:
    secret, body = new_secret(), '{"type":"transcription.completed","data":{"filename":"Grüße.wav"}}'.encode()
    headers = signed_headers((secret,), "msg_1", int(NOW), body)
    verified(body, headers, secret)
    changed: list[tuple[bytes, dict[str, str], str]] = [
        (body.replace(b"completed", b"completee"), headers, secret),
        (body + b" ", headers, secret),
        (body, {**headers, "webhook-id": "msg_2"}, secret),
        (body, {**headers, "webhook-timestamp": str(int(NOW) + 1)}, secret),
        (body, headers, new_secret()),
    ]
    for altered in changed:
        with pytest.raises(openai.InvalidWebhookSignatureError):
            verified(*altered)


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    """Of the example in the libraries of Standard Webhooks."""
    headers = signed_headers(
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_code_in_the_docs_verifies() -> None:
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    with_library, with_python = re.findall(r"((?:^    import .*\n)(?:^(?:    .*)?\n)+)", page, re.MULTILINE)
    new, old, body, now = new_secret(), new_secret(), b'{"a":1}', int(time.time())
    headers = signed_headers((new, old), "msg_1", now, body)
    library: dict[str, Any] = {}
    exec(textwrap.dedent(with_library.replace("whsec_…", old)), library)
    library["verify"](headers, body)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        library["verify"](headers, body + b" ")
    plain: dict[str, Any] = {}
    exec(textwrap.dedent(with_python), plain)
    plain["verify"](headers, body, old)
    stale = signed_headers((new, old), "msg_1", now - 400, body)
    for refused, secret in ((headers, new_secret()), (stale, old), ({**headers, "webhook-id": "msg_2"}, old)):
        with pytest.raises(ValueError):
            plain["verify"](refused, body, secret)


def test_while_secrets_change_receivers_with_either_accept() -> None:
    new, old = new_secret(), new_secret()
    headers = signed_headers((new, old), "msg_1", int(NOW), b"{}")
    for secret in (new, old):
        verified(b"{}", headers, secret)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        verified(b"{}", headers, new_secret())


@pytest.mark.parametrize(
    "secret", ["hunter2", "whsec_", "whsec_aHVudGVyMg==", "whsec_" + "!" * 40, "whsec_" + "A" * 100]
)
def test_a_weak_secret_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    good = new_secret()
    monkeypatch.setenv("STENO_WEBHOOK_SECRETS", f"{good},{secret}")
    with pytest.raises(SettingsError, match=r"STENO_WEBHOOK_SECRETS.*secret 2 is not whsec_") as error:
        load_settings()
    assert good not in str(error.value)
    assert "hunter2" not in str(error.value)


def test_settings_do_not_show_the_secrets(make_settings: MakeSettings) -> None:
    secret = new_secret()
    assert secret not in repr(make_settings(webhook_secrets=(secret,)))


@pytest.mark.parametrize("value", ["10.0.0.1/8", "everywhere", "10.0.0.0/33"])
def test_a_wrong_network_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("STENO_WEBHOOK_NETWORKS", f"fd00::/8, {value}")
    with pytest.raises(SettingsError, match=r"STENO_WEBHOOK_NETWORKS: .*give networks such as"):
        load_settings()


def test_a_kept_secret_is_its_owners_alone_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    secret = kept_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert kept_secret(path) == secret
    assert list(tmp_path.iterdir()) == [path]
    path.write_text("hunter2")
    with pytest.raises(ValueError, match="whsec_"):
        kept_secret(path)


def test_a_callback_is_refused_without_a_secret_or_where_it_leads_inside(make_settings: MakeSettings) -> None:
    with pytest.raises(UrlRefused, match="STENO_WEBHOOK_SECRETS"):
        check_callback(make_settings(), URL)
    ready = make_settings(webhook_secrets=(new_secret(),))
    check_callback(ready, URL)
    with pytest.raises(UrlRefused, match="private"):
        check_callback(ready, "http://10.0.0.1/")
    check_callback(make_settings(webhook_secrets=(new_secret(),), webhook_networks="10.0.0.0/8"), "http://10.0.0.1/")


def test_a_finished_job_is_told_of_once_with_what_there_is_to_know(storage: LocalStorage) -> None:
    job_id = submitted(storage, labels=["a"], metadata={"case": "7"}, reused_from="other")
    assert noted(storage, job_id) == []
    storage.put(job_id, TRANSCRIPT, HEARD)
    (event,) = noted(storage, job_id)
    assert json.loads(event.body()) == {
        "type": "transcription.completed",
        "timestamp": ended(storage, job_id, TRANSCRIPT),
        "data": {
            "job_id": "job", "status": "finished", "engine": "whisperx", "model": "small", "language": "en", "duration": 4.0,
            "filename": "talk.wav", "created_at": "2026-01-01T00:00:00Z", "labels": ["a"], "metadata": {"case": "7"},
            "error": None, "error_code": None, "reused_from": "other",
        },
    }  # fmt: skip
    assert (event.state, due_at(event, NOW)) == ("pending", NOW)


def test_a_failed_job_is_told_of_with_its_reason_and_moment(storage: LocalStorage) -> None:
    job_id = submitted(storage)
    record = error_record("audio_empty", "The recording holds no sound.", 2)
    storage.put(job_id, ERROR, record)
    (event,) = noted(storage, job_id)
    assert (event.type, event.timestamp) == ("transcription.failed", ended(storage, job_id, ERROR))
    assert (event.data["status"], event.data["error_code"]) == ("failed", "audio_empty")
    assert event.data["error"] == "The recording holds no sound."


def test_canceled_goes_before_whatever_else_came_of_it(storage: LocalStorage) -> None:
    job_id = submitted(storage)
    storage.put(job_id, TRANSCRIPT, HEARD)
    storage.put(job_id, CANCELED, {"canceled_at": "2026-02-02T00:00:00Z"})
    (event,) = noted(storage, job_id)
    assert (event.type, event.timestamp) == ("transcription.canceled", ended(storage, job_id, CANCELED))


def test_the_id_depends_on_job_run_and_outcome_alone(storage: LocalStorage) -> None:
    job_id = submitted(storage)
    storage.put(job_id, ERROR, error_record("internal", "No.", 1))
    (failed,) = noted(storage, job_id)
    planned = read(storage, job_id)
    assert planned is not None
    write(storage, job_id, replace(planned, events=()))  # as if what was written after the event had been lost
    (again,) = noted(storage, job_id, NOW + 5)
    assert again.id == failed.id
    assert failed.id.startswith("msg_")
    request = storage.get(job_id, REQUEST)
    storage.put(job_id, REQUEST, {**(request or {}), "run": 1})  # retried by hand
    assert noted(storage, job_id, NOW + 7) == [again]  # how the first run ended is still there, and is no news
    storage.put(job_id, ERROR, error_record("internal", "No.", 1, run=1))
    assert len({event.id for event in noted(storage, job_id, NOW + 9)}) == 2


@pytest.mark.parametrize("outcome", [TRANSCRIPT, ERROR, CANCELED])
def test_how_a_retried_job_ended_is_told_though_the_clock_was_set_back_since(
    storage: LocalStorage, outcome: str
) -> None:
    job_id = submitted(storage, run=1)
    records = {ERROR: error_record("internal", "No.", 1, run=1), CANCELED: canceled_record(1), TRANSCRIPT: HEARD}
    storage.put(job_id, outcome, records[outcome])
    then = time.time() - 600
    os.utime(storage.root / job_id / outcome, (then, then))
    (event,) = noted(storage, job_id)
    assert event.timestamp == ended(storage, job_id, outcome)


def test_another_job_under_the_same_id_tells_its_end_under_another(storage: LocalStorage) -> None:
    ids = set()
    for _ in range(2):  # as an Idempotency-Key that is used again after its job was deleted
        job_id = submitted(storage)
        storage.put(job_id, TRANSCRIPT, HEARD)
        ids |= {event.id for event in noted(storage, job_id)}
        storage.delete(job_id)
    assert len(ids) == 2


def test_a_webhook_stays_thin_whatever_the_client_attached(storage: LocalStorage) -> None:
    job_id = submitted(storage, labels=["l" * 50], metadata={"a": "ü" * 50_000})
    storage.put(job_id, ERROR, error_record("internal", "x" * 9_000, 1))
    (event,) = noted(storage, job_id)
    assert len(event.body()) < 20_000
    assert (event.data["metadata"], event.data["left_out"]) == ({}, ["metadata"])
    assert event.data["labels"] == ["l" * 50]


def test_it_is_tried_ten_times_on_the_standards_schedule() -> None:
    event, now, waits = Event("msg_1", "t", iso_time(NOW), {}, next_at=iso_time(NOW)), NOW, []
    body = event.body()
    while event.state == "pending":
        now = due_at(event, now)
        event = event.after(FAILURE, None, now, chance=0.5)
        waits.append(due_at(event, now) - now if event.next_at else None)
    assert waits == [*SCHEDULE[1:], None]
    assert (event.state, len(event.attempts), event.body()) == ("failed", 10, body)


def test_waits_vary_by_a_tenth() -> None:
    event = Event("msg_1", "t", iso_time(NOW), {}, next_at=iso_time(NOW), tried=1)
    waits = [due_at(event.after(FAILURE, None, NOW, chance), NOW) - NOW for chance in (0, 1)]
    assert waits == pytest.approx([270, 330])
    by_chance = {event.after(FAILURE, None, NOW).next_at for _ in range(20)}
    assert len(by_chance) > 1


@pytest.mark.parametrize(
    ("asked", "wait"), [(None, 5), (2.0, 5), (120.0, 120), (10.0**9, LONGEST_RETRY_AFTER)], ids=str
)
def test_a_receiver_that_asks_for_patience_gets_it_within_reason(asked: float | None, wait: float) -> None:
    busy = Attempt(iso_time(NOW), 429, "The receiver answered 429.", 1)
    event = Event("msg_1", "t", iso_time(NOW), {}, next_at=iso_time(NOW)).after(busy, asked, NOW, chance=0.5)
    assert due_at(event, NOW) - NOW == wait


@pytest.mark.parametrize("tried", [0, 1, 5])
def test_a_clock_that_was_set_back_delays_no_event(tried: int) -> None:
    event = Event("msg_1", "t", iso_time(NOW), {}, next_at=iso_time(NOW))
    for _ in range(tried):
        event = event.after(FAILURE, None, NOW)
    assert due_at(event, NOW) - NOW == pytest.approx(SCHEDULE[tried], rel=JITTER * 1.01)
    assert due_at(event, NOW - 86_400) == NOW - 86_400


def test_success_and_gone_end_it_and_by_hand_it_begins_anew() -> None:
    event = Event("msg_1", "t", iso_time(NOW), {}, next_at=iso_time(NOW), tried=4)
    assert event.after(SUCCESS, None, NOW).state == "delivered"
    gone = event.after(Attempt(iso_time(NOW), 410, "The receiver answered 410.", 1), None, NOW)
    assert (gone.state, gone.next_at) == ("disabled", None)
    again = gone.again(NOW + 7)
    assert (again.id, again.state, due_at(again, NOW + 7), again.tried) == ("msg_1", "pending", NOW + 7, 0)
    assert again.attempts == gone.attempts


def test_announcing_is_the_same_done_twice_and_nothing_where_there_is_nothing(
    storage: LocalStorage, redis: Redis
) -> None:
    job_id = submitted(storage)
    announce(storage, redis, job_id)
    announce(storage, redis, "unknown")
    assert redis.zcard(DUE) == 0
    storage.put(job_id, TRANSCRIPT, HEARD)
    announce(storage, redis, job_id)
    announce(storage, redis, job_id)
    assert redis.zrange(DUE, 0, -1) == [b"job"]


def test_announcing_puts_back_what_redis_forgot_and_leaves_done_alone(storage: LocalStorage, redis: Redis) -> None:
    job_id = submitted(storage)
    storage.put(job_id, TRANSCRIPT, HEARD)
    (event,) = noted(storage, job_id)
    later = event.after(FAILURE, None, NOW, chance=0.5)
    webhook = {**(storage.get(job_id, WEBHOOK) or {})}
    storage.put(job_id, WEBHOOK, {**webhook, "events": [_plain(later)]})
    announce(storage, redis, job_id)
    assert redis.zscore(DUE, job_id) == pytest.approx(NOW + 5)
    redis.delete(DUE)
    storage.put(job_id, WEBHOOK, {**webhook, "events": [_plain(event.after(SUCCESS, None, NOW))]})
    announce(storage, redis, job_id)
    assert redis.zcard(DUE) == 0


def test_a_broken_record_is_said_to_be_one(storage: LocalStorage) -> None:
    job_id = submitted(storage)
    storage.put(job_id, WEBHOOK, {"url": URL, "events": [{}]})
    with pytest.raises(ValueError, match=r"webhook\.json of job job"):
        read(storage, job_id)


def _plain(event: Event) -> dict[str, Any]:
    return {**vars(event), "attempts": [vars(attempt) for attempt in event.attempts]}
