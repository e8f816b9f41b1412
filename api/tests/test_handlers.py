"""The other routes: transcripts in every format, /health and /ready."""

import json

import pytest
from fastapi.testclient import TestClient

from api.tests.desk import HEARD, Desk
from api.tests.server import app_over
from conftest import MakeSettings
from steno.config import Settings

MEDIA_TYPES = {
    "json": "application/json",
    "txt": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
}
BEGINNINGS = {
    "txt": "Good morning.\nTea & <cake>?\n",
    "srt": "1\n00:00:00,500 --> 00:00:01,250\nGood morning.\n\n2\n",
    "vtt": "WEBVTT\n\n00:00:00.500 --> 00:00:01.250\nGood morning.\n\n",
    "tsv": "start\tend\ttext\n500\t1250\tGood morning.\n2000\t3500\t",
}


@pytest.mark.parametrize("format", MEDIA_TYPES)
def test_a_transcript_comes_in_each_format(client: TestClient, desk: Desk, format: str) -> None:
    answer = client.get(f"/jobs/{desk.finished()}/transcript.{format}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA_TYPES[format])
    assert answer.text.startswith(BEGINNINGS.get(format, "{"))


def test_the_json_transcript_is_the_result_of_the_status(client: TestClient, desk: Desk) -> None:
    job_id = desk.finished()
    told = client.get(f"/jobs/{job_id}/transcript.json").json()
    assert told == client.get(f"/status/{job_id}").json()["result"] == json.loads(json.dumps(HEARD.to_dict()))


def test_a_transcript_is_fetched_without_redis(offline_client: TestClient, desk: Desk) -> None:
    assert offline_client.get(f"/jobs/{desk.finished()}/transcript.txt").status_code == 200


@pytest.mark.parametrize("format", ["docx", "", "TXT", "txt.exe", "%00", "srt%20", "x" * 5000])
def test_an_unknown_format_is_not_found_and_the_known_ones_are_named(
    client: TestClient, desk: Desk, format: str
) -> None:
    answer = client.get(f"/jobs/{desk.finished()}/transcript.{format}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert len(answer.content) < 1000
    if format:
        assert (answer.json()["code"], "json, txt, srt, vtt, tsv" in answer.json()["detail"]) == (
            "format_not_found",
            True,
        )


@pytest.mark.parametrize("state", ["queued", "started"])
def test_an_unfinished_job_has_no_transcript_yet(client: TestClient, desk: Desk, state: str) -> None:
    job_id = desk.queued() if state == "queued" else desk.started()
    answer = client.get(f"/jobs/{job_id}/transcript.txt")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_finished")
    assert state in answer.json()["detail"]


def test_the_transcript_of_a_failed_job_is_its_error(client: TestClient, desk: Desk) -> None:
    answer = client.get(f"/jobs/{desk.failed()}/transcript.srt")
    assert (answer.status_code, answer.json()["detail"]) == (409, "The recording holds no sound.")


@pytest.mark.parametrize("job_id", ["unknown", "..", "%2e%2e%2fx", "a b"])
def test_there_is_no_transcript_of_an_unknown_job(client: TestClient, job_id: str) -> None:
    assert client.get(f"/jobs/{job_id}/transcript.txt").status_code == 404


def test_a_transcript_that_only_redis_could_tell_of_is_unavailable_without_it(
    offline_client: TestClient, desk: Desk
) -> None:
    assert offline_client.get(f"/jobs/{desk.queued()}/transcript.txt").status_code == 503


def test_the_process_is_alive_with_and_without_redis(client: TestClient, offline_client: TestClient) -> None:
    for each in (client, offline_client):
        assert (each.get("/health").status_code, each.get("/health").json()) == (200, {"status": "ok"})


def test_an_app_may_be_closed_after_use_from_loops_that_are_gone(settings: Settings) -> None:
    app = app_over(settings)
    bare = TestClient(app)  # as the specification's tests use it: a loop for each request, and no lifespan
    for client in (bare, bare):
        assert client.get("/status/unknown").status_code == 404
    with TestClient(app) as client:
        assert client.get("/status/unknown").status_code == 404


def test_it_is_ready_when_redis_a_worker_and_room_are_there(make_settings: MakeSettings, desk: Desk) -> None:
    desk.offer("whisperx", 20)
    with TestClient(app_over(make_settings(max_file_size=1))) as client:
        answer = client.get("/ready")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "redis": True, "worker": True, "disk": True})


def test_it_is_not_ready_without_a_worker(client: TestClient) -> None:
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["ready"], answer.json()["worker"]) == (503, False, False)
    assert answer.json()["redis"]


def test_it_is_not_ready_without_redis(offline_client: TestClient) -> None:
    answer = offline_client.get("/ready")
    assert (answer.status_code, answer.json()["ready"], answer.json()["redis"]) == (503, False, False)


def test_it_is_not_ready_without_room(make_settings: MakeSettings, desk: Desk) -> None:
    desk.offer("whisperx", 20)
    with TestClient(app_over(make_settings(max_file_size=1 << 62))) as client:
        answer = client.get("/ready")
    assert (answer.status_code, answer.json()["disk"], answer.json()["worker"]) == (503, False, True)
