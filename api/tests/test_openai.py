"""The /v1 routes: waiting, refusing and letting go, with jobs that a test moves by hand."""

import json
import threading
import time
from http.client import HTTPConnection
from typing import Any, Final

import openai
import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient
from openai import OpenAI
from redis import Redis
from rq.job import JobStatus

from api.openai.envelope import Fault
from api.tests.asked import Asked, assert_hanging_up_cancels
from api.tests.conftest import Serve
from api.tests.desk import HEARD, Desk
from api.tests.listener import ears
from api.tests.server import Server, app_over, eventually, running
from api.tests.wire import KIB, MIB, MULTIPART, Answer, field, form, head, recording
from steno.config import Settings
from steno.jobs import news, steer
from steno.jobs.record import outcome
from steno.redis_server import RedisServer
from steno.transcript import Segment

PATH: Final = "/v1/audio/transcriptions"
MODEL: Final = field("model", "whisper-1")


def request(*parts: bytes, path: str = PATH) -> bytes:
    body = form(*(parts or (MODEL,)), recording())
    return head(len(body), path=path) + body


@pytest.fixture
def served(serve: Serve, desk: Desk) -> Server:
    """A server over the desk's folder and Redis, with a worker that never comes to its jobs."""
    desk.offer("whisperx", 60)
    return serve(openai_wait=20.0)


def error_of(answer: Answer, status: int, kind: str | None = None) -> dict[str, Any]:
    """The envelope, which has all its keys and no more."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json) == {"error"}
    told: dict[str, Any] = answer.json["error"]
    assert set(told) == {"message", "type", "param", "code"}
    assert told["type"] == (kind or ("server_error" if status >= 500 else "invalid_request_error"))
    return told


def test_the_answer_is_the_transcript_and_names_its_job(served: Server, desk: Desk) -> None:
    asked = Asked(served, desk, request())
    assert desk.request(asked.job_id).options.to_dict()["engine"] == "whisperx"
    desk.finishes(asked.job_id)
    answer = asked.answer()
    assert answer.json == {"text": HEARD.text, "usage": {"type": "duration", "seconds": 4.0}}
    assert answer.headers["x-request-id"] == asked.job_id
    assert eventually(lambda: not ears(desk.redis))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (field("timestamp_granularities[]", "word"), field("response_format", "verbose_json")),
        (field("response_format", "diarized_json"), field("channels", "separate")),
    ],
)
def test_the_file_may_stand_between_fields_that_belong_together(
    served: Server, desk: Desk, before: bytes, after: bytes
) -> None:
    desk.offer("faster-whisper", 60)
    body = form(field("model", "faster-whisper/small"), before, recording(), after)
    asked = Asked(served, desk, head(len(body), path=PATH) + body)
    desk.finishes(asked.job_id)
    assert asked.answer().status == 200


@pytest.mark.parametrize(("code", "status", "param"), [("audio_empty", 400, "file"), ("engine_died", 500, None)])
def test_a_job_that_fails_is_an_error(served: Server, desk: Desk, code: str, status: int, param: str | None) -> None:
    asked = Asked(served, desk, request())
    desk.fails(asked.job_id, code, "It went wrong.")
    told = error_of(asked.answer(), status)
    assert (told["message"], told["code"], told["param"]) == ("It went wrong.", code, param)
    assert asked.answer().headers.get("x-should-retry") == (None if status == 400 else "false")


def test_a_job_that_somebody_cancels_or_deletes_is_an_error(served: Server, desk: Desk) -> None:
    asked = Asked(served, desk, request())
    steer.cancel(desk.storage, desk.queue, asked.job_id)
    assert error_of(asked.answer(), 409)["code"] == "job_canceled"
    assert eventually(lambda: not ears(desk.redis))
    asked = Asked(served, desk, request())
    steer.delete(desk.storage, desk.queue, asked.job_id)
    assert error_of(asked.answer(), 404)["code"] == "job_not_found"


@pytest.mark.parametrize("stream", ["false", "true"])
def test_after_its_time_the_answer_names_the_job_which_goes_on(serve: Serve, desk: Desk, stream: str) -> None:
    desk.offer("whisperx", 60)
    answer = serve(openai_wait=0.3).send(request(MODEL, field("stream", stream)))
    told = error_of(answer, 504)
    job_id = answer.headers["x-request-id"]
    assert (told["code"], answer.headers["x-should-retry"]) == ("still_at_work", "false")
    assert f"/status/{job_id}" in told["message"]
    assert (desk.queue.unfinished(), outcome(desk.storage, job_id)) == ({job_id}, None)


@pytest.mark.parametrize("stream", ["false", "true"])
def test_where_redis_goes_away_meanwhile_the_answer_names_the_job(
    serve: Serve, mortal_redis: RedisServer, stream: str
) -> None:
    server = serve(redis_url=mortal_redis.url, openai_wait=3.0)
    desk = Desk(server.settings, Redis.from_url(mortal_redis.url))
    desk.offer("whisperx", 60)
    asked = Asked(server, desk, request(MODEL, field("stream", stream)))
    mortal_redis.stop()
    told = error_of(asked.answer(), 504)
    assert (told["code"], asked.answer().headers["x-should-retry"]) == ("still_at_work", "false")
    assert f"/status/{asked.job_id}" in told["message"]
    assert outcome(desk.storage, asked.job_id) is None
    assert desk.request(asked.job_id).filename


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("stream", ["false", "true"])
def test_who_hangs_up_cancels_the_job_unless_told_otherwise(serve: Serve, desk: Desk, keep: bool, stream: str) -> None:
    desk.offer("whisperx", 60)
    server = serve(openai_keep_abandoned=keep, openai_wait=20.0)
    assert_hanging_up_cancels(server, desk, request(MODEL, field("stream", stream)), keep)


def test_a_full_queue_is_refused_before_the_upload_is_read(serve: Serve, desk: Desk) -> None:
    desk.offer("whisperx", 60)
    server = serve(openai_queue=1)
    desk.queued("first")
    desk.queued("second", engine="timestamped", priority="low")
    with server.connect() as wire:
        wire.send(head(MIB, path=PATH) + b"x" * KIB)
        answer = wire.answer()
    assert error_of(answer, 429, "rate_limit_error")["code"] == "queue_full"
    assert answer.headers["retry-after"] == "10"
    assert desk.queue.unfinished() == {"first", "second"}


def test_without_a_worker_nothing_is_taken(serve: Serve, desk: Desk) -> None:
    server = serve()
    assert error_of(server.send(request()), 503)["code"] == "no_worker"
    assert server.get("/v1/models").json == {"object": "list", "data": []}
    assert error_of(server.get("/v1/models/whisper-1"), 404)["code"] == "model_not_found"
    desk.offer("pocketsphinx", 60)
    answer = serve().send(request(field("model", "faster-whisper/small")))
    told = error_of(answer, 503)
    assert (told["code"], answer.headers["retry-after"]) == ("no_worker", "10")
    assert "faster-whisper" in told["message"]
    assert eventually(server.nothing_left)


def test_without_redis_it_is_unavailable(offline_client: TestClient) -> None:
    answer = offline_client.post(PATH, files={"file": ("a.wav", b"RIFF")}, data={"model": "whisper-1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "queue_unavailable")


def test_too_large_is_413(serve: Serve, desk: Desk) -> None:
    desk.offer("whisperx", 60)
    server = serve(max_file_size=KIB)
    for body in (form(MODEL, recording(bytes(2 * KIB))), form(MODEL, recording(bytes(2 * MIB)))):
        told = error_of(server.send(head(len(body), path=PATH) + body), 413)
        assert (told["code"], told["param"]) == ("file_too_large", "file")
    assert eventually(server.nothing_left)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/nothing", 404), ("GET", PATH, 405)])
def test_errors_of_no_route_have_the_shape_under_this_prefix_alone(
    client: TestClient, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, set(answer.json())) == (status, {"error"})
    other = client.get("/v2/nothing")
    assert other.headers["content-type"] == "application/problem+json"


def test_what_was_not_foreseen_is_told_in_the_shape_of_the_door(settings: Settings) -> None:
    app = app_over(settings)

    @app.get("/v1/broken")
    @app.get("/broken")
    async def fail() -> None:
        raise ValueError("a secret")

    with TestClient(app, raise_server_exceptions=False) as client:
        inside, outside = client.get("/v1/broken"), client.get("/broken")
    assert (inside.status_code, inside.json()["error"]["type"]) == (500, "server_error")
    assert (outside.status_code, outside.json()["code"]) == (500, "internal_server_error")
    assert "secret" not in inside.text + outside.text


@pytest.mark.parametrize(
    ("status", "raised", "kind"),
    [
        (401, openai.AuthenticationError, "authentication_error"),
        (403, openai.PermissionDeniedError, "permission_error"),
    ],
)
def test_who_may_not_come_in_is_told_so_as_openais_client_expects(
    settings: Settings, status: int, raised: type[openai.APIStatusError], kind: str
) -> None:
    """Nobody is kept out yet; whoever keeps them out, a proxy or a later Steno, has the words for it."""
    app = app_over(settings)

    @app.get("/v1/closed")
    async def refuse() -> None:
        raise HTTPException(status, "Give a key.")

    with (
        running(settings, app=app) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
        pytest.raises(raised) as refused,
    ):
        client.get("/closed", cast_to=object)
    assert refused.value.type == kind


def test_a_missing_field_is_named(served: Server) -> None:
    told = error_of(served.send(request(field("language", "en"))), 400)
    assert (told["param"], told["code"]) == ("model", "invalid_field")
    body = form(MODEL)
    assert error_of(served.send(head(len(body), path=PATH) + body), 400)["param"] == "file"
    assert error_of(served.send(head(2, path=PATH, content_type="application/json") + b"{}"), 400)["param"] == "file"


def test_types_of_errors_are_those_that_clients_know() -> None:
    told = {status: Fault(status, "", "").body()["error"]["type"] for status in (401, 403, 429, 409, 503)}
    assert list(told.values()) == [
        "authentication_error", "permission_error", "rate_limit_error", "invalid_request_error", "server_error",
    ]  # fmt: skip


def test_what_is_asked_reaches_the_job(served: Server, desk: Desk) -> None:
    parts = [
        field("model", "gpt-4o-transcribe-diarize"), field("languages[]", "German"), field("prompt", "Grüße"),
        field("keywords", "Ann"), field("keywords", "Bob"), field("temperature", "0"), field("chunking_strategy", "auto"),
        field("response_format", "diarized_json"), field("stream", ""),
    ]  # fmt: skip
    asked = Asked(served, desk, request(*parts))
    options = desk.request(asked.job_id).options
    desk.finishes(asked.job_id)
    assert (options.engine, options.model, options.language, options.diarize) == ("whisperx", "small", "de", True)
    assert (options.prompt, options.hotwords, options.temperature) == ("Grüße", "Ann, Bob", None)
    told = asked.answer().json
    assert [each["speaker"] for each in told["segments"]] == ["unknown", "unknown"]


class Streamed:
    """A streamed answer, event by event."""

    def __init__(self, server: Server, *parts: bytes) -> None:
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
        body = form(MODEL, field("stream", "true"), *parts, recording())
        self._connection.request("POST", PATH, body, {"Content-Type": MULTIPART})

    def begin(self) -> None:
        """Returns once there is an answer; it has none before there is something to tell."""
        self._answer = self._connection.getresponse()
        assert self._answer.headers["content-type"].startswith("text/event-stream")

    def next(self) -> dict[str, Any] | None:
        """None at the end."""
        while line := self._answer.readline():
            if line.startswith(b"data: "):
                told: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
                return told
        self._connection.close()
        return None

    def rest(self) -> list[dict[str, Any]]:
        return list(iter(self.next, None))


def heard(desk: Desk, job_id: str, id: int, start: float, end: float, text: str) -> None:
    news.segment_heard(desk.redis, job_id, Segment(id, start, end, text))


@pytest.fixture
def streamed(served: Server, desk: Desk) -> tuple[Streamed, str]:
    """A stream that waits, and its job."""
    stream = Streamed(served)
    assert eventually(lambda: ears(desk.redis) == 1)
    (job_id,) = desk.queue.unfinished()
    return stream, job_id


def test_a_stream_goes_on_where_the_last_attempt_was(streamed: tuple[Streamed, str], desk: Desk) -> None:
    stream, job_id = streamed
    news.attempt_began(desk.redis, job_id, 1)
    heard(desk, job_id, 0, 0.5, 1.3, "Good morning.")
    stream.begin()
    assert stream.next() == {"type": "transcript.text.delta", "delta": "Good morning."}
    news.attempt_began(desk.redis, job_id, 2)
    heard(desk, job_id, 0, 0.48, 1.25, "Good mourning.")
    heard(desk, job_id, 1, 2.0, 3.5, "Tea & <cake>?")
    assert stream.next() == {"type": "transcript.text.delta", "delta": " Tea & <cake>?"}
    desk.finishes(job_id)
    (done,) = stream.rest()
    assert (done["type"], done["text"], done["usage"]["seconds"]) == ("transcript.text.done", HEARD.text, 4.0)


def test_what_a_stream_missed_comes_with_the_end(streamed: tuple[Streamed, str], desk: Desk) -> None:
    stream, job_id = streamed
    heard(desk, job_id, 0, 0.5, 1.25, "Good morning.")
    stream.begin()
    desk.redis.delete(news.stream_key(job_id))
    desk.finishes(job_id)
    *deltas, done = stream.rest()
    assert "".join(each["delta"] for each in deltas) == done["text"] == HEARD.text


def test_a_stream_that_fails_half_way_says_so_in_it(streamed: tuple[Streamed, str], desk: Desk) -> None:
    stream, job_id = streamed
    heard(desk, job_id, 0, 0.5, 1.25, "Good morning.")
    stream.begin()
    assert stream.next() is not None
    desk.fails(job_id, "engine_died", "It died.")
    (told,) = stream.rest()
    assert told == {"error": {"message": "It died.", "type": "server_error", "param": None, "code": "engine_died"}}


def test_a_silent_stream_shows_that_it_is_alive(served: Server, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.openai.stream.HEARTBEAT_SECONDS", 0.1)
    with served.connect() as wire:
        wire.send(request(MODEL, field("stream", "true")))
        assert b": still here" in wire.first_bytes(600)


def test_a_stream_of_which_only_progress_is_told_shows_that_it_is_alive(
    served: Server, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.openai.stream.HEARTBEAT_SECONDS", 0.2)
    over = threading.Event()

    def work() -> None:
        assert eventually(lambda: ears(desk.redis) == 1)
        (job_id,) = desk.queue.unfinished()
        desk.rq_says(job_id, JobStatus.STARTED)
        while not over.wait(0.05):
            desk.tells(job_id, progress=time.monotonic() % 1)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        with served.connect() as wire:
            wire.send(request(MODEL, field("stream", "true")))
            assert b": still here" in wire.first_bytes(600)
    finally:
        over.set()
        worker.join()


def test_speakers_are_told_with_the_end(served: Server, desk: Desk) -> None:
    stream = Streamed(served, field("response_format", "diarized_json"))
    assert eventually(lambda: ears(desk.redis) == 1)
    (job_id,) = desk.queue.unfinished()
    heard(desk, job_id, 0, 0.5, 1.25, "Good morning.")
    desk.finishes(job_id)
    stream.begin()
    told = stream.rest()
    kinds = ["transcript.text.delta", "transcript.text.segment"] * 2 + ["transcript.text.done"]
    assert [each["type"] for each in told] == kinds
    assert [each["segment_id"] for each in told[:4:2]] == [each["id"] for each in told[1:4:2]] == ["seg_001", "seg_002"]


def test_openais_client_reads_what_is_refused_before_its_upload_was(serve: Serve, desk: Desk) -> None:
    """It gets the answer, and not a broken connection, though it still has megabytes to send."""
    desk.offer("whisperx", 60)
    server = serve(max_file_size=KIB, openai_queue=0)
    with OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        with pytest.raises(openai.APIStatusError) as refused:
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", bytes(8 * MIB)))
        assert (refused.value.status_code, refused.value.code) == (413, "file_too_large")
        desk.queued()
        with pytest.raises(openai.RateLimitError) as full:
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", bytes(8 * MIB)))
        assert (full.value.type, full.value.code) == ("rate_limit_error", "queue_full")
