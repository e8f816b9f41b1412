"""Uploads that break off, lie about their length, dawdle, or meet a dying Redis or a full disk: nothing stays of them."""

import os
import resource
import signal
import time

import pytest
from redis import Redis

from api.tests.conftest import Serve
from api.tests.server import Server, assert_refused, eventually, kernel_limit, running
from api.tests.wire import BOUNDARY, CHUNKED, ENGINE, KIB, MIB, SOUND, Wire, chunk, form, head, recording
from conftest import MakeSettings
from steno.jobs.queue import UNFINISHED
from steno.redis_server import RedisServer, free_port

LONG = form(ENGINE, recording(SOUND + b"\x07" * MIB))
HALF = len(LONG) // 2


def half_sent(server: Server, body: bytes = LONG) -> Wire:
    """A connection over which half an upload has come, its first bytes already stored."""
    wire = server.connect()
    wire.send(head(len(body)) + body[: len(body) // 2])
    if not eventually(lambda: any(name.endswith(".part") for name in server.left())):
        wire.hang_up()
        raise AssertionError("nothing was stored of the first half")
    return wire


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\r\n", 400),
        (b"not a form at all", 400),
        (form(), 422),
        (form(ENGINE, recording(), end=b"\r\n"), 400),
        (form(ENGINE, recording(), end=b""), 400),
        (form(ENGINE, recording(), end=b"-"), 400),
        (form(ENGINE, recording(), boundary="another"), 400),
        (form(ENGINE, recording()).replace(b"\r\n", b"\n"), 400),
        (form(ENGINE, recording())[:-40], 400),
        (b"--" + BOUNDARY.encode() + b"\r\n\r\n\r\n--" + BOUNDARY.encode() + b"--\r\n", 400),
    ],
)
def test_a_malformed_body_is_refused(server: Server, body: bytes, status: int) -> None:
    assert_refused(server, server.send(head(len(body)) + body), status)


@pytest.mark.parametrize(
    ("content_type", "status", "said"),
    [
        (None, 422, "multipart/form-data"),
        ("application/json", 422, "multipart/form-data"),
        ("multipart/mixed; boundary=x", 422, "multipart/form-data"),
        ("multipart/form-data", 400, "boundary"),
        ("multipart/form-data; boundary=", 400, "boundary"),
        ('multipart/form-data; boundary=""', 400, "boundary"),
        ("multipart/form-data; boundary=wrong", 400, "malformed"),
        ("multipart/form-data; boundary=" + "b" * 5000, 400, "boundary"),
        ("multipart/form-data; boundary*=utf-8''xYzZy", 400, "boundary"),
        ('multipart/form-data; ;;="; boundary', 400, "boundary"),
    ],
)
def test_a_wrong_content_type_is_refused(server: Server, content_type: str | None, status: int, said: str) -> None:
    body = form(ENGINE, recording())
    assert_refused(server, server.send(head(len(body), content_type=content_type) + body), status, said)


def test_a_request_without_a_body_is_refused(server: Server) -> None:
    assert_refused(server, server.send(head()), 400, "empty")
    assert_refused(server, server.send(b"POST /transcribe HTTP/1.0\r\n\r\n"), 422)


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
def test_nothing_stays_of_an_upload_whose_client_went_away(server: Server, reset: bool) -> None:
    wire = half_sent(server)
    wire.hang_up(reset)
    assert eventually(server.nothing_left)


def test_nothing_stays_when_less_arrives_than_announced(server: Server) -> None:
    body = form(ENGINE, recording())
    with server.connect() as wire:
        wire.send(head(len(body) + 100) + body)
        wire.done_sending()
        wire.everything()
    assert eventually(server.nothing_left)


def test_nothing_stays_when_more_arrives_than_announced(server: Server) -> None:
    body = form(ENGINE, recording())
    with server.connect() as wire:
        wire.send(head(len(body) - 50) + body)
        assert wire.answer().status == 400
        wire.done_sending()
        assert b"HTTP/1.1 5" not in wire.everything()
    assert eventually(server.nothing_left)


def test_nothing_stays_of_a_chunked_upload_that_breaks_off(server: Server) -> None:
    with server.connect() as wire:
        wire.send(CHUNKED + chunk(LONG[:HALF]) + b"zz\r\n")
        assert b"HTTP/1.1 5" not in wire.everything()
    assert eventually(server.nothing_left)


def test_an_upload_that_pauses_is_refused(serve: Serve) -> None:
    server = serve(upload_idle_limit=0.2)
    answer = server.send(head(len(LONG)) + LONG[:HALF])
    assert_refused(server, answer, 408)
    assert answer.code == "upload_too_slow"


def test_a_client_that_sends_a_head_and_no_body_is_not_waited_for(serve: Serve) -> None:
    server = serve(upload_idle_limit=0.2)
    assert_refused(server, server.send(head(1000)), 408)


def test_an_upload_that_only_trickles_is_refused(serve: Serve) -> None:
    server = serve(upload_idle_limit=60, upload_time_limit=0.4)
    began = time.monotonic()
    with server.connect() as wire:
        wire.send(head(len(LONG)) + LONG[:HALF])
        for at in range(HALF, HALF + 12):
            time.sleep(0.05)
            wire.send(LONG[at : at + 1])
        assert_refused(server, wire.answer(), 408)
    assert time.monotonic() - began < 30


def test_a_slow_but_steady_upload_is_taken(serve: Serve) -> None:
    server, body = serve(upload_idle_limit=2.0), form(ENGINE, recording())
    with server.connect() as wire:
        wire.send(head(len(body)))
        for at in range(0, len(body), 32):
            time.sleep(0.25)
            wire.send(body[at : at + 32])
        assert wire.answer().status == 200


def test_without_redis_an_upload_is_refused_before_its_body_is_read(serve: Serve) -> None:
    server = serve(redis_url=f"redis://127.0.0.1:{free_port()}")
    with server.connect() as wire:
        wire.send(head(len(LONG), "Expect: 100-continue"))
        assert wire.first_bytes(12) == b"HTTP/1.1 503"
    answer = server.send(head(len(LONG)))
    assert_refused(server, answer, 503, "redis")
    assert int(answer.headers["retry-after"]) > 0


def test_redis_may_die_while_the_upload_arrives(serve: Serve, mortal_redis: RedisServer) -> None:
    server = serve(redis_url=mortal_redis.url)
    with half_sent(server) as wire:
        mortal_redis.stop()
        wire.send(LONG[HALF:])
        answer = wire.answer()
    assert_refused(server, answer, 503)
    assert answer.headers["retry-after"]


def test_a_redis_without_memory_for_the_job_is_not_enough(serve: Serve, mortal_redis: RedisServer) -> None:
    server = serve(redis_url=mortal_redis.url)
    redis = Redis.from_url(mortal_redis.url)
    redis.config_set("maxmemory", 1)
    assert_refused(server, server.post(ENGINE, recording()), 503)
    redis.config_set("maxmemory", 0)
    assert redis.keys() == []
    redis.close()
    assert server.post(ENGINE, recording()).status == 200


@pytest.mark.parametrize("size", [64 * KIB, MIB, MIB + 50], ids=["at once", "late", "at the end"])
def test_a_full_disk_is_said_and_nothing_stays(server: Server, size: int) -> None:
    with kernel_limit(resource.RLIMIT_FSIZE, size):
        answer = server.send(head(len(LONG)) + LONG)
    assert_refused(server, answer, 507, "space")
    assert answer.code == "out_of_space"


def test_a_disk_with_no_room_for_the_request_record_is_full(server: Server) -> None:
    with kernel_limit(resource.RLIMIT_FSIZE, len(SOUND)):
        answer = server.post(ENGINE, recording())
    assert_refused(server, answer, 507, "space")


def test_a_disk_without_room_for_what_is_announced_is_full(serve: Serve) -> None:
    server = serve(max_file_size=1 << 62)
    with server.connect() as wire:
        wire.send(head(1 << 60, "Expect: 100-continue"))
        assert wire.first_bytes(12) == b"HTTP/1.1 507"


def test_a_server_told_to_stop_leaves_nothing_of_a_stalled_upload(serve: Serve) -> None:
    server = serve(patience=0)
    with half_sent(server) as wire:
        server.stop()
        assert b"200 OK" not in wire.everything()
        assert eventually(server.nothing_left)


def test_a_server_told_to_stop_in_the_middle_of_a_submission_leaves_a_whole_job_or_none(
    make_settings: MakeSettings, mortal_redis: RedisServer
) -> None:
    pid = mortal_redis.pid or 0
    settings = make_settings(redis_url=mortal_redis.url, default_model="small")
    with running(settings, patience=0) as server, half_sent(server) as wire:
        os.kill(pid, signal.SIGSTOP)
        wire.send(LONG[HALF:])
        assert eventually(lambda: any(name.endswith("request.json") for name in server.left()))
        server.stop()
        wire.everything()
        os.kill(pid, signal.SIGCONT)
    with Redis.from_url(mortal_redis.url) as redis:
        assert bool(server.left()) == bool(redis.keys("rq:job:*")) == bool(redis.exists(UNFINISHED))


def test_uploads_at_once_do_not_mix(server: Server) -> None:
    wires = [half_sent(server, form(ENGINE, recording(SOUND + bytes([n]) * MIB))) for n in range(8)]
    bodies = [form(ENGINE, recording(SOUND + bytes([n]) * MIB)) for n in range(8)]
    for wire, body in reversed(list(zip(wires, bodies, strict=True))):
        wire.send(body[len(body) // 2 :])
    for n, wire in enumerate(wires):
        with wire:
            job_id = wire.answer().job_id
        assert (server.folder / job_id / "audio.wav").read_bytes() == SOUND + bytes([n]) * MIB
    assert len(server.left()) == 3 * len(wires)
