"""Idempotency-Key and `reuse`: a repeated request, and a recording that was heard before."""

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from redis import Redis

from api.tests.conftest import Serve
from api.tests.desk import HEARD, Desk
from api.tests.server import Server, eventually
from conftest import MakeSettings
from steno.config import Settings
from steno.jobs import reuse
from steno.jobs.record import TRANSCRIPT
from steno.jobs.submit import keyed_job_id

WAV = b"RIFF" + b"\0" * 5000


@pytest.fixture
def server_over(serve: Serve) -> Server:
    return serve()


def post(server: Server, key: str | None = "k1", content: bytes = WAV, **fields: str) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    form = {"engine": "whisperx", **fields}
    return httpx.post(
        f"{server.url}/transcribe", data=form, files={"file": ("a.wav", content)}, headers=headers, timeout=30
    )


def test_a_repeated_request_is_answered_with_the_same_job(server_over: Server) -> None:
    first, second = post(server_over), post(server_over, '"k1"')
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    assert (first.headers.get("idempotency-replayed"), second.headers["idempotency-replayed"]) == (None, "true")
    assert len(list(server_over.folder.iterdir())) == 1
    assert post(server_over, "k2").json() != first.json()
    assert post(server_over, None).json() != post(server_over, None).json()


def test_storage_remembers_the_key_when_redis_does_not(server_over: Server, redis: Redis) -> None:
    first = post(server_over)
    redis.flushdb()
    assert post(server_over).json() == first.json()


def test_a_default_that_the_operator_changed_makes_no_other_request(serve: Serve, settings: Settings) -> None:
    folder = settings.upload_dir
    first = post(serve(upload_dir=folder, default_model="small")).json()
    second = post(serve(upload_dir=folder, default_model="tiny"))
    assert (second.status_code, second.json()) == (200, first)


def test_two_keys_are_one_too_many(server_over: Server) -> None:
    answer = httpx.post(
        f"{server_over.url}/transcribe",
        data={"engine": "whisperx"},
        files={"file": ("a.wav", WAV)},
        headers=[("idempotency-key", "k1"), ("idempotency-key", "k2")],
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_idempotency_key")
    assert server_over.left() == []


@pytest.mark.parametrize("changed", [{"content": WAV + b"x"}, {"language": "fr"}, {"labels": "x"}])
def test_another_request_with_the_same_key_is_refused(server_over: Server, changed: dict[str, Any]) -> None:
    post(server_over)
    answer = post(server_over, **changed)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert len(list(server_over.folder.iterdir())) == 1


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "caf\xe9"])
def test_a_key_that_is_none_is_refused(server_over: Server, key: str) -> None:
    answer = httpx.post(
        f"{server_over.url}/transcribe",
        data={"engine": "whisperx"},
        files={"file": ("a.wav", WAV)},
        headers=[(b"idempotency-key", key.encode("latin-1"))],
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_idempotency_key")
    assert server_over.left() == []


@contextlib.contextmanager
def halfway(server: Server) -> Iterator["Future[httpx.Response]"]:
    """A request of which half has come; it goes on afterwards."""
    there, go_on = threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        yield from (b"--b\r\n", b'Content-Disposition: form-data; name="engine"\r\n\r\nwhisperx\r\n--b\r\n')
        yield b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + WAV
        there.set()
        go_on.wait(20)
        yield b"\r\n--b--\r\n"

    headers = {"Idempotency-Key": "k1", "Content-Type": "multipart/form-data; boundary=b"}
    with ThreadPoolExecutor(1) as pool:
        try:
            first = pool.submit(httpx.post, f"{server.url}/transcribe", content=body(), headers=headers, timeout=30)
            assert there.wait(20)
            assert eventually(lambda: bool(server.left()))
            yield first
        finally:
            go_on.set()


@pytest.mark.parametrize("taken", [False, True], ids=["nobody else came", "another is at it"])
def test_a_request_during_which_redis_lost_its_memory_takes_the_key_again_or_waits(
    server_over: Server, redis: Redis, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    monkeypatch.setattr("api.idempotency._MARK_SECONDS", 1)
    mark = f"steno:keyed:{keyed_job_id('k1')}"
    with halfway(server_over) as first:
        assert redis.exists(mark)
        redis.flushdb()
        if taken:
            redis.set(mark, "another's")
        time.sleep(0.5)  # until its holder has noticed
    answer = first.result()
    if taken:
        assert (answer.status_code, answer.json()["code"]) == (409, "request_in_progress")
        assert server_over.left() == []
    else:
        assert (answer.status_code, answer.json()["job_id"]) == (200, keyed_job_id("k1"))
        assert not redis.exists(mark)


def test_a_second_request_while_the_first_is_under_way_is_told_to_wait(server_over: Server) -> None:
    with halfway(server_over) as first:
        second = post(server_over)
    job_id = first.result().json()["job_id"]
    assert (second.status_code, second.json()["code"]) == (409, "request_in_progress")
    assert second.headers["retry-after"]
    assert post(server_over).json()["job_id"] == job_id


def test_twenty_at_once_make_one_job(server_over: Server) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: post(server_over), range(20)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.json()["job_id"] for answer in answers if answer.status_code == 200}) == 1
    assert len(list(server_over.folder.iterdir())) == 1


def test_what_a_server_that_died_left_under_a_key_is_in_nobodys_way(server_over: Server, desk: Desk) -> None:
    left = desk.storage.create(keyed_job_id("k1"), "audio.wav")
    left.write([memoryview(b"half")])
    answer = post(server_over)
    assert (answer.status_code, answer.json()["job_id"]) == (200, keyed_job_id("k1"))
    assert desk.storage.digest(keyed_job_id("k1"), "audio.wav")
    left.discard()


def test_a_deleted_job_frees_its_key(server_over: Server) -> None:
    job_id = post(server_over).json()["job_id"]
    assert httpx.delete(f"{server_over.url}/jobs/{job_id}").status_code == 204
    assert post(server_over, content=WAV + b"other").status_code == 200


def finished_before(server: Server, desk: Desk) -> str:
    """A job of WAV, finished as a worker would leave it."""
    job_id = str(post(server, None).json()["job_id"])
    desk.storage.put(job_id, TRANSCRIPT, HEARD.to_dict())
    options = desk.request(job_id).options
    reuse.remember(desk.redis, desk.storage.digest(job_id, "audio.wav"), options, job_id, 60)
    desk.queue.forget(job_id)
    return job_id


def test_a_recording_heard_before_is_answered_from_its_transcript_and_says_so(server_over: Server, desk: Desk) -> None:
    before = finished_before(server_over, desk)
    job_id = post(server_over, None, reuse="true").json()["job_id"]
    told = httpx.get(f"{server_over.url}/status/{job_id}").json()
    assert (told["status"], told["reused_from"], told["result"]["text"]) == ("finished", before, HEARD.text)
    assert job_id != before
    assert desk.queue.unfinished() == set()
    shutil.rmtree(desk.storage.root / before)
    assert httpx.get(f"{server_over.url}/status/{job_id}").json()["status"] == "finished"


@pytest.mark.parametrize("keep", ["true", "false"])
def test_a_recording_that_is_not_to_be_kept_goes_with_a_reused_transcript_too(
    server_over: Server, desk: Desk, keep: str
) -> None:
    finished_before(server_over, desk)
    job_id = post(server_over, None, reuse="true", keep_audio=keep).json()["job_id"]
    assert httpx.get(f"{server_over.url}/status/{job_id}").json()["status"] == "finished"
    assert desk.storage.has(job_id, "audio.wav") == (keep == "true")


@pytest.mark.parametrize("asked", [{}, {"reuse": "true", "language": "fr"}, {"reuse": "true", "content": WAV + b"x"}])
def test_anything_else_is_heard_anew(server_over: Server, desk: Desk, asked: dict[str, Any]) -> None:
    finished_before(server_over, desk)
    job_id = post(server_over, None, **asked).json()["job_id"]
    told = httpx.get(f"{server_over.url}/status/{job_id}").json()
    assert (told["status"], told["reused_from"]) == ("queued", None)


def test_a_transcript_that_was_deleted_is_not_reused(server_over: Server, desk: Desk) -> None:
    httpx.delete(f"{server_over.url}/jobs/{finished_before(server_over, desk)}")
    job_id = post(server_over, None, reuse="true").json()["job_id"]
    assert eventually(lambda: httpx.get(f"{server_over.url}/status/{job_id}").json()["status"] == "queued")


def test_uploads_must_leave_the_floor_of_free_space(serve: Serve, make_settings: MakeSettings) -> None:
    server = serve(min_free_mb=1 << 40)
    answer = post(server, None)
    assert (answer.status_code, answer.json()["code"]) == (507, "out_of_space")
    assert server.left() == []
