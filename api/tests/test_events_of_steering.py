"""Whoever follows a job hears at once what others do to it, and what the sweep mends."""

import pytest

from api.tests.conftest import Serve
from api.tests.desk import Desk
from api.tests.listener import Listener, lines
from api.tests.server import Server
from api.tests.wire import Answer, head
from steno.jobs.news import stream_key
from steno.jobs.record import ERROR, Status, error_record
from steno.jobs.sweep import Sweep


@pytest.fixture
def served(serve: Serve, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that looks at no job unless there is news of it."""
    monkeypatch.setattr("api.watch.LOOK_SECONDS", 1000.0)
    return serve()


def send(server: Server, method: str, path: str) -> Answer:
    return server.send(head(0, method=method, path=path, content_type=None))


def wait_until_subscribed(listener: Listener, desk: Desk) -> None:
    """News have come through; nothing is looked at any more without them."""
    desk.tells("job", attempts=7)
    listener.state(attempts=7)


def test_a_canceled_job_ends_its_stream(served: Server, desk: Desk) -> None:
    with Listener(served, desk.queued()) as listener:
        wait_until_subscribed(listener, desk)
        assert send(served, "POST", "/jobs/job/cancel").status == 200
        assert listener.rest()[-1].data["status"] == Status.CANCELED


def test_a_deleted_job_ends_its_stream_and_leaves_none(served: Server, desk: Desk) -> None:
    desk.hears(desk.queued(), 0)
    with Listener(served, "job") as listener:
        wait_until_subscribed(listener, desk)
        assert send(served, "DELETE", "/jobs/job").status == 204
        listener.rest()
    assert not desk.redis.exists(stream_key("job"))


def test_a_job_that_is_tried_again_has_none_of_its_old_segments(served: Server, desk: Desk) -> None:
    desk.hears(desk.failed(), 0)
    with Listener(served, "job") as listener:
        assert lines(listener.rest()) == ["Line 0"]
    assert send(served, "POST", "/jobs/job/retry").status == 200
    with Listener(served, "job") as listener:
        first = listener.next()
        assert first is not None
        assert (first.kind, first.data["status"]) == ("state", "queued")


def test_what_the_sweep_mends_is_told(served: Server, desk: Desk) -> None:
    with Listener(served, desk.started(attempts=3)) as listener:
        wait_until_subscribed(listener, desk)
        desk.queue.withdraw("job")
        sweep = Sweep(desk.settings, desk.storage, desk.queue)
        for _ in range(3):  # it looks twice before it acts
            sweep.run()
        assert listener.rest()[-1].data["error_code"] == "worker_died"


def test_the_end_that_a_worker_died_before_it_could_tell_is_told_by_the_sweep(served: Server, desk: Desk) -> None:
    with Listener(served, desk.started()) as listener:
        wait_until_subscribed(listener, desk)
        desk.queue.withdraw("job")
        desk.storage.put("job", ERROR, error_record("engine_failed", "The engine failed.", 1))
        sweep = Sweep(desk.settings, desk.storage, desk.queue)
        for _ in range(3):
            sweep.run()
        assert listener.rest()[-1].data["error_code"] == "engine_failed"
