"""`GET /status/{job_id}?wait=`: held until there is news, and no longer."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.tests.conftest import Serve
from api.tests.desk import Desk
from api.tests.listener import ears
from api.tests.server import Server, eventually
from api.tests.wire import Answer, head


@pytest.fixture
def served(serve: Serve, desk: Desk) -> Server:
    """A server over the desk's folder and Redis."""
    return serve()


class Held(threading.Thread):
    """A question that waits for its answer in a thread of its own, and is surely held when this is made."""

    def __init__(self, server: Server, desk: Desk, path: str) -> None:
        super().__init__()
        self._ask: Callable[[], Answer] = lambda: server.get(path)
        self._answer: Answer | None = None
        self.start()
        assert eventually(lambda: ears(desk.redis) == 1)

    def run(self) -> None:
        self._answer = self._ask()

    def told(self) -> dict[str, Any]:
        self.join()
        assert self._answer is not None
        assert self._answer.status == 200
        return self._answer.json


def test_it_is_held_until_the_status_changes(served: Server, desk: Desk) -> None:
    held = Held(served, desk, f"/status/{desk.started(stage='writing')}?wait=60")
    desk.finishes("job")
    told = held.told()
    assert (told["status"], told["result"]["language"]) == ("finished", "en")
    assert eventually(lambda: not ears(desk.redis))


def test_it_is_held_until_the_stage_changes_and_not_for_less(served: Server, desk: Desk) -> None:
    held = Held(served, desk, f"/status/{desk.started(stage='transcribing', progress=0.1)}?wait=60")
    desk.tells("job", progress=0.9)
    held.join(0.5)
    assert held.is_alive()
    desk.tells("job", stage="aligning", progress=0.2)
    assert (held.told()["stage"], held.told()["progress"]) == ("aligning", 0.2)


def test_the_end_of_the_time_is_the_present_answer(served: Server, desk: Desk) -> None:
    begun = time.monotonic()
    assert served.get(f"/status/{desk.started(stage='transcribing')}?wait=0.3").json["stage"] == "transcribing"
    assert time.monotonic() - begun >= 0.3
    assert eventually(lambda: not ears(desk.redis))


@pytest.mark.parametrize("state", ["finished", "failed"])
def test_a_job_that_is_over_answers_at_once(served: Server, desk: Desk, state: str) -> None:
    job_id = desk.finished() if state == "finished" else desk.failed()
    begun = time.monotonic()
    assert served.get(f"/status/{job_id}?wait=60").json["status"] == state
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("wait", ["-1", "60.1", "nan", "inf", "soon", "", "1e9", "%00", "1" * 5000])
def test_a_wrong_wait_is_refused(client: TestClient, desk: Desk, wait: str) -> None:
    answer = client.get(f"/status/{desk.queued()}?wait={wait}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "wait")
    assert "0 to 60" in answer.json()["detail"]


def test_other_parameters_are_passed_over(client: TestClient, desk: Desk) -> None:
    assert client.get(f"/status/{desk.queued()}?cachebuster=1").json()["status"] == "queued"


def test_without_redis_it_answers_as_without_wait(offline_client: TestClient, desk: Desk) -> None:
    assert offline_client.get(f"/status/{desk.queued()}?wait=60").status_code == 503
    desk.finishes("job")
    assert offline_client.get("/status/job?wait=60").json()["status"] == "finished"


def test_an_unknown_job_is_not_waited_for(client: TestClient) -> None:
    assert client.get("/status/unknown?wait=60").status_code == 404


def test_a_client_that_hangs_up_is_not_waited_for(served: Server, desk: Desk) -> None:
    with served.connect() as wire:
        wire.send(head(method="GET", path=f"/status/{desk.queued()}?wait=60", content_type=None))
        assert eventually(lambda: ears(desk.redis) == 1)
    assert eventually(lambda: not ears(desk.redis))
