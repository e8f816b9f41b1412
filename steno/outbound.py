"""Calls to addresses that a client of this service has named, without lending the client this machine's place in the network.

Whoever may name a URL could name the router, the cloud's metadata service or a database without password. So a name is
resolved here, every address that is not public is refused, and the connection goes to exactly the address that was checked:
a name that changes its answer between two look-ups (DNS rebinding) gains nothing, since there is one look-up.
"""

import asyncio
import contextlib
import functools
import ipaddress
import math
import re
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ssl import SSLContext
from typing import Any, Final, cast

import httpcore
import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""From host and port to addresses as text. Raises OSError."""

LONGEST_URL: Final = 2048
_LONGEST_HEAD: Final = 256 << 10
"""Of an answer, in bytes, with all interim answers before it: they cost more time than a body does."""
_TRIED_ADDRESSES: Final = 4
"""A name may have any number of addresses; each may cost a whole connection timeout."""
_ANY_PORT: Final = 9
_LOOKUPS: Final = threading.BoundedSemaphore(64)

_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")  # all of IPv6 that has been given out
_6TO4: Final = ipaddress.IPv6Network("2002::/16")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NOT_PUBLIC: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "100.64.0.0/10",  # shared by a provider's customers; Alibaba's metadata service is in it
            "168.63.129.16/32",  # Azure's host, seen from its guests
            "192.0.0.0/24",  # protocols of IETF; Oracle's metadata service is in it. Python 3.11 knows only a part
            "192.88.99.0/24",  # once the relays of 6to4
            "2001::/23",  # protocols of IETF, Teredo among them
            "3fff::/20",  # for documentation, too new for Python 3.11
        ),
    )
)
"""Beside what Python's ipaddress calls not global."""


_PART: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"(?=.{{1,254}}$)({_PART}\.)*{_PART}\.?", re.IGNORECASE)
"""Of a host, after RFC 1123, and with the underscores that many have all the same."""


class UrlRefused(ValueError):
    """The URL is not one that Steno would call; the message is a sentence that says why."""


class AddressRefused(httpx.ConnectError):
    """The host has no address that Steno may call."""


class AnswerTooLong(httpx.ReadError):
    """The answer is longer than its caller wants to hear."""


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, and one host's. Tunnelled IPv4 counts as what it carries."""
    carried = _carried(address)
    if carried is not None:
        return is_public(carried)
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local
    return address.is_global and not special and not any(address in network for network in _NOT_PUBLIC)


def may_call(address: str, networks: Iterable[Network]) -> bool:
    """Whether an address is another's and public, or in one of the operator's networks. Raises ValueError where it is none."""
    found = ipaddress.ip_address(address)
    carried = _carried(found)
    allowed = any(one in network for network in networks for one in (found, carried) if one is not None)
    return allowed or (is_public(found) and not is_own(address))


def is_own(address: str) -> bool:
    """Whether the address, public though it may be, is this machine's: a call would come from inside its firewall.

    The kernel is asked which address it would call from; nothing is sent.
    """
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((address, _ANY_PORT))
            return ipaddress.ip_address(probe.getsockname()[0]) == ipaddress.ip_address(address)
    except OSError:  # no way leads there
        return False


def _carried(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: mapped, 6to4, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour if address in _6TO4 else None


def check_url(url: str, networks: Iterable[Network] = (), longest: int = LONGEST_URL) -> None:
    """Refuse at once what no call could reach: the call itself is guarded, too. Looks nothing up. Raises UrlRefused."""
    if len(url) > longest:
        raise UrlRefused(f"The URL is longer than {longest} characters.")
    try:
        parsed = httpx.URL(url)
        host, raw_host = parsed.host, parsed.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise UrlRefused("This is not a URL; give one such as https://example.org/path.") from error
    if parsed.scheme not in ("http", "https") or not host:
        raise UrlRefused("The URL must begin with https:// or http:// and name a host.")
    if parsed.port is not None and not 0 < parsed.port < 65536:
        raise UrlRefused("The URL's port must be from 1 to 65535.")
    if parsed.userinfo:
        raise UrlRefused("The URL must not hold a user name or password.")
    literal = _literal(host)
    if not literal and not _NAME.fullmatch(raw_host):
        raise UrlRefused(f"The URL's host '{host[:60]}' is neither a name nor an address.")
    if literal and not any(may_call(address, networks) for address in literal):
        raise UrlRefused(
            f"The URL's host '{host[:60]}' is a private, loopback or otherwise not public address, which this "
            "server does not call."
        )


def _literal(host: str) -> list[str]:
    """The addresses of a host that is written as a number, in whichever of the forms that resolvers take."""
    if f".{host.rstrip('.').lower()}".endswith(".localhost"):
        return ["127.0.0.1", "::1"]
    try:
        return _addresses(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except (OSError, UnicodeError):
        return []


def _addresses(found: Iterable[tuple[Any, ...]]) -> list[str]:
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def resolve(host: str, port: int) -> Sequence[str]:
    """The system's answer. In a thread of its own, which ends with the process: a name server may be slow on purpose."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()
    if not _LOOKUPS.acquire(blocking=False):
        raise OSError("too many names are being looked up")
    threading.Thread(target=_look_up, args=(loop, answer, host, port), name="resolve", daemon=True).start()
    return await answer


def _look_up(loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[list[str]]", host: str, port: int) -> None:
    def settle(settled: Callable[[], None]) -> None:
        if not answer.done():
            settled()

    try:
        found = _addresses(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        told: Callable[[], None] = functools.partial(answer.set_result, found)
    except (OSError, UnicodeError) as error:
        told = functools.partial(answer.set_exception, OSError(str(error)))
    finally:
        _LOOKUPS.release()
    with contextlib.suppress(RuntimeError):  # the loop ended meanwhile
        loop.call_soon_threadsafe(settle, told)


class _Metered(httpcore.AsyncNetworkStream):
    """A connection that is read from no further than so many bytes, interim answers and all."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, left: float) -> None:
        self._stream = stream
        self._left = left

    def allow(self, more: float) -> None:
        self._left += more

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's contract
        data = await self._stream.read(max_bytes, timeout)
        self._left -= len(data)
        if self._left < 0:
            raise AnswerTooLong("The answer is too long.")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        return _Metered(await self._stream.start_tls(ssl_context, server_hostname, timeout), self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Guard(httpcore.AsyncNetworkBackend):
    """Resolves, checks, and connects to what it checked."""

    def __init__(self, networks: Sequence[Network], resolver: Resolver, allowance: float) -> None:
        self._networks = networks
        self._resolve = resolver
        self._allowance = allowance
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception = AddressRefused(
            f"{host} has only private, loopback or otherwise not public addresses, which this server does not call."
        )
        for address in await self._checked(host, port, timeout):
            try:
                stream = await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
                return _Metered(stream, self._allowance)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _checked(self, host: str, port: int, patience: float | None) -> list[str]:
        try:
            async with asyncio.timeout(patience):
                found = await self._resolve(host, port)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"The name {host} was not resolved in time.") from error
        except OSError as error:
            raise httpx.ConnectError(f"The name {host} cannot be resolved.") from error
        return [address for address in found if may_call(address, self._networks)][:_TRIED_ADDRESSES]


@contextlib.contextmanager
def _as_httpx() -> Iterator[None]:
    """httpcore's errors by their names in httpx, which are the same."""
    try:
        yield
    except Exception as error:
        names = (kind.__name__ for kind in type(error).__mro__ if kind.__module__.startswith("httpcore"))
        found = next((getattr(httpx, name) for name in names if hasattr(httpx, name)), None)
        if found is None:
            raise
        raise cast("type[httpx.HTTPError]", found)(str(error)) from error


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class _GuardedTransport(httpx.AsyncBaseTransport):
    """A transport of our own, not httpx's with its parts exchanged: there is no way around the guard if httpx changes."""

    def __init__(self, networks: Sequence[Network], resolver: Resolver, max_answer_bytes: float) -> None:
        head = min(_LONGEST_HEAD, max_answer_bytes)
        self._allowed_after_head = max_answer_bytes - head
        self._pool = httpcore.AsyncConnectionPool(
            # Trusts what the system's SSL_CERT_FILE and SSL_CERT_DIR name, so that an operator can have a CA of their own.
            ssl_context=httpx.create_ssl_context(),
            max_connections=None,
            max_keepalive_connections=0,  # each request is checked anew
            network_backend=_Guard(networks, resolver, head),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        core = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=cast("httpx.AsyncByteStream", request.stream),
            extensions=request.extensions,
        )
        with _as_httpx():
            answer = await self._pool.handle_async_request(core)
        stream = answer.extensions["network_stream"]
        if isinstance(stream, _Metered):  # not so where the other side would rather speak another protocol
            stream.allow(self._allowed_after_head)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer.stream))

    async def aclose(self) -> None:
        await self._pool.aclose()


def guarded_client(
    networks: Sequence[Network] = (),
    *,
    timeout: float,
    max_answer_bytes: int | None = None,
    resolver: Resolver = resolve,
) -> httpx.AsyncClient:
    """A client that reaches public hosts and those in `networks`; no redirects, no proxies, no cookies.

    `timeout` is in seconds, of each of connecting, writing and reading: set a limit around the whole request, too. Requests
    raise AddressRefused, AnswerTooLong, and httpx's other errors.
    """
    return httpx.AsyncClient(
        transport=_GuardedTransport(networks, resolver, math.inf if max_answer_bytes is None else max_answer_bytes),
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )
