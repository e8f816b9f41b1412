"""Every way a request can fail: one class per cause, and the one handler that answers with it."""

from http import HTTPStatus
from typing import Any, ClassVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException

from api.models import Problem
from steno.storage import StorageFull


class ApiError(Exception):
    """The request could not be served."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, detail: str = "", errors: list[dict[str, str]] | None = None) -> None:
        super().__init__(detail or " ".join((type(self).__doc__ or "").split()))
        self.errors = errors


class UnsupportedFormat(ApiError):
    """The file's extension is not among the formats accepted here."""

    status, code = 400, "unsupported_format"


class NotAudio(ApiError):
    """The file's content is recognisably something else (a PDF, an archive, a picture), whatever its name says."""

    status, code = 400, "not_audio"


class FileTooLarge(ApiError):
    """The file is larger than this server accepts."""

    status, code = 400, "file_too_large"


class EmptyFile(ApiError):
    """The file is empty."""

    status, code = 400, "empty_file"


class MalformedUpload(ApiError):
    """The multipart body is malformed or ends too early; send the form again."""

    status, code = 400, "malformed_upload"


class UploadTooSlow(ApiError):
    """The upload paused or took too long; send it again."""

    status, code = 408, "upload_too_slow"


class InvalidField(ApiError):
    """A field of the form or a parameter is missing or wrong."""

    status, code = 422, "invalid_field"


class BadIdempotencyKey(ApiError):
    """The Idempotency-Key header is empty, longer than 255 characters, or not plain ASCII."""

    status, code = 400, "bad_idempotency_key"


class RequestInProgress(ApiError):
    """A request with the same Idempotency-Key is still under way; ask again in some seconds."""

    status, code = 409, "request_in_progress"
    headers = {"Retry-After": "5"}  # noqa: RUF012 - a constant of the class, as in its base


class KeyReused(ApiError):
    """The Idempotency-Key was used before, with another recording or other fields; use a new one for a new request."""

    status, code = 422, "idempotency_key_reused"


class JobNotFound(ApiError):
    """There is no such job: the id is wrong, or the job was deleted when its retention ended."""

    status, code = 404, "job_not_found"


class FormatNotFound(ApiError):
    """Transcripts are not written in that format."""

    status, code = 404, "format_not_found"


class NotAcceptable(ApiError):
    """Transcripts are not written in any of the media types that the Accept header allows."""

    status, code = 406, "not_acceptable"


class NotFinished(ApiError):
    """The job has no transcript yet."""

    status, code = 409, "not_finished"


class JobFailed(ApiError):
    """The job failed, so there is no transcript and there will be none; its status says why."""

    status, code = 409, "job_failed"


class JobCanceled(ApiError):
    """The job was canceled, so there is no transcript; `POST /jobs/{job_id}/retry` queues it again."""

    status, code = 409, "job_canceled"


class MoveRefused(ApiError):
    """The job is in a state in which that cannot be done, or is just changing."""

    status, code = 409, "move_refused"


class NoCallback(ApiError):
    """The job was submitted without a callback_url, so nobody is told of it."""

    status, code = 404, "no_callback"


class NothingToDeliver(ApiError):
    """There is nothing to tell the callback URL yet; ask again when the job is over."""

    status, code = 409, "nothing_to_deliver"


class DeliveryUnderWay(ApiError):
    """The callback URL is being told at this moment; look at the deliveries in half a minute."""

    status, code = 409, "delivery_under_way"


class QueueUnavailable(ApiError):
    """The job queue (Redis) cannot be reached; nothing was kept of this request, so send it again in a moment."""

    status, code = 503, "queue_unavailable"
    headers = {"Retry-After": "5"}  # noqa: RUF012 - a constant of the class, as in its base


class OutOfSpace(ApiError):
    """The server has no disk space left for this upload; nothing was kept of it."""

    status, code = 507, "out_of_space"


API_ERRORS: tuple[type[ApiError], ...] = (
    UnsupportedFormat, NotAudio, FileTooLarge, EmptyFile, MalformedUpload, BadIdempotencyKey, UploadTooSlow, InvalidField,
    KeyReused, RequestInProgress, JobNotFound, FormatNotFound, NotAcceptable, NotFinished, JobFailed, JobCanceled,
    MoveRefused, NoCallback, NothingToDeliver, DeliveryUnderWay, QueueUnavailable, OutOfSpace,
)  # fmt: skip


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


def _answer(error: ApiError) -> JSONResponse:
    problem = Problem(
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=str(error),
        code=error.code,
        errors=error.errors,
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True),
        status_code=error.status,
        headers=error.headers,
        media_type="application/problem+json",
    )


def install_error_handlers(app: FastAPI) -> None:
    """Answer every foreseen error as a problem; what is not foreseen stays a 500 with its traceback in the log."""

    @app.exception_handler(ApiError)
    async def api_error(request: Request, error: ApiError) -> Response:
        return _answer(error)

    @app.exception_handler(RedisError)
    async def redis_error(request: Request, error: RedisError) -> Response:
        asked = "The job queue (Redis) cannot be reached; accepted jobs are safe, so ask again in a moment."
        return _answer(QueueUnavailable(asked if request.method == "GET" else ""))

    @app.exception_handler(StorageFull)
    async def storage_full(request: Request, error: StorageFull) -> Response:
        return _answer(OutOfSpace())

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        fields = [{"field": str(e["loc"][-1]), "message": str(e["msg"])} for e in error.errors()]
        said = "; ".join(f"{field['field']}: {field['message']}" for field in fields)
        return _answer(InvalidField(said, fields))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        problem = Problem(
            title=HTTPStatus(error.status_code).phrase,
            status=error.status_code,
            detail=str(error.detail),
            code=HTTPStatus(error.status_code).phrase.lower().replace(" ", "_"),
        )
        return JSONResponse(
            problem.model_dump(exclude_none=True),
            status_code=error.status_code,
            headers=error.headers,
            media_type="application/problem+json",
        )
