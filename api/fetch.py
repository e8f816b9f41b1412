"""GET what a client named: redirects followed one by one, each through the guard, and every failure told in a sentence.

What is told names hosts, never URLs, and repeats nothing that the other side said: both may hold secrets, and a server of an
inner network that the operator allowed may say what is nobody's business.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import httpx

from api.errors import ApiError, FetchFailed, NotAudio, RefusedUrl
from steno import __version__
from steno.outbound import AddressRefused, AnswerTooLong, Network, UrlRefused, check_url

log = logging.getLogger(__name__)

LONGEST_URL: Final = 8192
"""Characters: signed URLs of object storage are long."""
_MOST_REDIRECTS: Final = 5
_CONNECT_SECONDS: Final = 10.0
"""To one address; a host may have four."""
_CRUMBS: Final = 10_000
_CRUMB_BYTES: Final = 64
"""So many pieces may be as small as they like; each costs 20 µs, so a recording of crumbs would cost more than its engine."""
_PIECES_A_TURN: Final = 256
_PAGES: Final = ("text/html", "application/xhtml+xml", "application/json", "application/xml", "text/xml")
"""What login pages and error messages come as."""


@dataclass(frozen=True)
class Source:
    """Where the recording is, and the Authorization header for its host. Printing it shows neither."""

    url: str = field(repr=False)
    authorization: str | None = field(default=None, repr=False)


def checked(url: str, networks: Sequence[Network]) -> httpx.URL:
    """A URL that may be asked. Raises RefusedUrl."""
    try:
        check_url(url, networks, LONGEST_URL)
    except UrlRefused as error:
        raise RefusedUrl(str(error), [{"field": "url", "message": str(error)}]) from error
    return httpx.URL(url)


@asynccontextmanager
async def answer_of(
    client: httpx.AsyncClient, source: Source, networks: Sequence[Network]
) -> AsyncIterator[httpx.Response]:
    """The answer that is a recording, as far as its head can tell; nothing of its body has been read.

    Raises RefusedUrl, FetchFailed, NotAudio. Follows at most five redirects; the Authorization header is not taken along to
    another origin (scheme, host and port), nor back from there.
    """
    url, authorization = checked(source.url, networks), source.authorization
    for _ in range(_MOST_REDIRECTS + 1):
        response = await _ask(client, url, authorization)
        try:
            if response.next_request is None:
                _take(response)
                yield response
                return
            following = checked(str(response.next_request.url), networks)
        finally:
            await response.aclose()
        if _origin(following) != _origin(url):
            authorization = None
        url = following
    raise FetchFailed(f"The URL redirects more than {_MOST_REDIRECTS} times.")


async def pieces_of(response: httpx.Response) -> AsyncGenerator[bytes]:
    """The body as it arrives. Raises FetchFailed, where it breaks off, too."""
    count = size = 0
    with _told(response.url.host, begun=True):
        async for piece in response.aiter_raw():
            count, size = count + 1, size + len(piece)
            if count > _CRUMBS and size < count * _CRUMB_BYTES:
                raise FetchFailed(f"{_shown(response.url.host)} sends the recording in crumbs of a few bytes.")
            if count % _PIECES_A_TURN == 0:
                await asyncio.sleep(0)  # what has arrived already comes without a pause: others get theirs here
            yield piece


async def _ask(client: httpx.AsyncClient, url: httpx.URL, authorization: str | None) -> httpx.Response:
    headers = {"user-agent": f"steno/{__version__}", "accept": "*/*", "accept-encoding": "identity"}
    if authorization is not None:
        headers["authorization"] = authorization
    timeout = httpx.Timeout(client.timeout.read, connect=_CONNECT_SECONDS)
    with _told(url.host):
        return await client.send(client.build_request("GET", url, headers=headers, timeout=timeout), stream=True)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _take(response: httpx.Response) -> None:
    """Raises FetchFailed and NotAudio where the head tells that this is not the recording."""
    host, status = _shown(response.url.host), response.status_code
    if status != HTTPStatus.OK:
        known = f" {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else ""
        wants = " It may want another url_authorization." if status in (401, 403) else ""
        raise FetchFailed(f"{host} answered {status}{known} where the recording should be.{wants}")
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise FetchFailed(f"{host} sent the recording compressed, though it was asked not to.")
    if media_type(response) in _PAGES:
        raise NotAudio(
            f"{host} answered with {media_type(response)}, a page or message and no recording; perhaps one must log in there."
        )


def media_type(response: httpx.Response) -> str:
    """The answer's media type in small letters, without parameters; empty if it names none."""
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


@contextmanager
def _told(host: str, begun: bool = False) -> Iterator[None]:
    """Whatever a hostile host sets off is its failure, in a sentence."""
    try:
        yield
    except ApiError:
        raise
    except Exception as cause:
        raise _meaning(cause, _shown(host), begun) from cause


def _meaning(cause: Exception, host: str, begun: bool) -> ApiError:
    if isinstance(cause, AddressRefused):
        return RefusedUrl(str(cause), [{"field": "url", "message": str(cause)}])
    if isinstance(cause, AnswerTooLong):
        return FetchFailed(f"The answer of {host} is too long.")
    if isinstance(cause, httpx.ConnectError):
        return FetchFailed(_why_not_connected(str(cause), host))
    if isinstance(cause, httpx.ConnectTimeout):
        return FetchFailed(f"No connection to {host}: it did not answer in time.")
    if isinstance(cause, httpx.TimeoutException):
        return FetchFailed(f"{host} fell silent.")
    if not isinstance(cause, httpx.HTTPError):
        # Its type alone: the message of an error may hold what was sent.
        log.error("Fetching met an unforeseen %s", type(cause).__name__, extra={"action": "fetch_error"})
    if begun:
        return FetchFailed(f"The recording broke off before its end on the way from {host}; nothing was kept of it.")
    return FetchFailed(f"{host} gave no answer that could be read.")


def _why_not_connected(said: str, host: str) -> str:
    if "resolved" in said:
        return said
    if "certificate" in said.lower():
        return f"The certificate of {host} is not valid: it has expired, is another host's, or nobody known vouches for it."
    if "ssl" in said.lower():
        return f"No encrypted connection to {host}: it does not speak TLS there, or none that is safe."
    return f"No connection to {host}: it cannot be reached, or nothing listens there."


def _shown(host: str) -> str:
    return host if len(host) <= 60 else f"{host[:60]}…"
