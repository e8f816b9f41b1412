"""Every way a request can fail: one class per cause."""

from collections.abc import Iterable
from typing import ClassVar


class ApiError(Exception):
    """The request could not be served."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, detail: str = "", errors: list[dict[str, str]] | None = None) -> None:
        super().__init__(detail or " ".join((type(self).__doc__ or "").split()))
        self.errors = errors


class NothingHere(ApiError):
    """There is nothing at this path; GET /docs lists what there is."""

    status, code = 404, "not_found"


class MethodNotAllowed(ApiError):
    """This path does not take that method; the header Allow says which it takes."""

    status, code = 405, "method_not_allowed"


class Unforeseen(ApiError):
    """Something went wrong in the server; its log has the details."""

    status, code = 500, "internal_server_error"


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


class UrlsNotFetched(ApiError):
    """This server fetches no recordings from URLs: upload the file, or have its operator set STENO_URL_FETCH=true."""

    status, code = 403, "url_fetch_disabled"


class RefusedUrl(ApiError):
    """The URL, or one to which it redirects, is wrong or leads to an address that this server does not call."""

    status, code = 422, "url_refused"


class FetchFailed(ApiError):
    """The recording could not be fetched; the message says what its host answered or failed to do."""

    status, code = 422, "fetch_failed"


class InvalidField(ApiError):
    """A field of the form or a parameter is missing or wrong."""

    status, code = 422, "invalid_field"
    is_tentative = False
    """Whether a field that is still to come may mend it."""


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


class BadTusHeader(ApiError):
    """A header of the tus protocol is missing or wrong."""

    status, code = 400, "bad_tus_header"


class FinalUpload(ApiError):
    """The upload was made of others, so nothing can be added to it."""

    status, code = 403, "final_upload"


class UploadNotFound(ApiError):
    """There is no such upload: the URL is wrong, or it was deleted or refused; create another."""

    status, code = 404, "upload_not_found"


class OffsetMismatch(ApiError):
    """Upload-Offset is not where the upload is; ask for that with HEAD and go on from there."""

    status, code = 409, "offset_mismatch"


class UploadExpired(ApiError):
    """The upload was left unfinished for too long; create another."""

    status, code = 410, "upload_expired"


class UnknownTusVersion(ApiError):
    """The header Tus-Resumable must name the version of the protocol that is spoken here, 1.0.0."""

    status, code = 412, "unknown_tus_version"
    headers = {"Tus-Version": "1.0.0"}  # noqa: RUF012 - a constant of the class, as in its base


class UploadTooLarge(ApiError):
    """The upload would be larger than this server accepts, or than its Upload-Length."""

    status, code = 413, "upload_too_large"


class NotOffsetStream(ApiError):
    """Bytes of an upload come with the Content-Type application/offset+octet-stream."""

    status, code = 415, "not_offset_stream"


class UploadLocked(ApiError):
    """Another request is at work on the upload; ask with HEAD in some seconds where it is."""

    status, code = 423, "upload_locked"
    headers = {"Retry-After": "2"}  # noqa: RUF012 - a constant of the class, as in its base


class ChecksumMismatch(ApiError):
    """The bytes are not those of which the client took the checksum; none of them was kept, so send them again."""

    status, code = 460, "checksum_mismatch"


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
    """The job queue (Redis) cannot be reached; send the request again in a moment. Nothing was kept of it, or its Idempotency-Key
    gives you its job."""

    status, code = 503, "queue_unavailable"
    headers = {"Retry-After": "5"}  # noqa: RUF012 - a constant of the class, as in its base


class StorageUnavailable(ApiError):
    """The folder of recordings (`UPLOAD_DIR`) cannot be written, so nothing was changed; the server's log says why."""

    status, code = 503, "storage_unavailable"
    headers = {"Retry-After": "60"}  # noqa: RUF012 - a constant of the class, as in its base


class OutOfSpace(ApiError):
    """The server has no disk space left for this upload; nothing was kept of it."""

    status, code = 507, "out_of_space"


class ModelNotFound(ApiError):
    """There is no such model here; `GET /v1/models` lists those there are."""

    status, code = 404, "model_not_found"


class QueueFull(ApiError):
    """More jobs wait already than this route is allowed to add to; nothing was read of this request, so send it again later."""

    status, code = 503, "queue_full"
    headers = {"Retry-After": "10"}  # noqa: RUF012 - a constant of the class, as in its base


class NoWorker(ApiError):
    """No running worker offers the engine, and this route does not wait for one; send the request again later."""

    status, code = 503, "no_worker"
    headers = {"Retry-After": "10"}  # noqa: RUF012 - a constant of the class, as in its base


class ServerStops(ApiError):
    """The server stops; send the request again in a moment. A job that it waited for was canceled."""

    status, code = 503, "server_stops"
    headers = {"Retry-After": "5"}  # noqa: RUF012 - a constant of the class, as in its base


class StillAtWork(ApiError):
    """The transcript took longer than this route waits; the job goes on, and `GET /status/{job_id}` has its result."""

    status, code = 504, "still_at_work"


API_ERRORS: tuple[type[ApiError], ...] = (
    UnsupportedFormat, NotAudio, FileTooLarge, EmptyFile, MalformedUpload, BadIdempotencyKey, UploadTooSlow, InvalidField,
    UrlsNotFetched, RefusedUrl, FetchFailed, KeyReused, RequestInProgress, BadTusHeader, FinalUpload, UploadNotFound,
    OffsetMismatch, UploadExpired, UnknownTusVersion, UploadTooLarge, NotOffsetStream, UploadLocked, ChecksumMismatch,
    NothingHere, MethodNotAllowed, Unforeseen,
    JobNotFound, FormatNotFound, NotAcceptable, NotFinished, JobFailed, JobCanceled, MoveRefused, NoCallback,
    NothingToDeliver, DeliveryUnderWay, ModelNotFound, QueueUnavailable, QueueFull, NoWorker, ServerStops,
    StorageUnavailable, StillAtWork, OutOfSpace,
)  # fmt: skip


def wrong_field(name: str, message: str) -> InvalidField:
    """The error of one field of a form."""
    return wrong_fields([(name, message)])


def wrong_fields(found: Iterable[tuple[str, str]]) -> InvalidField:
    """The error of fields of a form, or of parameters: each by name, with what is wrong."""
    faults = [{"field": name, "message": message.removeprefix("Value error, ")} for name, message in found]
    told = (f"{fault['field']}: {fault['message']}" for fault in faults)
    return InvalidField(" ".join(text if text[-1] in ".?" else f"{text};" for text in told).rstrip(";"), faults)
