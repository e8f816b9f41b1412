"""The delivery log, and delivering again by hand."""

import time
from typing import Any

import pytest
from fastapi.testclient import TestClient
from redis import Redis

from api.tests.desk import Desk
from steno.jobs.record import TRANSCRIPT, iso_time
from steno.webhooks.deliveries import SCHEDULE, Attempt, due_at, note, plan, read, write
from steno.webhooks.due import DUE, HELD

URL = "https://example.org/hook"
NOW = 1_760_000_000.0


def told(desk: Desk, job_id: str, *statuses: int) -> None:
    """Somebody wanted to be told of the job, which was tried with these answers."""
    plan(desk.storage, job_id, URL)
    webhook = read(desk.storage, job_id)
    assert webhook is not None
    webhook = note(desk.storage, job_id, webhook, NOW)
    for status in statuses:
        error = None if status == 200 else f"The receiver answered {status}."
        webhook = webhook.having(webhook.events[-1].after(Attempt(iso_time(NOW), status, error, 12), None, NOW, 0.5))
    write(desk.storage, job_id, webhook)


def problem(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_the_log_tells_every_attempt(client: TestClient, desk: Desk) -> None:
    job_id = desk.finished()
    told(desk, job_id, 500)
    log = client.get(f"/jobs/{job_id}/deliveries").json()
    assert (log["job_id"], log["url"]) == (job_id, URL)
    (event,) = log["events"]
    assert event["id"].startswith("msg_")
    assert (event["type"], event["state"]) == ("transcription.completed", "pending")
    assert event["timestamp"] == iso_time(desk.storage.written_at(job_id, TRANSCRIPT) or 0.0)
    assert event["next_at"] == iso_time(NOW + SCHEDULE[1])
    assert event["data"]["job_id"] == job_id
    assert event["attempts"] == [
        {"at": iso_time(NOW), "status": 500, "error": "The receiver answered 500.", "took_ms": 12}
    ]


def test_the_log_can_be_read_while_redis_is_away(offline_client: TestClient, desk: Desk) -> None:
    told(desk, desk.finished(), 200)
    assert offline_client.get("/jobs/job/deliveries").json()["events"][0]["state"] == "delivered"
    assert problem(offline_client.post("/jobs/job/deliveries")) == (503, "queue_unavailable")


@pytest.mark.parametrize("statuses", [(200,), (410,), (500,), (500,) * len(SCHEDULE)], ids=str)
def test_by_hand_it_is_delivered_again_whatever_became_of_it(
    client: TestClient, desk: Desk, redis: Redis, statuses: tuple[int, ...]
) -> None:
    job_id = desk.finished()
    told(desk, job_id, *statuses)
    before = client.get(f"/jobs/{job_id}/deliveries").json()["events"][0]
    answer = client.post(f"/jobs/{job_id}/deliveries")
    assert answer.status_code == 202
    (event,) = answer.json()["events"]
    assert (event["id"], event["attempts"], event["data"]) == (before["id"], before["attempts"], before["data"])
    assert event["state"] == "pending"
    assert answer.json() == client.get(f"/jobs/{job_id}/deliveries").json()
    assert redis.zscore(DUE, job_id) == pytest.approx(_due(desk, job_id), abs=0.01)
    assert redis.zcard(HELD) == 0


def test_the_last_event_is_the_one_delivered_again(client: TestClient, desk: Desk) -> None:
    job_id = desk.failed()
    told(desk, job_id, 200)
    desk.storage.put(job_id, "transcript.json", {"language": "en", "duration": 1.0})
    events = client.post(f"/jobs/{job_id}/deliveries").json()["events"]
    assert [(event["type"], event["state"]) for event in events] == [
        ("transcription.failed", "delivered"),
        ("transcription.completed", "pending"),
    ]


def test_a_delivery_under_way_is_not_disturbed(client: TestClient, desk: Desk, redis: Redis) -> None:
    job_id = desk.finished()
    told(desk, job_id, 200)
    redis.zadd(HELD, {job_id: time.time() + 50})
    assert problem(client.post(f"/jobs/{job_id}/deliveries")) == (409, "delivery_under_way")
    assert client.get(f"/jobs/{job_id}/deliveries").json()["events"][0]["state"] == "delivered"


def test_before_a_job_is_over_there_is_nothing_to_deliver(client: TestClient, desk: Desk, redis: Redis) -> None:
    job_id = desk.queued()
    told(desk, job_id)
    assert client.get(f"/jobs/{job_id}/deliveries").json()["events"] == []
    assert problem(client.post(f"/jobs/{job_id}/deliveries")) == (409, "nothing_to_deliver")
    assert redis.zcard(HELD) == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_jobs_without_callback_and_without_existence_have_no_log(client: TestClient, desk: Desk, method: str) -> None:
    desk.finished()
    assert problem(client.request(method, "/jobs/job/deliveries")) == (404, "no_callback")
    assert problem(client.request(method, "/jobs/other/deliveries")) == (404, "job_not_found")
    assert problem(client.request(method, "/jobs/a.b/deliveries")) == (404, "job_not_found")


def _due(desk: Desk, job_id: str) -> float:
    webhook = read(desk.storage, job_id)
    assert webhook is not None
    assert webhook.next is not None
    return due_at(webhook.next, time.time())
