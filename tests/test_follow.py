"""A recording is followed while it is heard: worker, Redis, API and client for real."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import httpx
from redis import Redis

from conftest import DATA
from steno.client import Client
from steno.jobs.news import stream_key
from steno.serve import Stack
from tests.processes import eventually

HUMAN = DATA / "exact-en-1.wav"


def followed(http: httpx.Client, job_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Kind and data of every event until the job is over."""
    with http.stream("GET", f"/jobs/{job_id}/events") as answer:
        blocks = "\n".join(answer.iter_lines()).split("\n\n")
    fields = [dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":") for block in blocks]
    return [(each["event"], json.loads(each["data"])) for each in fields if "event" in each]


def test_what_is_streamed_is_what_is_stored(http: httpx.Client) -> None:
    with HUMAN.open("rb") as file:
        answer = http.post("/transcribe", files={"file": (HUMAN.name, file)}, data={"engine": "faster-whisper"})
    events = followed(http, answer.json()["job_id"])
    status = http.get(f"/status/{answer.json()['job_id']}").json()
    stored = status.pop("result")["segments"]
    heard = [data for kind, data in events if kind == "segment"]
    assert heard == [{name: segment[name] for name in ("id", "start", "end", "text", "speaker")} for segment in stored]
    assert [data for kind, data in events if kind == "attempt"] == [{"attempt": 1}]
    assert events[-1] == ("state", status)
    assert {data["stage"] for kind, data in events if kind == "state"} > {None}


def test_the_worker_tells_of_the_end_and_the_stream_is_soon_gone(http: httpx.Client, stack: Stack) -> None:
    with HUMAN.open("rb") as file:
        answer = http.post("/transcribe", files={"file": (HUMAN.name, file)}, data={"engine": "faster-whisper"})
    key = stream_key(answer.json()["job_id"])
    assert stack.redis is not None
    with Redis.from_url(stack.redis.url) as redis:
        assert eventually(lambda: 0 < redis.ttl(key) <= 600)
    assert http.get(f"/status/{answer.json()['job_id']}").json()["status"] == "finished"


def test_the_client_is_told_on_the_way_and_given_the_result(stack: Stack) -> None:
    client, told = Client(stack.url), list[dict[str, Any]]()
    try:
        job_id = client.submit(HUMAN, {"engine": "faster-whisper"})
        status = client.wait(job_id, told.append)
    finally:
        client.close()
    assert (status["status"], status["result"]["language"]) == ("finished", "en")
    assert "started" in [each["status"] for each in told]
    assert told[-1] == status


def test_the_client_polls_a_server_that_has_no_events() -> None:
    answers = iter(["queued", "started", "finished"])
    told: list[dict[str, Any]] = []

    def status(path: str) -> tuple[int, dict[str, Any]]:
        if path.endswith("/events"):
            return 404, {"detail": "Not Found"}
        return 200, {"job_id": "a", "status": next(answers)}

    with_server(status, lambda client: client.wait("a", told.append))
    assert [each["status"] for each in told] == ["queued", "started", "finished"]


def with_server(answer: Callable[[str], tuple[int, dict[str, Any]]], use: Callable[[Client], Any]) -> None:
    """Use a client of a server that answers so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *arguments: Any) -> None:
            """Not into the tests' output."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        client = Client(f"http://127.0.0.1:{server.server_port}")
        try:
            use(client)
        finally:
            client.close()
            server.shutdown()
            thread.join()
