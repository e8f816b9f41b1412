"""Every error is one problem, of one shape, with one code."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from redis.exceptions import RedisError

from api.errors import API_ERRORS, ApiError
from api.models import Problem
from api.problems import phrase_of, problems
from api.tests.server import app_over
from steno.config import Settings
from steno.storage import StorageFull

by_name = pytest.mark.parametrize("error", API_ERRORS, ids=lambda error: error.__name__)


def answer_to(settings: Settings, error: Exception) -> tuple[int, dict[str, str], Problem]:
    """What the app says when a route raises this."""
    app: FastAPI = app_over(settings)

    @app.get("/raise")
    async def fail() -> None:
        raise error

    with TestClient(app) as client:
        answer = client.get("/raise")
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, dict(answer.headers), Problem.model_validate(answer.json())


@by_name
def test_an_error_is_answered_as_a_problem(settings: Settings, error: type[ApiError]) -> None:
    status, headers, told = answer_to(settings, error())
    assert (status, told.status, told.code) == (error.status, error.status, error.code)
    assert (told.type, told.title, told.errors) == ("about:blank", phrase_of(status), None)
    assert error.headers.items() <= {(name.title(), value) for name, value in headers.items()}


@by_name
def test_the_docstring_is_the_default_message(error: type[ApiError]) -> None:
    said = str(error())
    assert said == " ".join((error.__doc__ or "").split())
    assert said.endswith(".")
    assert str(error("Something else.")) == "Something else."


def test_codes_are_unique() -> None:
    assert len({error.code for error in API_ERRORS}) == len(API_ERRORS)
    assert set(API_ERRORS) == set(ApiError.__subclasses__())


def test_fields_at_fault_are_named(settings: Settings) -> None:
    fault = {"field": "engine", "message": "Field required"}
    assert answer_to(settings, ApiError("Wrong.", [fault]))[2].errors == [fault]


@pytest.mark.parametrize(
    ("error", "code"), [(RedisError("x"), "queue_unavailable"), (StorageFull("x"), "out_of_space")]
)
def test_errors_from_below_are_answered_as_ours(settings: Settings, error: Exception, code: str) -> None:
    assert answer_to(settings, error)[2].code == code


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", "/nothing", "There is nothing at this path; GET /docs lists what there is."),
        ("PUT", "/jobs", "This path does not take that method; the header Allow says which it takes."),
        ("GET", "/jobs?cursor=x", "cursor: give the next_cursor of the page before, as it was"),
    ],
)
def test_what_the_framework_refuses_is_said_in_a_sentence(
    client: TestClient, method: str, path: str, said: str
) -> None:
    assert client.request(method, path).json()["detail"] == said


def test_a_parameter_of_the_wrong_type_is_a_problem(settings: Settings) -> None:
    app = app_over(settings)

    @app.get("/count")
    async def count(number: int) -> None: ...

    with TestClient(app) as client:
        answer = client.get("/count?number=many")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
    assert answer.json()["errors"][0]["field"] == "number"


def test_an_unknown_route_is_a_problem(client: TestClient) -> None:
    answer = client.get("/nowhere")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert Problem.model_validate(answer.json()).code == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/transcribe", "POST"),
        ("DELETE", "/status/x", "GET"),
        ("POST", "/health", "GET, HEAD"),
        ("PUT", "/jobs/x/deliveries", "GET, POST"),
    ],
)
def test_a_wrong_method_is_a_problem(client: TestClient, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
    assert Problem.model_validate(answer.json()).code == "method_not_allowed"
    assert answer.headers["allow"] == allowed


def test_documented_problems_of_one_status_are_told_together() -> None:
    documented = problems(*API_ERRORS)
    assert set(documented) == {error.status for error in API_ERRORS}
    for error in API_ERRORS:
        assert str(error()) in documented[error.status]["description"]
