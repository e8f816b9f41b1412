"""A recording that a client names by URL: fetched while its request waits, and taken in as an upload would be.

The URL and the header that goes with it live in this request's memory and nowhere else.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from email.message import Message
from typing import Final

import httpx
from fastapi import Request
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from api.errors import FetchFailed, NotAudio, ServerStops, UrlsNotFetched, wrong_field
from api.fetch import Source, answer_of, checked, media_type, pieces_of
from api.forms import invalid, last_values
from api.hold import unless, while_connected
from api.kinds import SNIFFED_BYTES, extension_of, likely_extensions
from api.models import UrlRequest
from api.news import hub_of
from api.room import refuse_announced
from api.state import State
from api.storage import FILE_OR_URL, Intake, Patience
from steno.config import Settings

_LONGEST_HEADER: Final = 2048
"""Of a Content-Disposition; taking a longer one apart would take long."""
_PAGE: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|\?xml)", re.IGNORECASE)
_EXTENSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "audio/mpeg": ("mp3", "mpga"),
    "audio/mp3": ("mp3",),
    "audio/wav": ("wav",),
    "audio/wave": ("wav",),
    "audio/x-wav": ("wav",),
    "audio/vnd.wave": ("wav",),
    "audio/mp4": ("m4a", "mp4"),
    "audio/m4a": ("m4a",),
    "audio/x-m4a": ("m4a",),
    "audio/aac": ("aac",),
    "audio/flac": ("flac",),
    "audio/x-flac": ("flac",),
    "audio/ogg": ("ogg", "oga", "opus"),
    "audio/opus": ("opus",),
    "application/ogg": ("ogg",),
    "audio/webm": ("webm",),
    "video/webm": ("webm",),
    "video/mp4": ("mp4", "m4v"),
    "video/mpeg": ("mpeg", "mpg"),
    "video/quicktime": ("mov",),
    "video/x-matroska": ("mkv",),
    "audio/x-matroska": ("mka", "mkv"),
}
"""Of media types; where a file's name says nothing that is accepted here."""


async def fetch_named(request: Request, state: State, intake: Intake) -> None:
    """Bring the recording that the form names by URL into the intake; nothing happens where it names none.

    Raises ApiErrors, StorageFull, and ClientDisconnect where the client hung up meanwhile: nobody would have the answer.
    """
    source = _source_in(state.settings, intake)
    if source is None:
        return
    intake.form.asked(state.settings, intake.fields)  # what is wrong with them is said before anything is fetched

    async def for_the_client() -> None:
        if not await while_connected(request.receive, _bring(state, source, intake)):
            raise ClientDisconnect

    if not await unless(hub_of(state).stopped(), for_the_client()):
        raise ServerStops("The server stops; nothing was kept of this request, so send it again in a moment.")


def _source_in(settings: Settings, intake: Intake) -> Source | None:
    """What the form says of a URL, taken out of its fields: nothing that reads them can store or show it."""
    given = last_values({name: intake.fields.pop(name, [""]) for name in UrlRequest.model_fields})
    try:
        asked = UrlRequest.model_validate(given)
    except ValidationError as error:
        raise invalid(error) from None
    if asked.url is None:
        if asked.url_authorization is not None:
            raise wrong_field("url_authorization", "Only together with url")
        return None
    if intake.upload is not None:
        raise wrong_field("url", FILE_OR_URL)
    if not settings.url_fetch:
        raise UrlsNotFetched
    return Source(str(checked(asked.url.strip(), settings.url_networks)), asked.url_authorization)


async def _bring(state: State, source: Source, intake: Intake) -> None:
    settings = state.settings
    idle, most = settings.upload_idle_limit, settings.upload_time_limit
    try:
        async with asyncio.timeout(None) as timer:
            patience = Patience(timer, idle, most)
            patience.renew()
            async with answer_of(state.outward, source, settings.url_networks) as response:
                await asyncio.to_thread(refuse_announced, response.headers, settings, state.storage)
                async with aclosing(pieces_of(response)) as pieces:
                    await _store(source, response, pieces, intake, patience)
    except TimeoutError as error:
        raise FetchFailed(
            f"The URL's host paused for {idle:g} s, or took longer than {most:g} s as a whole."
        ) from error


async def _store(
    source: Source, response: httpx.Response, pieces: AsyncGenerator[bytes], intake: Intake, patience: Patience
) -> None:
    head = bytearray()
    async for piece in pieces:
        patience.renew()
        head += piece
        if len(head) >= SNIFFED_BYTES:
            break
    if _PAGE.match(head):
        raise NotAudio("The URL leads to a page, not to a recording; perhaps one must log in there.")
    writer = await intake.begin(_name(source, response, bytes(head), intake.settings))
    writer.take(memoryview(bytes(head)))
    async for piece in pieces:
        patience.renew()
        writer.take(memoryview(piece))
        await writer.flush_if_due()
    await writer.finish()


def _name(source: Source, response: httpx.Response, head: bytes, settings: Settings) -> str:
    """The recording's name, with an extension that is accepted here if anything speaks for one."""
    names = list(_names(source, response))
    for name in names:
        if extension_of(name, settings):
            return name
    likely = [*_EXTENSIONS.get(media_type(response), ()), *likely_extensions(head)]
    fitting = [extension for extension in likely if extension in settings.allowed_formats] or likely
    return ".".join([names[0], *fitting[:1]])


def _names(source: Source, response: httpx.Response) -> Iterator[str]:
    """Its names, the best one first: as the host calls it, by the URL given, by the one redirected to. There is one at least."""
    for path in (_attached_name(response), httpx.URL(source.url).path, response.url.path, "recording"):
        if name := re.split(r"[/\\]", path)[-1].strip():
            yield name


def _attached_name(response: httpx.Response) -> str:
    """The name in the Content-Disposition; empty where there is none, or none that can be read: its host may write anything."""
    header = Message()
    header["content-disposition"] = response.headers.get("content-disposition", "")[:_LONGEST_HEADER]
    try:
        return header.get_filename("").encode("utf-8", "replace").decode()
    except (ValueError, LookupError):
        return ""
