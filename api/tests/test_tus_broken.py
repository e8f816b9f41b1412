"""Pieces that break off, two clients on one upload, a Redis that dies, a full disk: what came is there, and nothing else."""

import hashlib
import resource
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis import Redis

from api.tests.conftest import Serve
from api.tests.desk import Desk
from api.tests.server import Server, eventually, kernel_limit
from api.tests.tus import STREAM, WAV, Tus, begin_patch, checksum, job_of
from api.tests.wire import MIB, Wire, chunk
from steno.jobs.record import REQUEST
from steno.redis_server import RedisServer, free_port

BIG = WAV * 10
"""One megabyte: several of the batches that are written at once."""


@pytest.fixture
def tus(server: Server) -> Iterator[Tus]:
    with Tus(server.url) as client:
        yield client


def stored(server: Server, path: str) -> bytes:
    """The recording as far as it has come, or whole."""
    folder = server.folder / job_of(path)
    (audio,) = [file for file in folder.iterdir() if file.name.startswith("audio.")]
    return audio.read_bytes()


def finish(tus: Tus, server: Server, path: str, data: bytes) -> None:
    """Go on from where the upload is, and there is one job of it."""
    offset = tus.offset(path)
    assert tus.patch(path, offset, data[offset:]).headers["steno-job-id"] == job_of(path)
    assert stored(server, path) == data
    assert len(list(server.folder.iterdir())) == 1


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize("sent", [0, 1, 100_000, 700_001])
def test_what_came_of_a_piece_that_breaks_off_stays(server: Server, tus: Tus, sent: int, reset: bool) -> None:
    path = tus.begun(len(BIG))
    tus.patch(path, 0, BIG[:5])
    with server.connect() as wire:
        begin_patch(wire, path, 5, len(BIG) - 5, BIG[5 : 5 + sent])
        if sent > 524_288:
            assert eventually(lambda: tus.look(path)["offset"] >= 524_288)
        wire.hang_up(reset=reset)
    assert eventually(lambda: tus.head(path).status_code == 200)
    # What the server has not read yet when it hears that the client is gone is lost.
    assert (524_288 if sent > 524_288 else 5) <= tus.offset(path) <= 5 + sent
    assert stored(server, path) == BIG[: tus.offset(path)]
    finish(tus, server, path, BIG)


@pytest.mark.parametrize("sent", [1, 700_001])
def test_nothing_stays_of_a_piece_that_breaks_off_before_its_checksum_could_be_looked_at(
    server: Server, tus: Tus, sent: int
) -> None:
    path = tus.begun(len(BIG))
    tus.patch(path, 0, BIG[:7])
    with server.connect() as wire:
        wire.send(
            f"PATCH {path} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 7\r\nContent-Type: {STREAM}\r\n"
            f"Content-Length: {len(BIG) - 7}\r\nUpload-Checksum: {checksum(BIG[7:])}\r\n\r\n".encode()
        )
        wire.send(BIG[7 : 7 + sent])
        time.sleep(0.1)
        wire.hang_up()
    assert tus.offset(path) == 7
    assert len(list(server.folder.iterdir())) == 1
    finish(tus, server, path, BIG)


def test_a_chunked_piece_that_breaks_off_stays_too(server: Server, tus: Tus) -> None:
    path = tus.begun(len(BIG))
    with server.connect() as wire:
        wire.send(
            f"PATCH {path} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: {STREAM}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        wire.send(chunk(BIG[:600_000]))
        assert eventually(lambda: tus.look(path)["offset"] >= 524_288)
        wire.send(b"zz\r\n")
        wire.everything()
    assert 524_288 <= tus.offset(path) <= 600_000
    finish(tus, server, path, BIG)


def test_nothing_stays_of_a_creation_that_breaks_off(server: Server, tus: Tus) -> None:
    with server.connect() as wire:
        wire.send(
            f"POST /uploads HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Length: 500\r\nContent-Type: {STREAM}\r\n"
            "Upload-Metadata: filename YS53YXY=,engine d2hpc3Blcng=\r\nContent-Length: 500\r\n\r\n12345".encode()
        )
        assert eventually(lambda: bool(server.left()))
        wire.hang_up()
    assert eventually(server.nothing_left)


@given(cuts=st.lists(st.integers(0, 6000), min_size=1, max_size=12), checked=st.booleans())
@example(cuts=[0], checked=True)
@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_where_it_is_cut_does_not_matter(server: Server, tus: Tus, cuts: list[int], checked: bool) -> None:
    data = WAV[:6000]
    path, at = tus.begun(len(data)), 0
    for end in sorted({*cuts, len(data)}):
        more = {"Upload_Checksum": checksum(data[at:end])} if checked else {}
        assert tus.patch(path, at, data[at:end], **more).headers["upload-offset"] == str(end)
        assert tus.offset(path) == end
        at = end
    assert stored(server, path) == data
    assert server.request_of(job_of(path))["size"] == len(data)


def begun(server: Server, tus: Tus, sent: int) -> tuple[str, Wire]:
    """An upload, and a connection over which a piece of it is on its way, so many bytes of which are stored already."""
    path = tus.begun(len(BIG))
    wire = server.connect()
    begin_patch(wire, path, 0, len(BIG), BIG[:sent])
    if not eventually(lambda: tus.look(path)["offset"] > 0):
        wire.hang_up()
        raise AssertionError("nothing came of the piece")
    return path, wire


def test_while_bytes_come_every_other_request_is_kept_out(serve: Serve) -> None:
    server = serve(tus_lock=2.0)
    with Tus(server.url) as tus:
        path, wire = begun(server, tus, 600_000)
        over = threading.Event()

        def trickle() -> None:
            for at in range(600_000, len(BIG) - 1):
                if over.wait(0.05):
                    wire.send(BIG[at:])
                    return
                wire.send(BIG[at : at + 1])

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            for _ in range(2):
                for answer in (tus.head(path), tus.patch(path, 0, b"other"), tus.delete(path)):
                    assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (423, True)
        finally:
            over.set()
            thread.join()
        with wire:
            assert wire.answer().headers["steno-job-id"] == job_of(path)
        assert stored(server, path) == BIG


def test_a_request_that_hears_nothing_lets_go_when_another_wants_the_upload(serve: Serve) -> None:
    server = serve(tus_lock=2.0, upload_idle_limit=60)
    with Tus(server.url) as tus:
        path, wire = begun(server, tus, 700_000)
        with wire:
            assert eventually(lambda: tus.head(path).status_code == 200, 10)
            answer = wire.answer()
            assert (answer.status, answer.code) == (423, "upload_locked")
        assert tus.offset(path) == 700_000
        finish(tus, server, path, BIG)


def test_a_silent_request_is_left_alone_while_nobody_else_wants_the_upload(serve: Serve) -> None:
    server = serve(tus_lock=2.0)
    with Tus(server.url) as tus:
        path, wire = begun(server, tus, 600_000)
        time.sleep(3)
        with wire:
            wire.send(BIG[600_000:])
            assert wire.answer().headers["steno-job-id"] == job_of(path)


def test_a_request_that_pauses_too_long_is_ended_and_what_came_stays(serve: Serve) -> None:
    server = serve(upload_idle_limit=0.3)
    with Tus(server.url) as tus:
        path, wire = begun(server, tus, 600_000)
        with wire:
            answer = wire.answer()
        assert (answer.status, answer.code, "HEAD" in answer.detail) == (408, "upload_too_slow", True)
        assert tus.offset(path) == 600_000
        finish(tus, server, path, BIG)


def test_twenty_at_the_same_offset_are_one(server: Server, tus: Tus) -> None:
    path = tus.begun()
    answers: list[httpx.Response] = []

    def send() -> None:
        with Tus(server.url) as mine:
            answers.append(mine.patch(path, 0, WAV))

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 409, 423}
    assert stored(server, path) == WAV


def test_a_lock_that_its_holder_lost_lets_no_more_bytes_pass(serve: Serve, redis: Redis) -> None:
    server = serve(tus_lock=0.5)
    with Tus(server.url) as tus:
        path, wire = begun(server, tus, 600_000)
        with wire:
            redis.set(f"steno:uploading:{job_of(path)}", "somebody else's")
            answer = wire.answer()
            assert (answer.status, answer.code) == (503, "queue_unavailable")
            assert tus.head(path).status_code == 423
            redis.delete(f"steno:uploading:{job_of(path)}")
            finish(tus, server, path, BIG)


@pytest.fixture
def dying(serve: Serve, mortal_redis: RedisServer) -> Server:
    return serve(redis_url=mortal_redis.url, tus_lock=0.5)


def test_redis_may_die_while_a_piece_arrives(dying: Server, mortal_redis: RedisServer) -> None:
    with Tus(dying.url) as tus:
        path, wire = begun(dying, tus, 700_000)
        with wire:
            mortal_redis.stop()
            answer = wire.answer()
        assert (answer.status, bool(answer.headers["retry-after"])) == (503, True)
        where = tus.head(path)  # clients begin anew at any other answer
        assert (where.status_code, where.headers["upload-offset"]) == (200, str(tus.look(path)["offset"]))
        refused = tus.patch(path, tus.offset(path), BIG[700_000:])
        assert (refused.status_code, bool(refused.headers["retry-after"])) == (503, True)
        assert tus.create().status_code == 503
        mortal_redis.start()
        finish(tus, dying, path, BIG)


def test_redis_may_be_away_when_the_last_byte_has_come(dying: Server, mortal_redis: RedisServer) -> None:
    with Tus(dying.url) as tus:
        path = tus.begun()
        upload = Desk(dying.settings, Redis()).storage.resume(job_of(path), "audio.wav")
        upload.write([memoryview(WAV)])
        upload.leave()
        mortal_redis.stop()
        answer = tus.head(path)
        assert (answer.status_code, "upload-offset" in answer.headers) == (423, False)
        mortal_redis.start()
        assert tus.head(path).headers["steno-job-id"] == job_of(path)


def test_redis_without_memory_for_the_job_costs_nothing(dying: Server, mortal_redis: RedisServer) -> None:
    with Tus(dying.url) as tus, Redis.from_url(mortal_redis.url) as redis:
        path, wire = begun(dying, tus, len(BIG) - 10)
        with wire:
            redis.config_set("maxmemory", 1)
            wire.send(BIG[-10:])
            assert wire.answer().status == 503
        redis.config_set("maxmemory", 0)
        assert eventually(lambda: tus.head(path).status_code == 200)
        assert tus.head(path).headers["steno-job-id"] == job_of(path)
        assert stored(dying, path) == BIG


@pytest.mark.parametrize("half_done", ["whole", "committed", "requested"])
def test_whatever_a_process_died_of_at_the_end_the_next_question_makes_the_job(
    serve: Serve, desk: Desk, half_done: str
) -> None:
    server = serve()
    with Tus(server.url) as tus:
        path = tus.begun(len(WAV))
        upload = desk.storage.resume(job_of(path), "audio.wav")
        upload.write([memoryview(WAV)])
        if half_done == "whole":
            upload.leave()
        else:
            upload.commit()
        if half_done == "requested":
            tus.head(path)
            desk.redis.flushdb()
        answer = tus.head(path)
        assert (answer.headers["upload-offset"], answer.headers["steno-job-id"]) == (str(len(WAV)), job_of(path))
        assert stored(server, path) == WAV
        assert (server.folder / job_of(path) / REQUEST).exists()
        if half_done != "requested":  # that one the sweep finds
            assert desk.queue.queue("whisperx").get_job_ids() == [job_of(path)]


@pytest.mark.parametrize("room", [0, 300_000])
def test_a_full_disk_is_said_and_what_came_stays(server: Server, tus: Tus, room: int) -> None:
    path = tus.begun(len(BIG))
    tus.patch(path, 0, BIG[:100_000])
    with kernel_limit(resource.RLIMIT_FSIZE, 100_000 + room):
        answer = tus.patch(path, 100_000, BIG[100_000:])
    assert (answer.status_code, answer.json()["code"]) == (507, "out_of_space")
    assert tus.offset(path) == 100_000 + room
    finish(tus, server, path, BIG)


def test_a_disk_with_no_room_for_the_request_keeps_the_upload(server: Server, tus: Tus) -> None:
    path = tus.begun(100)
    with kernel_limit(resource.RLIMIT_FSIZE, 100):
        assert tus.patch(path, 0, WAV[:100]).status_code == 507
        assert tus.head(path).status_code == 423
    assert tus.head(path).headers["steno-job-id"] == job_of(path)


def test_a_server_told_to_stop_keeps_what_came(serve: Serve) -> None:
    server = serve(patience=0)
    with Tus(server.url) as client:
        path, wire = begun(server, client, 600_000)
        with wire:
            server.stop()
            wire.everything()
    left = stored(server, path)
    assert hashlib.sha256(left).digest() == hashlib.sha256(BIG[: len(left)]).digest()
    assert len(left) >= 524_288


def test_without_redis_nothing_begins(serve: Serve) -> None:
    server = serve(redis_url=f"redis://127.0.0.1:{free_port()}")
    with Tus(server.url) as tus:
        answer = tus.create()
        assert (answer.status_code, bool(answer.headers["retry-after"])) == (503, True)
        assert answer.headers["tus-resumable"] == "1.0.0"
    assert server.nothing_left()


def test_big_pieces_go_through_constant_memory_in_batches(server: Server, tus: Tus) -> None:
    """A piece larger than any batch, larger than what a socket holds."""
    data = WAV * (2 * MIB // len(WAV))
    path = tus.begun(len(data))
    assert tus.patch(path, 0, data).headers["steno-job-id"]
    assert stored(server, path) == data
