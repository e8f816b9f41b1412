"""GET /status: what a job looks like from outside, whatever Redis and storage have to say of it."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from rq.job import JobStatus as RqStatus

from api.models import JobStatus
from api.tests.conftest import Serve
from api.tests.desk import HEARD, Desk
from api.tests.wire import ENGINE, head, recording
from conftest import MakeSettings
from steno.jobs.queue import job_key
from steno.jobs.record import ERROR, REQUEST, TRANSCRIPT, error_record


def status_of(client: TestClient, job_id: str) -> dict[str, Any]:
    answer = client.get(f"/status/{job_id}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    JobStatus.model_validate(told)
    assert told["job_id"] == job_id
    return told


def test_a_job_that_waits_for_a_worker_says_why(client: TestClient, desk: Desk) -> None:
    told = status_of(client, desk.queued())
    assert (told["status"], told["stage"], told["progress"], told["attempts"]) == ("queued", "queued", 0.0, 0)
    assert "whisperx" in told["message"]
    assert told["enqueued_at"]
    assert (told["result"], told["error"], told["started_at"], told["ended_at"]) == (None, None, None, None)


def test_a_job_that_a_worker_will_take_needs_no_words(client: TestClient, desk: Desk) -> None:
    desk.offer("whisperx", 20)
    assert status_of(client, desk.queued())["message"] is None


def test_a_worker_for_another_engine_is_of_no_use(client: TestClient, desk: Desk) -> None:
    desk.offer("pocketsphinx", 20)
    assert status_of(client, desk.queued())["message"]


def test_a_worker_that_fell_silent_offers_nothing(client: TestClient, desk: Desk) -> None:
    desk.offer("whisperx", -1)
    assert status_of(client, desk.queued())["message"]


def test_a_running_job_tells_its_progress(client: TestClient, desk: Desk) -> None:
    told = status_of(client, desk.started(stage="transcribing", progress=0.25, attempts=2))
    assert (told["status"], told["stage"], told["progress"], told["attempts"]) == ("started", "transcribing", 0.25, 2)
    assert told["message"] is None


def test_a_job_that_waits_is_at_no_stage_whatever_a_worker_that_redis_forgot_tells(
    client: TestClient, desk: Desk
) -> None:
    job_id = desk.queued()
    desk.writes(job_id, stage="transcribing", progress=0.5)
    told = status_of(client, job_id)
    assert (told["status"], told["stage"], told["progress"]) == ("queued", "queued", 0.0)


def test_a_failed_job_that_redis_forgot_tells_what_its_record_holds(client: TestClient, desk: Desk) -> None:
    job_id = desk.queued()
    begun = "2026-01-02T03:04:05.000000Z"
    desk.storage.put(job_id, ERROR, error_record("audio_empty", "It holds no sound.", 2, started_at=begun))
    told = status_of(client, desk.forgotten(job_id))
    assert (told["status"], told["attempts"], told["started_at"]) == ("failed", 2, begun)


def test_a_finished_job_brings_its_transcript(client: TestClient, desk: Desk) -> None:
    told = status_of(client, desk.finished())
    assert (told["status"], told["progress"], told["error"]) == ("finished", 1.0, None)
    assert told["result"]["text"] == HEARD.text
    assert told["result"]["segments"][0]["words"][0] == {
        "text": "Good", "start": 0.5, "end": 0.75, "confidence": 0.9, "speaker": None, "estimated": False
    }  # fmt: skip


def test_a_failed_job_says_why_in_a_sentence_and_a_code(client: TestClient, desk: Desk) -> None:
    told = status_of(client, desk.failed())
    assert (told["status"], told["error"], told["error_code"]) == (
        "failed",
        "The recording holds no sound.",
        "audio_empty",
    )
    assert (told["result"], told["attempts"]) == (None, 2)
    assert told["ended_at"]


def test_storage_remembers_a_finished_job_that_redis_forgot(client: TestClient, desk: Desk) -> None:
    told = status_of(client, desk.forgotten(desk.finished()))
    assert (told["status"], told["engine"]) == ("finished", "whisperx")
    assert told["result"]["text"] == HEARD.text
    assert told["enqueued_at"]


def test_storage_remembers_a_failed_job_that_redis_forgot(client: TestClient, desk: Desk) -> None:
    told = status_of(client, desk.forgotten(desk.failed()))
    assert (told["status"], told["error_code"], told["attempts"]) == ("failed", "audio_empty", 2)


def test_an_accepted_job_that_redis_forgot_still_waits(client: TestClient, desk: Desk) -> None:
    assert status_of(client, desk.forgotten(desk.queued()))["status"] == "queued"


@pytest.mark.parametrize("status", [RqStatus.FAILED, RqStatus.STOPPED, RqStatus.CANCELED])
def test_a_transcript_in_storage_outweighs_what_rq_says(client: TestClient, desk: Desk, status: RqStatus) -> None:
    assert status_of(client, desk.rq_says(desk.finished(), status))["status"] == "finished"


@pytest.mark.parametrize("status", [RqStatus.FAILED, RqStatus.FINISHED])
def test_what_rq_calls_over_and_storage_knows_nothing_of_still_waits(
    client: TestClient, desk: Desk, status: RqStatus
) -> None:
    assert status_of(client, desk.rq_says(desk.queued(), status))["status"] == "queued"


@pytest.mark.parametrize("status", [RqStatus.DEFERRED, RqStatus.SCHEDULED])
def test_what_rq_keeps_for_later_reads_as_queued(client: TestClient, desk: Desk, status: RqStatus) -> None:
    assert status_of(client, desk.rq_says(desk.queued(), status))["status"] == "queued"


@pytest.mark.parametrize("gone", ["status", "origin", "meta", "enqueued_at"])
def test_a_torn_hash_is_no_reason_to_fail(client: TestClient, desk: Desk, gone: str) -> None:
    job_id = desk.started(stage="loading")
    desk.redis.hdel(job_key(job_id), gone)
    assert status_of(client, job_id)["status"] in ("queued", "started")


def test_a_hash_that_is_none_is_no_reason_to_fail(client: TestClient, desk: Desk) -> None:
    job_id = desk.forgotten(desk.finished())
    desk.redis.set(job_key(job_id), "x")
    assert status_of(client, job_id)["status"] == "finished"


def test_a_job_of_another_program_is_unknown(client: TestClient, desk: Desk) -> None:
    desk.redis.hset(job_key("theirs"), mapping={"status": "finished", "origin": "default"})
    assert client.get("/status/theirs").status_code == 404


def test_a_folder_without_request_is_no_job(client: TestClient, desk: Desk) -> None:
    desk.storage.create("half", "audio.wav")
    assert client.get("/status/half").status_code == 404


def test_what_is_over_is_told_without_redis(offline_client: TestClient, desk: Desk) -> None:
    told = status_of(offline_client, desk.finished())
    assert (told["status"], told["result"]["text"]) == ("finished", HEARD.text)


def test_what_is_not_over_cannot_be_told_without_redis(offline_client: TestClient, desk: Desk) -> None:
    for job_id in (desk.queued(), "unknown"):
        answer = offline_client.get(f"/status/{job_id}")
        assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")


@pytest.mark.parametrize(
    "job_id",
    ["nonexistent-job-id", "a" * 128, "a" * 129, "a" * 9000, "a.b", "a%20b", "%00", "%ff", "%F0%9F%8E%99", "..%2f..%2fetc",
     "%2e%2e", "a%0a", "*", "a:b", "$(id)", "rq:job:x", "-", "..."],
)  # fmt: skip
def test_an_unknown_or_odd_id_is_not_found(client: TestClient, job_id: str) -> None:
    answer = client.get(f"/status/{job_id}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    "path", [b"/status/\xff\xfe", b"/status/\xf0\x9f", b"/status/a b", b"/status/%zz", b"/status/\x00"]
)
def test_an_id_of_raw_bytes_is_the_clients_fault(serve: Serve, path: bytes) -> None:
    server = serve()
    request = head(method="GET", path="PATH", content_type=None).replace(b"PATH", path)
    assert server.send(request).status in (400, 404)


def test_a_job_deleted_in_the_meantime_is_not_found(client: TestClient, desk: Desk) -> None:
    job_id = desk.finished()
    assert status_of(client, job_id)["status"] == "finished"
    desk.storage.delete(job_id)
    assert client.get(f"/status/{job_id}").status_code == 404
    assert not desk.storage.has(job_id, REQUEST)
    assert not desk.storage.has(job_id, TRANSCRIPT)


def test_two_servers_over_one_redis_and_folder_see_each_others_jobs(serve: Serve, make_settings: MakeSettings) -> None:
    one, other = serve(), serve()
    job_id = one.post(ENGINE, recording()).job_id
    assert other.get(f"/status/{job_id}").json["status"] == "queued"
    assert one.get(f"/status/{job_id}").json == other.get(f"/status/{job_id}").json


@pytest.mark.parametrize("status", [RqStatus.QUEUED, RqStatus.STARTED, RqStatus.SCHEDULED])
def test_the_end_of_the_attempt_before_is_no_end_of_the_job(client: TestClient, desk: Desk, status: RqStatus) -> None:
    job_id = desk.rq_says(desk.queued(), status)
    desk.redis.hset(job_key(job_id), "ended_at", "2026-01-01T00:00:00.000000Z")
    assert status_of(client, job_id)["ended_at"] is None
