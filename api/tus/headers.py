"""The headers of tus 1.0.0: what may be in them, and what they say."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final
from urllib.parse import urlsplit

from fastapi import Response
from starlette.datastructures import Headers

from api.errors import BadTusHeader
from api.models import Problem
from api.problems import write_problem
from steno.config import Settings
from steno.storage import is_job_id

PREFIX: Final = "/uploads"
VERSION: Final = "1.0.0"
MEDIA_TYPE: Final = "application/offset+octet-stream"
EXTENSIONS: Final = (
    "creation", "creation-with-upload", "creation-defer-length", "expiration", "checksum", "termination", "concatenation",
)  # fmt: skip
CHECKSUMS: Final = ("sha1", "sha256", "md5")
JOB_HEADER: Final = "Steno-Job-Id"
"""In every answer about an upload that has become a job."""

_NATURAL: Final = re.compile(r"[0-9]{1,18}")
_KEY: Final = re.compile(r"[!-+\--~]+")
"""Printable ASCII without space and comma."""


@dataclass(frozen=True)
class Checksum:
    """What a client says of the bytes it sends; `algorithm` is one of CHECKSUMS."""

    algorithm: str
    digest: bytes


def abilities(settings: Settings) -> dict[str, str]:
    """What this server can do, for the answer to OPTIONS."""
    return {
        "Tus-Resumable": VERSION,
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Max-Size": str(settings.max_file_size),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
    }


def write_tus_problem(settings: Settings, problem: Problem, headers: Mapping[str, str]) -> Response:
    """The shape of errors below /uploads: that of the native routes, with what the protocol wants in every answer."""
    more = {"Tus-Max-Size": str(settings.max_file_size)} if problem.status == 413 else {}
    return write_problem(problem, {**headers, **more, "Tus-Resumable": VERSION, "Cache-Control": "no-store"})


def brings_bytes(headers: Headers) -> bool:
    """Whether the body is a piece of an upload."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == MEDIA_TYPE


def natural(headers: Headers, name: str) -> int | None:
    """A number of bytes; None where there is no such header. Raises BadTusHeader."""
    given = headers.get(name)
    if given is None:
        return None
    if not _NATURAL.fullmatch(given):
        raise BadTusHeader(f"{name} must be a number of bytes.")
    return int(given)


def is_deferred(headers: Headers) -> bool:
    """Whether the length comes later. Raises BadTusHeader."""
    given = headers.get("upload-defer-length")
    if given not in (None, "1"):
        raise BadTusHeader("Upload-Defer-Length can be 1 only; leave it out where the length is known.")
    return given is not None


def metadata(headers: Headers) -> dict[str, str]:
    """The pairs of Upload-Metadata, decoded. Raises BadTusHeader."""
    pairs: dict[str, str] = {}
    for pair in headers.get("upload-metadata", "").split(","):
        key, _, value = pair.strip().partition(" ")
        if not key:
            continue
        if not _KEY.fullmatch(key) or key in pairs:
            raise BadTusHeader(f"Upload-Metadata: '{key[:40]}' comes twice, or is not plain ASCII.")
        pairs[key] = _decoded(value.strip(), f"Upload-Metadata: the value of '{key[:40]}'").decode("utf-8", "replace")
    return pairs


def checksum(headers: Headers) -> Checksum | None:
    """None where the client sent none. Raises BadTusHeader."""
    given = headers.get("upload-checksum")
    if given is None:
        return None
    algorithm, _, value = given.strip().partition(" ")
    if algorithm not in CHECKSUMS:
        raise BadTusHeader(f"Upload-Checksum: use one of {', '.join(CHECKSUMS)}.")
    digest = _decoded(value.strip(), "Upload-Checksum: the checksum")
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise BadTusHeader(f"Upload-Checksum: this is no {algorithm}.")
    return Checksum(algorithm, digest)


def parts(headers: Headers) -> list[str] | None:
    """The ids of the uploads that a final one is made of; None where it is no final one. Raises BadTusHeader."""
    given = headers.get("upload-concat")
    if given in (None, "partial"):
        return None
    kind, _, urls = (given or "").partition(";")
    ids = [_upload_id(url) for url in urls.split()]
    if kind != "final" or not ids:
        raise BadTusHeader("Upload-Concat must be 'partial', or 'final;' and the URLs of partial uploads.")
    return ids


def expires(moment: float) -> str:
    """A moment, in seconds since 1970, as Upload-Expires has it."""
    return formatdate(moment, usegmt=True)


def _upload_id(url: str) -> str:
    """The last part of a URL or path, if the one before it is ours."""
    try:
        *_, place, upload_id = ["", *urlsplit(url).path.split("/")]
    except ValueError:
        place, upload_id = "", ""
    if f"/{place}" != PREFIX or not is_job_id(upload_id):
        raise BadTusHeader(f"Upload-Concat: '{url[:100]}' is not the URL of an upload.")
    return upload_id


def _decoded(value: str, what: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise BadTusHeader(f"{what} is not base64.") from error
