"""The guard before calls to addresses that clients name: real sockets, and name servers that lie."""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from steno import outbound
from steno.outbound import (
    AddressRefused,
    AnswerTooLong,
    Resolver,
    UrlRefused,
    check_url,
    guarded_client,
    is_public,
    may_call,
    resolve,
)
from tests.receivers import CERTIFICATE, ENDLESS, ENDLESS_BODY, Receiver, receiving, says, silent

HERE = (ipaddress.IPv4Network("127.0.0.0/8"),)


def naming(*answers: Sequence[str]) -> tuple[Resolver, list[str]]:
    """A name server that gives one answer after the other, the last one for ever; and the names it was asked for."""
    asked: list[str] = []

    async def answer(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return answer, asked


def get(url: str, networks: tuple[ipaddress.IPv4Network, ...] = HERE, resolver: Resolver = resolve) -> httpx.Response:
    async def call() -> httpx.Response:
        async with guarded_client(networks, timeout=5, max_answer_bytes=65536, resolver=resolver) as client:
            return await client.get(url)

    return asyncio.run(call())


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.8.9.10", "168.63.129.16",
        "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.0.9", "192.168.1.1", "198.18.0.1", "192.0.2.1",
        "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:4136:e378::1", "2001:db8::1",
        "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "100::1", "5f00::1",
        "2001:20::1", "3fff::1",
    ],
)  # fmt: skip
def test_addresses_inside_are_not_called(address: str) -> None:
    assert not may_call(address, ())


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.215.14", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101", "2002:101:101::1"],
)
def test_public_addresses_are_called(address: str) -> None:
    assert may_call(address, ())
    assert is_public(ipaddress.ip_address(address))


def test_public_addresses_of_this_machine_itself_are_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "is_public", lambda address: True)
    assert not may_call("127.0.0.1", ())
    assert may_call("1.1.1.1", ())
    assert may_call("127.0.0.1", (ipaddress.IPv4Network("127.0.0.0/8"),))


def test_a_machine_without_ipv6_calls_names_that_have_such_addresses_too(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = socket.socket

    def without_ipv6(family: int = socket.AF_INET, *more: Any, **named: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return plain(family, *more, **named)

    monkeypatch.setattr(socket, "socket", without_ipv6)
    assert may_call("2606:4700::1111", ())
    check_url("http://[2606:4700::1111]/")


def test_an_operator_can_allow_a_network_and_no_other() -> None:
    networks = (ipaddress.IPv4Network("10.1.0.0/16"), ipaddress.IPv6Network("fd00::/8"))
    assert may_call("10.1.2.3", networks)
    assert may_call("::ffff:10.1.2.3", networks)
    assert may_call("fd12::1", networks)
    assert not may_call("10.2.2.3", networks)
    assert not may_call("127.0.0.1", networks)


@pytest.mark.parametrize(
    "url",
    [
        "", "nonsense", "ftp://example.org/", "file:///etc/passwd", "https://", "//example.org", "https:///path",
        "https://user:secret@example.org/", "https://user@example.org/", "http://127.0.0.1/", "http://[::1]:80/",
        "http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://localhost:6379/",
        "http://LOCALHOST./", "http://a.localhost/", "http://169.254.169.254/latest/meta-data", "http://[::ffff:a00:1]/",
        "http://.", "http://a..b/", "http://*/", "http://xn--/", "http://xn--a.example/", "http://-a.example/",
        "http://[fe80::1%25eth0]/", "http://exa\nmple.org/",
        "http://example.org:0/", "http://example.org:65536/", "https://example.org/" + "a" * 2048,
    ],
)  # fmt: skip
def test_urls_that_no_call_could_reach_are_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(UrlRefused) as refusal:
        check_url(url)
    assert str(refusal.value).endswith(".")
    assert "secret@" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://a_b.example.org./",
        "http://x-1.co",
        "https://example.org/hook?token=1",
        "http://example.org:8080",
        "https://1.1.1.1/",
        "https://bücher.example/",
    ],
)
def test_other_urls_are_accepted_without_a_look_up(url: str) -> None:
    check_url(url)


def test_a_literal_in_an_allowed_network_is_accepted() -> None:
    check_url("http://127.0.0.1:9/", HERE)
    check_url("http://localhost/", HERE)  # and is called at that address alone


@pytest.mark.parametrize("inside", ["127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "10.0.0.1"])
def test_a_name_that_leads_inside_is_refused_when_connecting(inside: str) -> None:
    resolver, _ = naming([inside])
    with receiving(says(200)) as receiver, pytest.raises(AddressRefused, match=r"inside\.example") as refusal:
        get(receiver.url("inside.example"), (), resolver)
    assert not receiver.heard
    assert inside not in str(refusal.value)  # nothing is learnt of the network from the refusal


def test_a_literal_inside_is_refused_when_connecting_too() -> None:
    with receiving(says(200)) as receiver, pytest.raises(AddressRefused):
        get(receiver.url(), ())
    assert not receiver.heard


def test_the_connection_goes_to_the_address_that_was_checked_and_the_name_is_asked_once() -> None:
    """Rebinding: the second answer would lead elsewhere, and is refused when it comes to be used."""
    allowed = (ipaddress.IPv4Network("127.0.0.2/32"),)
    resolver, asked = naming(["127.0.0.2"], ["127.0.0.1"])

    async def twice(url: str) -> None:
        async with guarded_client(allowed, timeout=5, resolver=resolver) as client:
            assert (await client.get(url)).status_code == 200
            assert asked == ["rebinding.example"]
            with pytest.raises(AddressRefused):
                await client.get(url)

    with receiving(says(200), "127.0.0.2") as meant, receiving(says(200), "127.0.0.1", meant.port) as inside:
        asyncio.run(twice(meant.url("rebinding.example")))
        assert meant.heard[0].headers["host"] == f"rebinding.example:{meant.port}"
    assert (len(meant.heard), len(inside.heard)) == (1, 0)


def test_of_several_addresses_only_those_allowed_are_tried() -> None:
    allowed = (ipaddress.IPv4Network("127.0.0.2/31"),)
    resolver, _ = naming(["127.0.0.1", "127.0.0.3", "127.0.0.2"])
    with receiving(says(200), "127.0.0.2") as meant, receiving(says(200), "127.0.0.1", meant.port) as inside:
        get(meant.url("mixed.example"), allowed, resolver)  # nobody listens on .3, so the next one is tried
    assert (len(meant.heard), len(inside.heard)) == (1, 0)


def test_a_certificate_must_be_that_of_the_urls_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    resolver, _ = naming(["127.0.0.1"])
    with receiving(says(200), tls=True) as receiver:
        assert get(receiver.url("hooks.example"), HERE, resolver).status_code == 200
        with pytest.raises(httpx.ConnectError, match=r"other\.example"):
            get(receiver.url("other.example"), HERE, resolver)
    assert receiver.names == ["hooks.example", "other.example"]
    assert len(receiver.heard) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    resolver, _ = naming(["127.0.0.1"])
    with (
        receiving(says(200), tls=True) as receiver,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        get(receiver.url("hooks.example"), HERE, resolver)
    assert not receiver.heard


def test_redirects_proxies_and_cookies_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def twice(receiver: Receiver) -> list[int]:
        async with guarded_client(HERE, timeout=5) as client:
            return [(await client.get(receiver.url())).status_code for _ in range(2)]

    with receiving(says(200)) as elsewhere:
        monkeypatch.setenv("HTTP_PROXY", elsewhere.url())
        monkeypatch.setenv("ALL_PROXY", elsewhere.url())
        with receiving(says(302, f"location: {elsewhere.url()}", "set-cookie: a=b")) as receiver:
            assert asyncio.run(twice(receiver)) == [302, 302]
    assert not elsewhere.heard
    assert not any("cookie" in heard.headers for heard in receiver.heard)


@pytest.mark.parametrize("kind", ["head", "one header", "interim answers"])
def test_an_answer_is_read_no_further_than_allowed(kind: str) -> None:
    with receiving(ENDLESS[kind]) as receiver, pytest.raises((AnswerTooLong, httpx.RemoteProtocolError)):
        get(receiver.url())


def test_a_body_is_read_no_further_than_allowed() -> None:
    with receiving(ENDLESS_BODY) as receiver, pytest.raises(AnswerTooLong):
        get(receiver.url())


def test_a_receiver_or_a_name_server_that_says_nothing_is_a_time_out() -> None:
    async def call(url: str, resolver: Resolver) -> None:
        async with guarded_client(HERE, timeout=1.0, resolver=resolver) as client:
            await client.get(url)

    async def mute(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    with receiving(silent) as receiver, pytest.raises(httpx.ReadTimeout):
        asyncio.run(call(receiver.url(), resolve))
    with pytest.raises(httpx.ConnectTimeout, match=r"mute\.example"):
        asyncio.run(call("http://mute.example/", mute))


def test_a_name_that_is_not_there_is_an_error_of_connecting() -> None:
    async def nowhere(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    with pytest.raises(httpx.ConnectError, match=r"nowhere\.example cannot be resolved"):
        get("http://nowhere.example/", HERE, nowhere)


def test_the_system_is_asked_for_names_and_numbers() -> None:
    assert "127.0.0.1" in asyncio.run(resolve("localhost", 80))
    assert asyncio.run(resolve("127.1", 80)) == ["127.0.0.1"]
    with pytest.raises(OSError):
        asyncio.run(resolve("a" * 70 + ".example", 80))  # longer than a name can be
