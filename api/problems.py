"""How a request that failed is answered: RFC 9457 on the native routes, in its own shape at each other door."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from api.errors import (
    ApiError,
    ChecksumMismatch,
    MethodNotAllowed,
    NothingHere,
    OutOfSpace,
    QueueUnavailable,
    StorageUnavailable,
    Unforeseen,
    wrong_fields,
)
from api.models import Problem
from steno.storage import StorageFull, StorageUnusable

log = logging.getLogger(__name__)

_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def problems(*errors: type[ApiError]) -> dict[int | str, dict[str, Any]]:
    """The answers a route documents for these errors, for its `responses`."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        said = " ".join((error.__doc__ or "").split())
        earlier = by_status.get(error.status, {}).get("description")
        description = f"{earlier} Or: {said}" if earlier else said
        content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
        by_status[error.status] = {"description": description, "content": content}
    return by_status


Shape = Callable[[Problem, Mapping[str, str]], Response]
"""How a door writes an error, with these headers."""


def problem_of(error: ApiError) -> Problem:
    """What is told of it."""
    return Problem(
        title=phrase_of(error.status),
        status=error.status,
        detail=str(error),
        code=error.code,
        errors=error.errors,
    )


def phrase_of(status: int) -> str:
    """The name of an HTTP status; 460 is the tus protocol's own."""
    return "Checksum Mismatch" if status == ChecksumMismatch.status else HTTPStatus(status).phrase


def write_problem(problem: Problem, headers: Mapping[str, str]) -> Response:
    """The shape of the native routes: RFC 9457."""
    return JSONResponse(
        problem.model_dump(exclude_none=True),
        status_code=problem.status,
        headers=headers,
        media_type="application/problem+json",
    )


_PLAIN: Final[Mapping[int, type[ApiError]]] = {error.status: error for error in (NothingHere, MethodNotAllowed)}
"""What starlette says by the name of the status alone."""
_Meaning = Callable[[Request, Any], ApiError]
"""What an exception that came out of a route means to its client."""


def _redis_is_away(request: Request, error: RedisError) -> ApiError:
    asked = "The job queue (Redis) cannot be reached; accepted jobs are safe, so ask again in a moment."
    return QueueUnavailable(asked if request.method == "GET" else "")


def log_unusable(error: StorageUnusable) -> None:
    """Tell the operator what the client need not know."""
    log.error("Recordings cannot be stored: %s", error, extra={"action": "storage_unusable"})


def _storage_is_unusable(request: Request, error: StorageUnusable) -> ApiError:
    log_unusable(error)
    return StorageUnavailable()


def _field_is_wrong(request: Request, error: RequestValidationError) -> ApiError:
    return wrong_fields((str(fault["loc"][-1]), _message(fault)) for fault in error.errors())


def _message(error: Mapping[str, Any]) -> str:
    if error["loc"][-1] == "cursor":  # a pattern helps nobody
        return "give the next_cursor of the page before, as it was"
    if error["type"] == "extra_forbidden":
        return "there is no such parameter; GET /docs lists those that there are"
    return str(error["msg"])


_MEANINGS: Final[Mapping[type[Exception], _Meaning]] = {
    ApiError: lambda _, error: error,
    RedisError: _redis_is_away,
    StorageFull: lambda *_: OutOfSpace(),
    StorageUnusable: _storage_is_unusable,
    RequestValidationError: _field_is_wrong,
}


def install_error_handlers(app: FastAPI, shapes: Mapping[str, Shape]) -> None:
    """Answer every error, in the shape of the door by whose prefix (`/v1/`) its path begins; native ones are problems.

    What is not foreseen is a 500 that tells nothing, with its traceback in the log.
    """

    def answer(request: Request, problem: Problem, headers: Mapping[str, str]) -> Response:
        path = f"{request.url.path}/"
        shape = next((shape for prefix, shape in shapes.items() if path.startswith(prefix)), write_problem)
        return shape(problem, headers)

    def answer_as(meaning: _Meaning) -> Callable[[Request, Exception], Awaitable[Response]]:
        async def told(request: Request, error: Exception) -> Response:
            meant = meaning(request, error)
            return answer(request, problem_of(meant), meant.headers)

        return told

    for kind, meaning in _MEANINGS.items():
        app.add_exception_handler(kind, answer_as(meaning))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == 405:  # starlette names the methods of the first route alone
            headers["Allow"] = ", ".join(_methods_here(request))
        plain = _PLAIN.get(error.status_code) if error.detail == phrase_of(error.status_code) else None
        return answer(request, problem_of(plain()) if plain else _of_status(error), headers)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        return answer(request, problem_of(Unforeseen()), {})


def _methods_here(request: Request) -> list[str]:
    """The methods that some route takes at the request's path, without the one that was just refused."""
    scopes = {method: {**request.scope, "method": method} for method in _METHODS}
    routes = request.app.routes
    taken = [name for name, scope in scopes.items() if any(route.matches(scope)[0] is Match.FULL for route in routes)]
    return [name for name in taken if name != request.method]


def _of_status(error: HTTPException) -> Problem:
    phrase = phrase_of(error.status_code)
    code = phrase.lower().replace(" ", "_")
    return Problem(title=phrase, status=error.status_code, detail=str(error.detail), code=code)
