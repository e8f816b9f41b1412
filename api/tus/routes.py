"""`/uploads`: the routes of tus 1.0.0."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from api import errors
from api.jobs import delete_job
from api.multipart import ClientDisconnect
from api.problems import problems
from api.state import state_of
from api.tus import headers, lifecycle
from api.tus.piece import uploading
from api.tus.record import Found
from steno.jobs.record import iso_time


class UploadView(BaseModel):
    """Where an upload is. Times are ISO 8601, UTC."""

    upload_id: str
    offset: int = Field(description="Bytes that are here.")
    length: int | None = Field(description="Bytes of the whole; null while the client has not told.")
    filename: str
    partial: bool = Field(description="Whether it is a piece that will be part of another upload.")
    job_id: str | None = Field(description="The job that the upload has become; null while bytes are missing.")
    expires_at: str | None = Field(description="When it is deleted if nothing comes until then; null for a job.")


class TusRoute(APIRoute):
    """A route that speaks the protocol: it looks at the client's version, heeds X-HTTP-Method-Override and names its own version.

    Its function takes the request and gives the response; FastAPI only describes it.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def handler(request: Request) -> Response:
            method = request.headers.get("x-http-method-override", request.method).upper()
            answer = _METHODS.get((self.path, method))
            if answer is None:
                raise HTTPException(405)
            if method not in ("OPTIONS", "GET") and request.headers.get("tus-resumable") != headers.VERSION:
                raise errors.UnknownTusVersion
            try:
                response: Response = await answer(request=request, **request.path_params)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody is there to read it
            response.headers["Tus-Resumable"] = headers.VERSION
            response.headers["Cache-Control"] = "no-store"
            return response

        return handler


router = APIRouter(prefix=headers.PREFIX, route_class=TusRoute, tags=["resumable uploads"])


def _described(*names: str, body: bool = False) -> dict[str, Any]:
    """The request's headers, and that its body is bytes, for the API's description."""
    parameters = [{"name": name, "in": "header", **_HEADERS[name]} for name in ("Tus-Resumable", *names)]
    content = {headers.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}
    return {"parameters": parameters, **({"requestBody": {"content": content}} if body else {})}


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", **more}}


_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "Tus-Resumable": {**_text("The version of the protocol.", enum=[headers.VERSION]), "required": True},
    "Upload-Length": _text("Bytes of the whole recording.", pattern="^[0-9]{1,18}$"),
    "Upload-Defer-Length": _text("In place of Upload-Length: it comes with a later PATCH.", enum=["1"]),
    "Upload-Offset": {**_text("Where the bytes belong: where the upload is.", pattern="^[0-9]{1,18}$"), "required": True},
    "Upload-Metadata": _text("`filename` and every field of `POST /transcribe`, each with its value in base64, comma separated."),
    "Upload-Checksum": _text("Of this request's bytes: sha1, sha256 or md5, a space, and the base64 of it."),
    "Upload-Concat": _text("`partial`; or `final;` and the URLs of partial uploads, separated by spaces."),
}  # fmt: skip
_RECEIVING: Final = (
    errors.BadTusHeader, errors.NotAudio, errors.EmptyFile, errors.UploadTooSlow, errors.UnknownTusVersion,
    errors.UploadTooLarge, errors.UploadLocked, errors.ChecksumMismatch, errors.QueueUnavailable, errors.OutOfSpace,
    errors.StorageUnavailable,
)  # fmt: skip


@router.options("", status_code=204, summary="What this server can do of tus")
@router.options("/", include_in_schema=False)
@router.options("/{upload_id}", include_in_schema=False)
async def ask_abilities(request: Request, upload_id: str = "") -> Response:
    """The version of the protocol, its extensions, the largest upload, the kinds of checksums, as headers."""
    return Response(status_code=204, headers=headers.abilities(state_of(request).settings))


@router.post("/", include_in_schema=False)  # not every client follows a redirect
@router.post(
    "",
    status_code=201,
    summary="Begin a resumable upload",
    openapi_extra=_described(
        "Upload-Length", "Upload-Defer-Length", "Upload-Metadata", "Upload-Concat", "Upload-Checksum", body=True
    ),
    responses=problems(
        *_RECEIVING, errors.UnsupportedFormat, errors.InvalidField, errors.UploadNotFound, errors.UploadExpired
    ),
)
async def create_upload(request: Request) -> Response:
    """Its URL is in `Location`. Options are checked now, before the recording is sent; the body may be its first bytes."""
    found = await lifecycle.create(request, state_of(request))
    location = {"Location": f"{headers.PREFIX}/{found.upload_id}"}
    return Response(status_code=201, headers={**location, **_where(found)})


@router.head(
    "/{upload_id}",
    summary="Ask where a resumable upload is",
    openapi_extra=_described(),
    responses=problems(
        errors.UploadNotFound, errors.UploadExpired, errors.UnknownTusVersion, errors.UploadLocked, errors.NotAudio
    ),
)
async def ask_offset(request: Request, upload_id: str) -> Response:
    """To go on from `Upload-Offset`. Another request that is at work on the upload, but hears nothing of its client, is ended."""
    found = await lifecycle.settle(state_of(request), upload_id)
    record = found.record
    told = {
        "Upload-Length": None if record.length is None else str(record.length),
        "Upload-Defer-Length": "1" if record.length is None else None,
        "Upload-Metadata": record.metadata,
        "Upload-Concat": record.concat,
    }
    return Response(headers={**_where(found), **{name: value for name, value in told.items() if value is not None}})


@router.post("/{upload_id}", include_in_schema=False)  # for clients that can only POST, with X-HTTP-Method-Override
@router.patch(
    "/{upload_id}",
    status_code=204,
    summary="Send the next bytes of a resumable upload",
    openapi_extra=_described("Upload-Offset", "Upload-Length", "Upload-Checksum", body=True),
    responses=problems(
        *_RECEIVING, errors.FinalUpload, errors.UploadNotFound, errors.OffsetMismatch, errors.UploadExpired,
        errors.NotOffsetStream,
    ),
)  # fmt: skip
async def send_bytes(request: Request, upload_id: str) -> Response:
    """As many as you like. The answer to the last ones names the job in `Steno-Job-Id`."""
    found = await lifecycle.advance(request, state_of(request), upload_id)
    return Response(status_code=204, headers=_where(found))


@router.get(
    "/{upload_id}",
    response_model=UploadView,
    summary="Look at a resumable upload",
    responses=problems(errors.UploadNotFound, errors.UploadExpired),
)
async def look_at_upload(request: Request, upload_id: str) -> Response:
    """For people and programs that watch: nothing is ended or made a job by it, and no lock is in its way."""
    found = await lifecycle.look_up(state_of(request), upload_id)
    view = UploadView(
        upload_id=upload_id,
        offset=found.size,
        length=found.record.length,
        filename=found.record.filename,
        partial=found.record.is_partial,
        job_id=upload_id if found.is_job else None,
        expires_at=None if found.is_job else iso_time(found.expires_at),
    )
    return JSONResponse(view.model_dump())


@router.delete(
    "/{upload_id}",
    status_code=204,
    summary="Delete a resumable upload",
    openapi_extra=_described(),
    responses=problems(
        errors.UploadNotFound, errors.MoveRefused, errors.UploadExpired, errors.UnknownTusVersion, errors.UploadLocked,
        errors.QueueUnavailable,
    ),
)  # fmt: skip
async def delete_upload(request: Request, upload_id: str) -> Response:
    """With every byte of it; one that has become a job, with the job."""
    state = state_of(request)
    found = await lifecycle.look_up(state, upload_id)
    if not found.is_job:
        async with uploading(state, upload_id):
            found = await lifecycle.look_up(state, upload_id)
            if not found.is_job:
                await asyncio.to_thread(state.storage.delete, upload_id)
                return Response(status_code=204)
    return await delete_job(upload_id, state)


_METHODS: Final[dict[tuple[str, str], Callable[..., Awaitable[Response]]]] = {
    ("/uploads", "POST"): create_upload,
    ("/uploads/", "POST"): create_upload,
    ("/uploads", "OPTIONS"): ask_abilities,
    ("/uploads/", "OPTIONS"): ask_abilities,
    ("/uploads/{upload_id}", "HEAD"): ask_offset,
    ("/uploads/{upload_id}", "PATCH"): send_bytes,
    ("/uploads/{upload_id}", "GET"): look_at_upload,
    ("/uploads/{upload_id}", "DELETE"): delete_upload,
    ("/uploads/{upload_id}", "OPTIONS"): ask_abilities,
}
"""What each method does, whether it is the request's own or named in its header."""


def _where(found: Found) -> dict[str, str]:
    offset = {"Upload-Offset": str(found.size)}
    if found.is_job:
        return {**offset, headers.JOB_HEADER: found.upload_id}
    return {**offset, "Upload-Expires": headers.expires(found.expires_at)}
