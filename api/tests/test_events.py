"""Following a job over real sockets: what comes, in which order, and when it ends."""

import socket
from itertools import islice
from typing import Any

import pytest
from fastapi.testclient import TestClient
from redis import Redis

from api import events
from api.tests.conftest import Serve
from api.tests.desk import Desk
from api.tests.listener import Listener, Told, ears, lines
from api.tests.server import Server, eventually
from api.tests.wire import head
from conftest import MakeSettings
from steno.jobs import news
from steno.jobs.queue import connect
from steno.redis_server import RedisServer
from steno.transcript import Segment

LISTENERS = 500


@pytest.fixture
def served(serve: Serve, desk: Desk) -> Server:
    """A server over the desk's folder and Redis."""
    return serve()


def test_the_present_state_comes_first_and_then_every_change(served: Server, desk: Desk) -> None:
    with Listener(served, desk.started(stage="transcribing", progress=0.1, attempts=1)) as listener:
        assert listener.answer.status == 200
        assert listener.answer.headers["content-type"].startswith("text/event-stream")
        assert listener.answer.headers["cache-control"] == "no-store"
        assert listener.answer.headers["x-accel-buffering"] == "no"
        first = listener.next()
        assert first is not None
        assert (first.kind, first.data["stage"], first.data["progress"]) == ("state", "transcribing", 0.1)
        assert 1000 <= listener.retry_ms <= 3000
        for share in (0.4, 0.7):
            desk.tells("job", progress=share)
            assert listener.state(progress=share).data["attempts"] == 1


def test_a_state_is_the_status_without_its_result(served: Server, desk: Desk) -> None:
    status = served.get(f"/status/{desk.finished()}").json
    with Listener(served, "job") as listener:
        (told,) = listener.rest()
    assert status.pop("result")
    assert told.data == status


def test_segments_come_as_they_are_heard_and_the_final_state_last(served: Server, desk: Desk) -> None:
    with Listener(served, desk.started()) as listener:
        listener.state(status="started")
        desk.hears("job", 0)
        assert listener.line() == "Line 0"  # before the next is heard
        desk.hears("job", 1)
        desk.finishes("job")
        rest = listener.rest()
    assert lines(rest) == ["Line 1"]
    assert (rest[-1].kind, rest[-1].data["status"]) == ("state", "finished")
    assert all(told.data["status"] == "started" for told in rest[:-1] if told.kind == "state")


def test_a_failed_job_ends_with_its_error(served: Server, desk: Desk) -> None:
    with Listener(served, desk.failed()) as listener:
        (told,) = listener.rest()
    assert (told.data["status"], told.data["error_code"]) == ("failed", "audio_empty")


def test_who_comes_late_hears_the_segments_so_far(served: Server, desk: Desk) -> None:
    desk.hears(desk.started(), *range(250))
    desk.finishes("job")
    with Listener(served, "job") as listener:
        assert lines(listener.rest()) == [f"Line {number}" for number in range(250)]


def test_a_segment_has_times_and_no_words(served: Server, desk: Desk) -> None:
    desk.hears(desk.started(), 3)
    with Listener(served, "job") as listener:
        told = listener.next()
    assert told is not None
    assert told.data == {"id": 3, "start": 3, "end": 4, "text": "Line 3", "speaker": None}


def test_another_attempt_makes_the_segments_before_it_void(served: Server, desk: Desk) -> None:
    desk.hears(desk.started(), 0, 1)
    with Listener(served, "job") as early:
        assert (early.line(), early.line()) == ("Line 0", "Line 1")
        news.attempt_began(desk.redis, "job", 2)
        desk.hears("job", 0)
        assert marks(early) == [("attempt", 2), ("segment", None)]
        with Listener(served, "job") as late:
            assert marks(late) == [("attempt", 2), ("segment", None)]


def marks(listener: Listener) -> list[tuple[str, int | None]]:
    """The next two events that are no state: their kinds, and the attempt that they name."""
    told = (told for told in iter(listener.next, None) if told.kind != "state")
    return [(each.kind, each.data.get("attempt")) for each in islice(told, 2)]


def cut_after(server: Server, line: str) -> str:
    """The id of the event with which the connection was lost."""
    with Listener(server, "job") as listener:
        while (told := listener.next()) is not None:
            if told.kind == "segment" and told.data["text"] == line:
                assert told.id
                return told.id
    raise AssertionError(f"{line} never came")


def test_a_listener_that_was_cut_off_gets_what_it_missed(served: Server, desk: Desk) -> None:
    desk.hears(desk.started(), 0, 1, 2)
    last = cut_after(served, "Line 1")
    desk.hears("job", 3)
    desk.finishes("job")
    first = cut_after(served, "Line 0")
    for listener in (Listener(served, "job", last), Listener(served, "job", last, f"?last_event_id={first}")):
        with listener:
            assert lines(listener.rest()) == ["Line 2", "Line 3"]
    with Listener(served, "job", query=f"?last_event_id={first}") as listener:
        assert lines(listener.rest()) == ["Line 1", "Line 2", "Line 3"]


@pytest.mark.parametrize("last", ["1795617143825-7", "nonsense", "-", "9" * 5000 + "-0", "1-x"])
def test_without_the_stream_it_is_told_the_present(served: Server, desk: Desk, last: str) -> None:
    desk.hears(desk.started(), 0)
    desk.finishes("job")
    desk.redis.delete(news.stream_key("job"))
    with Listener(served, "job", last) as listener:
        (told,) = listener.rest()
    assert told.data["status"] == "finished"


def test_who_has_had_the_final_state_is_sent_away(served: Server, desk: Desk) -> None:
    with Listener(served, desk.finished()) as listener:
        last = listener.rest()[-1].id
    desk.redis.delete(news.stream_key("job"))
    with Listener(served, "job", last) as listener:
        assert (listener.answer.status, listener.answer.read()) == (204, b"")


@pytest.mark.parametrize("job_id", ["unknown", "..", "%2e%2e%2fx"])
def test_there_is_nothing_to_hear_of_an_unknown_job(served: Server, desk: Desk, job_id: str) -> None:
    answer = served.get(f"/jobs/{job_id}/events")
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert eventually(lambda: not ears(desk.redis))


def test_the_stream_of_a_deleted_job_ends(served: Server, desk: Desk) -> None:
    with Listener(served, desk.started()) as listener:
        listener.state(status="started")
        desk.storage.delete("job")
        desk.queue.forget("job")
        news.forget(desk.redis, "job")
        listener.rest()
    assert served.get("/jobs/job/events").status == 404


def test_a_silent_stream_has_heartbeats(served: Server, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.05)
    with Listener(served, desk.queued()) as listener:
        listener.state(status="queued")
        assert [listener.next() for _ in range(3)] == [Told("")] * 3


def test_a_stream_has_a_longest_life_and_goes_on_with_the_next(serve: Serve, desk: Desk) -> None:
    server = serve(events_life=0.3)
    desk.hears(desk.started(), 0)
    with Listener(server, "job") as listener:
        rest = listener.rest()
    assert [told.kind for told in rest] == ["segment", "state"]
    desk.hears("job", 1)
    with Listener(server, "job", rest[0].id) as listener:
        assert lines(listener.rest()) == ["Line 1"]


def test_a_client_that_hangs_up_is_no_longer_listened_for(served: Server, desk: Desk) -> None:
    with Listener(served, desk.started()) as listener:
        listener.state(status="started")
        assert eventually(lambda: ears(desk.redis) == 1)
    assert eventually(lambda: ears(desk.redis) == 0)


def test_a_change_of_which_the_news_was_lost_is_seen_in_the_end(
    served: Server, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.watch.LOOK_SECONDS", 0.1)
    with Listener(served, desk.started(progress=0.1)) as listener:
        listener.state(progress=0.1)
        desk.writes("job", progress=0.2)
        listener.state(progress=0.2)


def test_redis_may_come_back_meanwhile(
    serve: Serve, mortal_redis: RedisServer, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changed while it was away is told without news of it, and then the news go on."""
    monkeypatch.setattr("api.watch.LOOK_SECONDS", 1000.0)
    url = mortal_redis.url
    with connect(make_settings(redis_url=url)) as redis:
        desk = Desk(make_settings(redis_url=url), redis)
        with Listener(serve(redis_url=url), desk.started(progress=0.1)) as listener:
            listener.state(progress=0.1)
            mortal_redis.stop()
            mortal_redis.start()
            assert eventually(lambda: ears(redis) == 1, 20)
            desk.tells("job", progress=0.5)
            listener.state(progress=0.5)
            desk.writes("job", progress=0.7)
            mortal_redis.stop()
            mortal_redis.start()
            listener.state(progress=0.7)
            desk.finishes("job")
            assert listener.rest()[-1].data["status"] == "finished"


def test_without_redis_only_the_end_can_be_told(offline_client: TestClient, desk: Desk) -> None:
    assert offline_client.get(f"/jobs/{desk.queued()}/events").status_code == 503
    desk.finishes("job")
    assert '"status":"finished"' in offline_client.get("/jobs/job/events").text


def test_many_listeners_cost_one_connection_and_all_hear_the_end(served: Server, desk: Desk) -> None:
    desk.hears(desk.started(), 0)
    before = clients(desk.redis)
    listeners = [Listener(served, "job") for _ in range(LISTENERS)]
    try:
        assert eventually(lambda: ears(desk.redis) == 1)
        desk.tells("job", progress=0.5)
        assert served.get("/health").status == 200
        desk.finishes("job")
        for listener in listeners:
            rest = listener.rest()
            assert (lines(rest), rest[-1].data["status"]) == (["Line 0"], "finished")
        assert ears(desk.redis) <= 1
        assert clients(desk.redis) - before < 12
    finally:
        for listener in listeners:
            listener.hang_up()
    assert eventually(lambda: ears(desk.redis) == 0)


def clients(redis: Redis) -> int:
    told: dict[str, Any] = redis.info("clients")
    return int(told["connected_clients"])


def test_a_client_that_does_not_read_holds_up_nobody_and_is_let_go(
    serve: Serve, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.5)
    server = serve(events_life=2)
    for number in range(500):
        news.segment_heard(desk.redis, desk.started() if not number else "job", Segment(number, 0, 1, "x" * 20_000))
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", server.port))
        deaf.sendall(head(method="GET", path="/jobs/job/events", content_type=None))
        with Listener(server, "job") as listener:
            listener.state(status="started")
            desk.finishes("job")
            assert listener.rest()[-1].data["status"] == "finished"
        assert ears(desk.redis) == 1  # for the deaf one
        assert eventually(lambda: ears(desk.redis) == 0, 20)
