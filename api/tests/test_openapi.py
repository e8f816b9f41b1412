"""The API's own description agrees with what it does."""

from typing import Any, get_args

import pytest
from fastapi.testclient import TestClient

from api.models import EngineName, HandlingRequest, UrlRequest
from steno.engines import ENGINES
from steno.jobs.options import Options

ROUTES = {
    ("post", "/transcribe"): {"200", "400", "403", "408", "409", "422", "503", "507"},
    ("get", "/status/{job_id}"): {"200", "404", "422", "503"},
    ("get", "/health"): {"200"},
    ("get", "/jobs"): {"200", "422", "503"},
    ("post", "/jobs/{job_id}/cancel"): {"200", "404", "409", "503"},
    ("post", "/jobs/{job_id}/retry"): {"200", "404", "409", "503", "507"},
    ("delete", "/jobs/{job_id}"): {"204", "404", "409", "503"},
    ("get", "/ready"): {"200", "503"},
}


@pytest.fixture
def told(client: TestClient) -> dict[str, Any]:
    description: dict[str, Any] = client.get("/openapi.json").json()
    return description


def form_of(told: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = told["paths"]["/transcribe"]["post"]["requestBody"]
    assert body["required"]
    assert list(body["content"]) == ["multipart/form-data"]
    schema: dict[str, Any] = body["content"]["multipart/form-data"]["schema"]
    return schema


def test_the_form_needs_an_engine_and_a_binary_file_or_a_url(told: dict[str, Any]) -> None:
    form = form_of(told)
    assert form["required"] == ["engine"]
    assert form["oneOf"] == [{"required": ["file"]}, {"required": ["url"]}]
    asked = set(Options.__dataclass_fields__) - {"language_only"}
    assert set(form["properties"]) == {"file", *UrlRequest.model_fields, *asked, *HandlingRequest.model_fields}
    assert (form["properties"]["file"]["type"], form["properties"]["file"]["format"]) == ("string", "binary")


def test_the_engines_of_the_form_are_all_there_are(told: dict[str, Any]) -> None:
    assert form_of(told)["properties"]["engine"]["enum"] == list(ENGINES) == list(get_args(EngineName))


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_status_is_documented(told: dict[str, Any], method: str, path: str) -> None:
    assert ROUTES[method, path] <= set(told["paths"][path][method]["responses"])


def test_every_status_of_the_transcript_route_is_documented(told: dict[str, Any]) -> None:
    responses = told["paths"]["/jobs/{job_id}/transcript.{format}"]["get"]["responses"]
    assert {"200", "404", "409", "503"} <= set(responses)


def test_problems_are_documented_under_their_own_media_type(told: dict[str, Any]) -> None:
    for method, path in (("post", "/transcribe"), ("get", "/status/{job_id}")):
        for status in ROUTES[method, path] - {"200"}:
            response = told["paths"][path][method]["responses"][status]
            assert list(response["content"]) == ["application/problem+json"], (path, status)


def test_events_and_waiting_are_documented_with_their_parameters(told: dict[str, Any]) -> None:
    events = told["paths"]["/jobs/{job_id}/events"]["get"]
    assert {"200", "204", "404", "503"} <= set(events["responses"])
    assert list(events["responses"]["200"]["content"]) == ["text/event-stream"]
    assert {(each["name"], each["in"]) for each in events["parameters"]} == {
        ("job_id", "path"),
        ("Last-Event-ID", "header"),
        ("last_event_id", "query"),
    }
    (wait,) = [each for each in told["paths"]["/status/{job_id}"]["get"]["parameters"] if each["name"] == "wait"]
    assert (wait["schema"]["minimum"], wait["schema"]["maximum"]) == (0, 60)


def test_every_format_of_a_transcript_is_documented(told: dict[str, Any]) -> None:
    content = told["paths"]["/jobs/{job_id}/transcript.{format}"]["get"]["responses"]["200"]["content"]
    assert {"application/json", "text/plain", "application/x-subrip", "text/vtt", "text/tab-separated-values"} <= set(
        content
    )


def test_a_status_is_described_as_the_specification_has_it(told: dict[str, Any]) -> None:
    status = told["components"]["schemas"]["JobStatus"]["properties"]
    assert {"job_id", "status", "result", "error"} <= set(status)
    assert status["status"]["enum"] == ["queued", "started", "finished", "failed", "canceled"]


def test_the_description_can_be_read_by_a_person(client: TestClient) -> None:
    answer = client.get("/docs")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
