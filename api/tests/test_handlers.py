"""The other routes: /health and /ready."""

from fastapi.testclient import TestClient

from api.tests.desk import Desk
from api.tests.server import app_over
from conftest import MakeSettings
from steno.config import Settings


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
