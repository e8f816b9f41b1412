"""Errors as OpenAI's clients expect them: `{"error": {"message", "type", "param", "code"}}`, under /v1 alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import Response
from fastapi.responses import JSONResponse

from api.errors import ApiError
from api.models import Problem
from api.problems import problem_of
from api.views import JobView
from steno.jobs.errors import is_clients_fault
from steno.jobs.record import Status

PREFIX: Final = "/v1/"
_TYPES: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_STATUSES: Final = {"invalid_field": 400, "file_too_large": 413, "queue_full": 429}
"""Where OpenAI's API says something else than the native routes do."""
_ABOUT_FILE: Final = ("unsupported_format", "not_audio", "file_too_large", "empty_file")
_FINAL: Final = {"x-should-retry": "false"}
"""Tells OpenAI's clients, which repeat most requests that fail, that this one would only make the same job once more."""


@dataclass(frozen=True)
class Fault:
    """What went wrong. `param` is the field at fault, where it was a field."""

    status: int
    message: str
    code: str
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        kind = "server_error" if self.status >= 500 else _TYPES.get(self.status, "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> Response:
        return JSONResponse(self.body(), self.status, dict(self.headers))


def write_envelope(problem: Problem, headers: Mapping[str, str]) -> Response:
    """The shape of the /v1 routes, for api/problems.py."""
    return _fault(problem, headers).response()


def fault_of(error: ApiError) -> Fault:
    """Of a request that could not be served."""
    return _fault(problem_of(error), error.headers)


def fault_of_job(view: JobView) -> Fault:
    """Of a job that is over and has no transcript. What was tried so often as makes sense is not to be sent again."""
    if view.fields["status"] == Status.CANCELED:
        return Fault(409, "The job was canceled before its transcript was made.", "job_canceled", headers=_FINAL)
    code, message = view.fields["error_code"], view.fields["error"]
    if is_clients_fault(code):
        return Fault(400, message, code, "file")
    return Fault(500, message, code, headers=_FINAL)


def _fault(problem: Problem, headers: Mapping[str, str]) -> Fault:
    param = problem.errors[0]["field"] if problem.errors else None
    if problem.code in _ABOUT_FILE:
        param = "file"
    final = _FINAL if problem.code == "still_at_work" else {}
    status = _STATUSES.get(problem.code, problem.status)
    return Fault(status, problem.detail, problem.code, param, {**headers, **final})


def envelopes(*errors: type[ApiError]) -> dict[int | str, dict[str, Any]]:
    """The answers a route documents for these errors, for its `responses`."""
    text, absent = {"type": "string"}, {"type": ["string", "null"]}
    error = {"type": "object", "properties": {"message": text, "type": text, "param": absent, "code": absent}}
    error["required"] = ["message", "type", "param", "code"]
    schema = {"type": "object", "properties": {"error": error}, "required": ["error"]}
    said: dict[int | str, list[str]] = {}
    for each in errors:
        said.setdefault(fault_of(each()).status, []).append(str(each()))
    content = {"application/json": {"schema": schema}}
    return {status: {"description": " Or: ".join(told), "content": content} for status, told in said.items()}
