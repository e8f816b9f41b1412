"""A callback URL, from the upload to a receiver that checks the signature with a library that nobody here wrote."""

import json
from typing import Any

import httpx
import openai
import pytest
from redis import Redis
from typer.testing import CliRunner

from conftest import DATA
from steno.cli import app
from steno.jobs.queue import UNFINISHED
from steno.serve import Stack
from steno.webhooks.due import DUE, HELD
from tests.processes import eventually
from tests.receivers import Receiver, receiving, says


def submit(http: httpx.Client, name: str, content: bytes | None = None, **fields: str) -> str:
    data = (DATA / name).read_bytes() if content is None else content
    answer = http.post("/transcribe", data={"engine": "faster-whisper", **fields}, files={"file": (name, data)})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["job_id"])


def heard(receiver: Receiver, stack: Stack) -> dict[str, Any]:
    """The one message that came, its signature verified."""
    assert eventually(lambda: receiver.heard)
    (message,) = receiver.heard
    secret = stack.webhook_secret_file.read_text().strip()
    openai.OpenAI(api_key="none").webhooks.verify_signature(message.body, message.headers, secret=secret)
    told: dict[str, Any] = json.loads(message.body)
    return told


def test_a_finished_job_calls_back_signed(http: httpx.Client, stack: Stack) -> None:
    with receiving(says(204)) as receiver:
        job_id = submit(http, "exact-fr-5.flac", callback_url=receiver.url(), labels="a,b", metadata='{"case": "7"}')
        told, port = heard(receiver, stack), receiver.port
    assert (told["type"], told["data"]["job_id"], told["data"]["status"]) == (
        "transcription.completed",
        job_id,
        "finished",
    )
    assert (told["data"]["labels"], told["data"]["metadata"]) == (["a", "b"], {"case": "7"})
    assert stack.redis
    with Redis.from_url(stack.redis.url) as redis:  # the courier lets go of a job after it has written what it did
        assert eventually(lambda: redis.zscore(DUE, job_id) is None and redis.zscore(HELD, job_id) is None)
    (event,) = http.get(f"/jobs/{job_id}/deliveries").json()["events"]
    assert event["state"] == "delivered"
    with receiving(says(204), port=port) as receiver:
        again = CliRunner().invoke(app, ["jobs", "deliveries", job_id, "--again", "--server", stack.url])
        assert (again.exit_code, event["id"] in again.output, "answered 204" in again.output) == (0, True, True)
        assert eventually(lambda: receiver.heard)
    assert receiver.ids == [event["id"]]


def test_a_failed_job_and_one_that_was_reused_call_back_too(http: httpx.Client, stack: Stack) -> None:
    with receiving(says(200)) as receiver:
        submit(http, "a.wav", b"RIFF" + bytes(100), callback_url=receiver.url())
        told = heard(receiver, stack)
    assert (told["type"], told["data"]["error_code"]) == ("transcription.failed", "audio_unreadable")
    first = submit(http, "exact-de-6.wav")
    assert stack.redis
    with Redis.from_url(stack.redis.url) as redis:  # a job is settled once it can be used again
        assert eventually(lambda: not redis.sismember(UNFINISHED, first))
    with receiving(says(200)) as receiver:
        submit(http, "exact-de-6.wav", callback_url=receiver.url(), reuse="true")
        assert heard(receiver, stack)["data"]["reused_from"] == first


@pytest.mark.parametrize(
    "url", ["ftp://example.org/", "http://10.0.0.1/", "http://u:p@example.org/", "x", "http://[::1]/"]
)
def test_a_url_that_must_not_be_called_is_refused_with_the_upload(http: httpx.Client, url: str) -> None:
    form = {"engine": "faster-whisper", "callback_url": url}
    answer = http.post("/transcribe", data=form, files={"file": ("a.wav", b"RIFF" + bytes(100))})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "callback_url")
