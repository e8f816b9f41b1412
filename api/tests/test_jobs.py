"""What may be done with jobs: list them by page and filter, cancel, retry, delete."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from redis import Redis

from api.models import JobList
from api.outlook import Pace
from api.tests.desk import Desk
from steno.jobs import reuse
from steno.jobs.course import SPEEDS
from steno.jobs.listing import INDEX, newest_first
from steno.jobs.queue import job_key
from steno.jobs.record import CANCELED, ERROR, REQUEST, JobRequest
from steno.jobs.state import started_key
from steno.jobs.sweep import Sweep
from steno.webhooks.due import DUE, HELD


def listed(client: TestClient, **query: Any) -> list[str]:
    answer = client.get("/jobs", params=query)
    assert answer.status_code == 200, answer.text
    return [job.job_id for job in JobList.model_validate(answer.json()).jobs]


def test_no_jobs_make_an_empty_list(client: TestClient) -> None:
    assert client.get("/jobs").json() == {"jobs": [], "next_cursor": None}


def test_jobs_are_listed_newest_first_with_all_that_their_status_says_but_the_result(
    client: TestClient, desk: Desk
) -> None:
    for name in ("first", "second", "third"):
        desk.queued(name, labels=("court",), metadata={"case": "12"}, priority="low")
    assert listed(client) == ["third", "second", "first"]
    told = client.get("/jobs").json()["jobs"][0]
    status = client.get("/status/third").json()
    assert status.pop("result") is None
    assert told == status
    assert (told["labels"], told["metadata"], told["priority"]) == (["court"], {"case": "12"}, "low")
    assert (told["filename"], told["model"]) == ("talk.wav", "small")


def test_pages_hold_every_job_once_though_jobs_come_and_go(client: TestClient, desk: Desk) -> None:
    names = [desk.queued(f"job{number}") for number in range(7)]
    page = client.get("/jobs", params={"limit": 3}).json()
    seen = [job["job_id"] for job in page["jobs"]]
    desk.queued("newcomer")
    assert client.delete(f"/jobs/{names[6]}").status_code == 204
    while page["next_cursor"]:
        page = client.get("/jobs", params={"limit": 3, "cursor": page["next_cursor"]}).json()
        seen += [job["job_id"] for job in page["jobs"]]
    assert seen == names[::-1]


@pytest.mark.parametrize("same", [1, 150, 400], ids=lambda same: f"{same} in a millisecond")
def test_a_list_longer_than_a_chunk_has_each_job_once_though_jobs_come_and_go_while_it_is_read(
    desk: Desk, same: int
) -> None:
    names = [f"job{number:03}" for number in range(400)]
    desk.redis.zadd(INDEX, {name: 1000 + number // same for number, name in enumerate(names)})
    seen: list[str] = []
    for turn, chunk in enumerate(newest_first(desk.redis)):
        seen += [job_id for job_id, _ in chunk]
        desk.redis.zadd(INDEX, {f"newcomer{turn}": 9999 + turn})
        if same == 1:
            desk.redis.zrem(INDEX, seen[turn])
    assert seen == names[::-1]


def test_jobs_of_the_same_millisecond_are_not_lost_between_pages(client: TestClient, desk: Desk) -> None:
    names = {desk.queued(f"job{number}") for number in range(5)}
    for name in names:
        desk.queue.index(name, "2026-01-01T00:00:00.000Z")
    page: dict[str, Any] = {"next_cursor": None}
    seen: list[str] = []
    while True:
        page = client.get("/jobs", params={"limit": 2, "cursor": page["next_cursor"]}).json()
        seen += [job["job_id"] for job in page["jobs"]]
        if not page["next_cursor"]:
            break
    assert sorted(seen) == sorted(names)


def test_the_list_is_filtered_by_status_engine_and_label(client: TestClient, desk: Desk) -> None:
    desk.queued("a", engine="pocketsphinx", labels=("x", "y"))
    desk.queued("b", labels=("y",))
    failed = desk.failed()
    assert listed(client, engine="pocketsphinx") == ["a"]
    assert listed(client, label="y") == ["b", "a"]
    assert listed(client, status="failed") == [failed]
    assert listed(client, status="queued", label="x", engine="whisperx") == []


@pytest.mark.parametrize(
    "query",
    [
        {"status": "lost"}, {"limit": 0}, {"limit": 201}, {"cursor": "x"}, {"cursor": "1_"}, {"cursor": "²_a"},
        {"engine": "whisperz"}, {"lable": "court"}, {"label": ""},
    ],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_refused(client: TestClient, desk: Desk, query: dict[str, Any]) -> None:
    answer = client.get("/jobs", params=query)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")


def test_a_redis_that_lost_its_memory_lists_every_job_again(client: TestClient, desk: Desk, redis: Redis) -> None:
    names = [desk.queued("a"), desk.queued("b"), desk.failed()]
    redis.flushdb()
    Sweep(desk.settings, desk.storage, desk.queue).run()
    assert listed(client) == names[::-1]


def test_a_job_that_waits_is_canceled_at_once(client: TestClient, desk: Desk) -> None:
    job_id = desk.queued()
    told = client.post(f"/jobs/{job_id}/cancel")
    assert (told.status_code, told.json()["status"]) == (200, "canceled")
    assert desk.queue.queue("whisperx").get_job_ids() == []
    assert desk.queue.unfinished() == set()
    assert client.get(f"/status/{job_id}").json()["ended_at"]
    assert client.post(f"/jobs/{job_id}/cancel").status_code == 200
    assert client.get(f"/jobs/{job_id}/transcript.txt").json()["code"] == "job_canceled"


def test_a_job_that_runs_reads_as_canceled_at_once_and_its_worker_is_told(client: TestClient, desk: Desk) -> None:
    job_id = desk.started(stage="transcribing")
    assert client.post(f"/jobs/{job_id}/cancel").json()["status"] == "canceled"
    assert desk.queue.is_flagged(job_id)
    retry = client.post(f"/jobs/{job_id}/retry")
    assert (retry.status_code, retry.json()["code"]) == (409, "move_refused")


def test_a_cancel_outlives_a_redis_that_lost_its_memory(client: TestClient, desk: Desk, redis: Redis) -> None:
    job_id = desk.queued()
    client.post(f"/jobs/{job_id}/cancel")
    redis.flushdb()
    sweep = Sweep(desk.settings, desk.storage, desk.queue)
    for _ in range(3):
        sweep.run()
    assert client.get(f"/status/{job_id}").json()["status"] == "canceled"
    assert desk.queue.queue("whisperx").get_job_ids() == []


def test_what_was_done_before_a_cancel_is_told_after_it_too(client: TestClient, desk: Desk) -> None:
    job_id = desk.started(attempts=2)
    desk.redis.hset(job_key(job_id), "started_at", "2026-01-02T03:04:05.000000Z")
    at_once = client.post(f"/jobs/{job_id}/cancel").json()
    desk.queue.forget(job_id)  # as the worker does that lets go
    later = client.get(f"/status/{job_id}").json()
    assert {name: later[name] for name in at_once} == at_once
    assert (later["attempts"], later["started_at"]) == (2, "2026-01-02T03:04:05.000000Z")


def test_what_is_over_cannot_be_canceled(client: TestClient, desk: Desk) -> None:
    answer = client.post(f"/jobs/{desk.finished()}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "move_refused")


@pytest.mark.parametrize("ended", ["failed", "canceled"])
def test_a_job_is_retried_as_if_it_were_new(client: TestClient, desk: Desk, ended: str) -> None:
    job_id = desk.failed() if ended == "failed" else desk.queued()
    if ended == "failed":
        desk.redis.hset(job_key(job_id), "started_at", "2026-01-02T03:04:05.000000Z")
    if ended == "canceled":
        client.post(f"/jobs/{job_id}/cancel")
    told = client.post(f"/jobs/{job_id}/retry")
    assert (told.status_code, told.json()["status"], told.json()["attempts"]) == (200, "queued", 0)
    assert (told.json()["started_at"], told.json()["ended_at"]) == (None, None)
    assert desk.queue.queue("whisperx").get_job_ids() == [job_id]
    assert not desk.storage.has(job_id, ERROR)
    assert not desk.storage.has(job_id, CANCELED)
    assert JobRequest.from_dict(desk.storage.get(job_id, REQUEST) or {}).run == 1
    again = client.post(f"/jobs/{job_id}/retry")
    assert (again.status_code, again.json()["code"]) == (409, "move_refused")


def test_a_job_without_its_recording_cannot_be_retried(client: TestClient, desk: Desk) -> None:
    job_id = desk.failed()
    desk.storage.remove(job_id, "audio.wav")
    answer = client.post(f"/jobs/{job_id}/retry")
    assert (answer.status_code, "upload it again" in answer.json()["detail"]) == (409, True)
    assert client.get(f"/status/{job_id}").json()["status"] == "failed"


def test_all_failed_jobs_are_retried_or_those_of_one_error(client: TestClient, desk: Desk) -> None:
    desk.queued("waits")
    failed = desk.failed()
    assert client.post("/jobs/retry", params={"error_code": "time_limit"}).json() == {"retried": [], "skipped": []}
    assert client.post("/jobs/retry", params={"error_code": "audio_empty"}).json()["retried"] == [failed]
    assert listed(client, status="failed") == []


def test_a_job_whose_request_cannot_be_read_keeps_no_other_from_being_retried(client: TestClient, desk: Desk) -> None:
    older, torn = desk.queued("older"), desk.queued("torn")
    for job_id in (older, torn):
        desk.fails(job_id, "audio_empty", "The recording holds no sound.")
    (desk.storage.root / torn / REQUEST).write_text("{")
    assert client.post("/jobs/retry").json() == {"retried": [older], "skipped": [torn]}
    for step in ("retry", "cancel"):
        answer = client.post(f"/jobs/{torn}/{step}")
        assert (answer.status_code, answer.json()["code"]) == (409, "move_refused")
        assert "upload the recording again" in answer.json()["detail"]
    assert client.delete(f"/jobs/{torn}").status_code == 204


def test_a_filter_spelt_wrongly_retries_nothing(client: TestClient, desk: Desk) -> None:
    failed = desk.failed()
    answer = client.post("/jobs/retry", params={"lable": "court"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "lable")
    assert "there is no such parameter" in answer.json()["detail"]
    assert listed(client, status="failed") == [failed]


@pytest.mark.parametrize("body", [b"label=court", b'{"label": "court"}', iter([b"label=", b"court"])])
def test_a_filter_in_the_body_retries_nothing(client: TestClient, desk: Desk, body: bytes | Iterator[bytes]) -> None:
    failed = desk.failed()
    answer = client.post("/jobs/retry", content=body)
    assert (answer.status_code, "say in the url" in answer.json()["detail"].lower()) == (422, True)
    assert listed(client, status="failed") == [failed]


def test_an_empty_body_is_none(client: TestClient, desk: Desk) -> None:
    failed = desk.failed()
    assert client.post("/jobs/retry", content=iter([b""])).json()["retried"] == [failed]


def known_everywhere(desk: Desk) -> str:
    """Finished, of use to others, followed, and with a webhook that is owed and one that is being delivered."""
    job_id = desk.finished()
    reuse.remember(desk.redis, "digest", desk.request(job_id).options, job_id, 60)
    desk.hears(job_id, 1)
    desk.redis.zadd(DUE, {job_id: 1.0})
    desk.redis.zadd(HELD, {job_id: 1.0})
    return job_id


@pytest.mark.parametrize("make", [Desk.queued, Desk.finished, Desk.failed, known_everywhere])
def test_a_deleted_job_leaves_no_byte(
    client: TestClient, desk: Desk, redis: Redis, make: Callable[[Desk], str]
) -> None:
    job_id = make(desk)
    assert client.delete(f"/jobs/{job_id}").status_code == 204
    assert list(desk.storage.root.iterdir()) == []
    assert traces(redis, job_id) == []
    assert client.get(f"/status/{job_id}").status_code == 404
    assert client.delete(f"/jobs/{job_id}").status_code == 404


def test_deleting_one_of_two_equal_jobs_leaves_the_other_for_reuse(client: TestClient, desk: Desk) -> None:
    options = desk.request(desk.queued("a")).options
    for job_id in ("a", desk.queued("b")):
        desk.finishes(job_id)
        reuse.remember(desk.redis, "digest", options, job_id, 60)
    assert client.delete("/jobs/a").status_code == 204
    assert reuse.find(desk.redis, desk.storage, "digest", options) == "b"


def traces(redis: Redis, job_id: str) -> list[str]:
    """Keys whose name or content has the id."""
    found = []
    for key in redis.scan_iter():
        content = redis.dump(key) or b""
        if job_id.encode() in key + content:
            found.append(key.decode())
    return found


def test_a_job_deleted_while_it_runs_is_gone_and_its_worker_is_told(client: TestClient, desk: Desk) -> None:
    job_id = desk.started()
    assert client.delete(f"/jobs/{job_id}").status_code == 204
    assert client.get(f"/status/{job_id}").status_code == 404
    assert desk.queue.is_flagged(job_id)
    assert listed(client) == []


@pytest.mark.parametrize(("method", "path"), [("post", "cancel"), ("post", "retry"), ("delete", "")])
@pytest.mark.parametrize("job_id", ["unknown", "a.b", "%2e%2e"])
def test_there_is_nothing_to_do_with_an_unknown_job(client: TestClient, method: str, path: str, job_id: str) -> None:
    answer = client.request(method, f"/jobs/{job_id}/{path}".rstrip("/"))
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_nothing_is_changed_without_redis(offline_client: TestClient, desk: Desk) -> None:
    job_id = desk.failed()
    for method, path in (("get", "/jobs"), ("post", f"/jobs/{job_id}/retry"), ("delete", f"/jobs/{job_id}")):
        answer = offline_client.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")
    assert desk.storage.has(job_id, ERROR)


def test_a_waiting_job_knows_its_place_behind_the_more_urgent(client: TestClient, desk: Desk) -> None:
    desk.offer("whisperx", 20)
    desk.queued("low", priority="low")
    desk.queued("normal")
    desk.queued("other", engine="pocketsphinx")
    desk.queued("late")
    desk.queued("high", priority="high")
    places = {job["job_id"]: job["position"] for job in client.get("/jobs").json()["jobs"]}
    assert places == {"high": 1, "normal": 2, "late": 3, "low": 4, "other": 1}


def test_a_waiting_job_tells_how_long_it_may_take_once_speed_was_measured(client: TestClient, desk: Desk) -> None:
    for engine in ("whisperx", "pocketsphinx"):
        desk.offer(engine, 20)
    assert client.get(f"/status/{desk.queued('a')}").json()["seconds_left"] is None
    desk.redis.hset(SPEEDS, "pocketsphinx", '{"job": 30.0}')
    for name in ("b", "c"):
        desk.queued(name, engine="pocketsphinx")
    assert client.get("/status/c").json()["seconds_left"] == 60.0


def test_what_is_left_of_jobs_in_hand_counts_before_those_that_wait(client: TestClient, desk: Desk) -> None:
    desk.offer("whisperx", 20)
    desk.redis.hset(SPEEDS, "whisperx", '{"job": 30.0}')
    running = desk.started(seconds_left=200.0)
    desk.redis.zadd(started_key("whisperx", "normal"), {f"{running}:an-attempt": 1e12, "of-a-dead:worker": 1e12})
    assert client.get(f"/status/{desk.queued('next')}").json()["seconds_left"] == 230.0


@pytest.mark.parametrize(
    ("pace", "place", "seconds"),
    [
        (Pace(1, 30.0, [200.0]), 1, 230.0),
        (Pace(1, 30.0, []), 2, 60.0),
        (Pace(2, 30.0, [50.0, 50.0]), 1, 80.0),
        (Pace(2, 30.0, [50.0, 50.0]), 3, 110.0),
        (Pace(2, 20.0, [3000.0, 5.0]), 1, 25.0),
        (Pace(4, 20.0, [3600.0]), 1, 20.0),
        (Pace(1, 30.0, [100.0, 40.0]), 1, 70.0),  # a worker died and has not been missed yet
    ],
)
def test_workers_share_what_is_before_a_job(pace: Pace, place: int, seconds: float) -> None:
    assert pace.until_done(place) == seconds


def test_a_deletion_that_lost_redis_half_way_is_ended_by_the_next(client: TestClient, desk: Desk, redis: Redis) -> None:
    job_id = desk.queued()
    desk.storage.delete(job_id)
    assert client.delete(f"/jobs/{job_id}").status_code == 404
    assert traces(redis, job_id) == []
