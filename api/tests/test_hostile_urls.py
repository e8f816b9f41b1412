"""URLs whose hosts lie, dawdle, never end, lead inside or hold out for a secret: each refused, and nothing stays."""

import contextlib
import logging
import resource
import socket
import threading
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis

from api.tests.conftest import Serve
from api.tests.server import Server, assert_refused, eventually, kernel_limit
from api.tests.test_urls import HERE, LIMIT, by_path, fetch, moved, offering
from api.tests.wire import ENGINE, KIB, MIB, SOUND, Wire, chunk, field, form, head
from steno.outbound import Resolver
from steno.redis_server import RedisServer, free_port
from tests.receivers import CERTIFICATE, ENDLESS, ENDLESS_BODY, Answer, receiving, says, sends_forever, silent, writes

OK: Final = b"HTTP/1.1 200 OK\r\n"
HTML: Final = b"<!DOCTYPE html><html><body>Please log in: csrf=s3cret</body></html>"
DRIP: Final = sends_forever(OK + b"\r\n" + SOUND, b"\x07", 0.02)


def naming(**hosts: Sequence[str]) -> Resolver:
    """A name server that gives these answers, one after the other, the last one for ever."""
    asked: dict[str, int] = {}

    async def answer(host: str, port: int) -> Sequence[str]:
        if host[0].isdigit():
            return [host]
        name = host.partition(".")[0]
        if name not in hosts:
            raise OSError("no such name")
        asked[name] = asked.get(name, 0) + 1
        return [hosts[name][min(asked[name], len(hosts[name])) - 1]]

    return answer


@contextlib.contextmanager
def asked(server: Server, url: str, *more: bytes) -> Any:
    """A request for this URL, whose answer nobody has read yet."""
    body = form(ENGINE, field("url", url), *more)
    with server.connect() as wire:
        wire.send(head(len(body)) + body)
        yield wire


@pytest.mark.parametrize(
    "url",
    ["nonsense", "ftp://127.0.0.1/a.wav", "file:///etc/passwd", "//127.0.0.1/a.wav", "https://", "http://10.0.0.1/a.wav",
     "http://169.254.169.254/a.wav", "http://[::1]/a.wav", "http://2886729729/a.wav", "http://127.0.0.1:0/a.wav",
     "https://user:s3cret@example.org/a.wav", "https://example.org/" + "a" * 9000, "http://exa\nmple.org/a.wav"],
    ids=lambda url: ascii(url)[:30],
)  # fmt: skip
def test_a_bad_url_is_refused(fetcher: Server, url: str) -> None:
    answer = fetch(fetcher, url)
    assert_refused(fetcher, answer, 422, "url")
    assert (answer.code, answer.json["errors"][0]["field"]) == ("url_refused", "url")
    assert b"s3cret" not in answer.body


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://127.9.9.9:{port}/a.wav", "url_refused"),
        ("//127.9.9.9:{port}/a.wav", "url_refused"),
        ("http://inside.example:{port}/a.wav", "url_refused"),
        ("http://169.254.169.254/latest/meta-data", "url_refused"),
        ("http://[::ffff:10.0.0.1]/a.wav", "url_refused"),
        ("file:///etc/passwd", "url_refused"),
        ("gopher://127.0.0.1:6379/_FLUSHALL", "url_refused"),
        ("http://user:pw@127.0.0.1/a.wav", "url_refused"),
        ("http://[bad", "url_refused"),
        ("http://127.0.0.1:99999/", "url_refused"),
    ],
)
def test_a_redirect_leads_nowhere_that_a_url_may_not(serve: Serve, location: str, code: str) -> None:
    server = serve(resolver=naming(inside=["127.9.9.9"]), url_fetch=True, url_networks="127.0.0.1/32")
    with receiving(says(200, body=SOUND), "127.9.9.9") as inside:
        with receiving(moved(location.format(port=inside.port))) as host:
            answer = fetch(server, host.at("/talk.wav"))
        assert_refused(server, answer, 422)
        assert answer.code == code, answer.detail
    assert not inside.heard


@pytest.mark.parametrize("inside", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_a_name_that_leads_inside_is_not_called(serve: Serve, inside: str) -> None:
    server = serve(resolver=naming(inside=[inside]), url_fetch=True)
    with offering() as host:
        answer = fetch(server, f"http://inside.example:{host.port}/talk.wav")
    assert_refused(server, answer, 422, "inside.example has only private")
    assert (answer.code, host.heard) == ("url_refused", [])


def test_the_networks_of_webhooks_are_not_those_of_urls(serve: Serve) -> None:
    server = serve(url_fetch=True, webhook_networks="127.0.0.0/8")
    with offering() as host:
        assert_refused(server, fetch(server, host.at("/talk.wav")), 422, "not public address")
    assert not host.heard


def test_a_name_that_changes_its_mind_gains_nothing(serve: Serve) -> None:
    """Rebinding: its first answer is allowed, its second leads inside; each hop looks it up once and calls what it checked."""
    server = serve(resolver=naming(rebinding=["127.0.0.2", "127.0.0.1"]), url_fetch=True, url_networks="127.0.0.2/32")
    with (
        receiving(says(200), "127.0.0.2") as meant,
        receiving(says(200, body=SOUND), "127.0.0.1", meant.port) as inside,
    ):
        meant.answer = moved("/again.wav")
        assert_refused(server, fetch(server, f"http://rebinding.example:{meant.port}/a.wav"), 422, "has only private")
    assert (len(meant.heard), len(inside.heard)) == (1, 0)


def test_a_host_that_is_not_there_is_named(serve: Serve) -> None:
    server = serve(resolver=naming(), **HERE)
    for url, said in (
        ("http://nowhere.example/a.wav", "nowhere.example cannot be resolved"),
        (f"http://127.0.0.1:{free_port()}/a.wav", "No connection to 127.0.0.1"),
    ):
        answer = fetch(server, url)
        assert_refused(server, answer, 422, said)
        assert answer.code == "fetch_failed"


def test_a_certificate_must_be_valid_for_the_host(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    names = naming(hooks=["127.0.0.1"], other=["127.0.0.1"])
    with receiving(says(200, body=SOUND), tls=True) as host:
        stranger = serve(resolver=names, **HERE)
        assert_refused(stranger, fetch(stranger, f"https://hooks.example:{host.port}/a.wav"), 422, "certificate")
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        friend = serve(resolver=names, **HERE)
        assert_refused(friend, fetch(friend, f"https://other.example:{host.port}/a.wav"), 422, "certificate")
        assert not host.heard
        assert fetch(friend, f"https://hooks.example:{host.port}/a.wav").status == 200


def test_a_host_without_tls_is_told_from_one_that_is_not_there(fetcher: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            with listener.accept()[0] as connection:
                connection.sendall(b"220 s3cret mail server\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        answer = fetch(fetcher, f"https://127.0.0.1:{listener.getsockname()[1]}/talk.wav")
        thread.join()
    assert_refused(fetcher, answer, 422, "No encrypted connection to 127.0.0.1")
    assert b"s3cret" not in answer.body


@pytest.mark.parametrize(
    ("answer", "status", "code", "said"),
    [
        (says(404, body=HTML), 422, "fetch_failed", "127.0.0.1 answered 404 Not Found"),
        (says(401, "www-authenticate: Basic"), 422, "fetch_failed", "url_authorization"),
        (says(500), 422, "fetch_failed", "answered 500"),
        (says(799), 422, "fetch_failed", "answered 799"),
        (says(204), 422, "fetch_failed", "answered 204"),
        (says(206, "content-range: bytes 0-9/100", body=SOUND), 422, "fetch_failed", "answered 206"),
        (says(302), 422, "fetch_failed", "answered 302"),
        (says(304, "location: /a.wav"), 422, "fetch_failed", "answered 304"),
        (says(200, "content-type: text/html; charset=utf-8", body=HTML), 400, "not_audio", "text/html"),
        (says(200, "content-type: application/json", body=b"{}"), 400, "not_audio", "application/json"),
        (says(200, "content-type: audio/wav", body=b"\n " + HTML), 400, "not_audio", "a page"),
        (says(200, body=b"\xef\xbb\xbf<?XML version='1.0'?>"), 400, "not_audio", "a page"),
        (says(200, "content-type: audio/wav", body=b"%PDF-1.7\n"), 400, "not_audio", "application/pdf"),
        (says(200), 400, "empty_file", "empty"),
        (says(200, "content-encoding: gzip", body=zlib.compress(bytes(MIB), wbits=31)), 422, "fetch_failed", "compressed"),
        (says(200, "content-encoding: br", body=SOUND), 422, "fetch_failed", "compressed"),
        (writes(OK + b"transfer-encoding: gzip\r\n\r\n" + SOUND), 422, "fetch_failed", "no answer"),
        (writes(OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\n" + SOUND), 422, "fetch_failed", "no answer"),
        (writes(OK + b"content-length: -5\r\n\r\n" + SOUND), 422, "fetch_failed", "no answer"),
        (writes(b"-ERR s3cret unknown command\r\n"), 422, "fetch_failed", "no answer"),
        (writes(b"SSH-2.0-s3cret\r\n" * 9), 422, "fetch_failed", "no answer"),
        (writes(b""), 422, "fetch_failed", "no answer"),
        (writes(OK + b"content-length: 104\r\n\r\n" + SOUND[:50]), 422, "fetch_failed", "broke off"),
        (writes(OK + b"transfer-encoding: chunked\r\n\r\n" + chunk(SOUND)), 422, "fetch_failed", "broke off"),
        (writes(OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n"), 422, "fetch_failed", "broke off"),
    ],
)  # fmt: skip
def test_what_is_no_recording_becomes_no_job(
    fetcher: Server, answer: Answer, status: int, code: str, said: str
) -> None:
    with receiving(answer) as host:
        refused = fetch(fetcher, host.at("/talk.wav"))
    assert_refused(fetcher, refused, status, said)
    assert refused.code == code
    assert b"s3cret" not in refused.body


def test_a_recording_that_breaks_off_late_leaves_nothing(fetcher: Server) -> None:
    with receiving(writes(OK + b"content-length: %d\r\n\r\n" % (LIMIT - 1) + SOUND.ljust(MIB, b"\x07"))) as host:
        assert_refused(fetcher, fetch(fetcher, host.at("/talk.wav")), 422, "broke off")


@pytest.mark.parametrize(
    "answer",
    [ENDLESS_BODY, sends_forever(OK + b"\r\n", bytes(KIB)), says(200, body=SOUND.ljust(LIMIT + 1)),
     sends_forever(OK + b"transfer-encoding: chunked\r\n\r\n", chunk(bytes(KIB)))],
    ids=["announced", "without end", "one byte", "in chunks"],
)  # fmt: skip
def test_too_much_is_refused(fetcher: Server, answer: Answer) -> None:
    with receiving(answer) as host:
        refused = fetch(fetcher, host.at("/talk.wav"))
        assert_refused(fetcher, refused, 400, "too large", str(LIMIT))
        assert refused.code == "file_too_large"
        assert eventually(lambda: not host.at_once)


@pytest.mark.parametrize("kind", ["head", "one header", "interim answers"])
def test_a_head_without_end_is_not_read_to_its_end(fetcher: Server, kind: str) -> None:
    with receiving(ENDLESS[kind]) as host:
        assert_refused(fetcher, fetch(fetcher, host.at("/talk.wav")), 422)
        assert eventually(lambda: not host.at_once)


def test_chunks_that_are_all_frame_are_not_read_to_their_end(serve: Serve) -> None:
    server = serve(max_file_size=MIB, **HERE)
    chunks = sends_forever(OK + b"transfer-encoding: chunked\r\n\r\n" + chunk(SOUND), b"1;%s\r\na\r\n" % (b"x" * 9000))
    with receiving(chunks) as host:
        assert_refused(server, fetch(server, host.at("/talk.wav")), 422, "too long")


def test_crumbs_are_not_picked_up_for_ever(fetcher: Server) -> None:
    crumbs = sends_forever(OK + b"transfer-encoding: chunked\r\n\r\n" + chunk(SOUND), chunk(b"a") * 1000)
    with receiving(crumbs) as host:
        assert_refused(fetcher, fetch(fetcher, host.at("/talk.wav")), 422, "crumbs")


@pytest.mark.parametrize("answer", [silent, ENDLESS["head, byte by byte"]], ids=["silent", "drip"])
def test_a_host_that_does_not_answer_is_not_waited_for(serve: Serve, answer: Answer) -> None:
    server = serve(upload_idle_limit=0.3, **HERE)
    with receiving(answer) as host:
        refused = fetch(server, host.at("/talk.wav"))
        assert_refused(server, refused, 422)
        assert refused.code == "fetch_failed"
        assert eventually(lambda: not host.at_once)


def test_a_recording_that_only_trickles_is_refused(serve: Serve) -> None:
    server = serve(upload_idle_limit=5, upload_time_limit=0.4, **HERE)
    with receiving(DRIP) as host:
        assert_refused(server, fetch(server, host.at("/talk.wav")), 422, "took longer than 0.4 s")


def test_a_slow_but_steady_recording_is_taken(serve: Serve) -> None:
    server = serve(upload_idle_limit=2.0, **HERE)

    def steady(receiver: Any, connection: Any, heard: Any) -> None:
        connection.sendall(OK + b"content-length: 30\r\n\r\n")
        for _ in range(30):
            connection.sendall(b"\x07")
            time.sleep(0.1)

    with receiving(steady) as host:
        assert fetch(server, host.at("/talk.wav")).status == 200


@pytest.mark.parametrize("answer", [silent, DRIP], ids=["before it begins", "in the middle"])
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
def test_a_client_that_hangs_up_ends_the_fetching(fetcher: Server, answer: Answer, reset: bool) -> None:
    with receiving(answer) as host, asked(fetcher, host.at("/talk.wav")) as wire:
        assert eventually(lambda: host.at_once == 1 and bool(host.heard))
        if answer is DRIP:
            time.sleep(0.2)
        wire.hang_up(reset)
        assert eventually(lambda: not host.at_once)
        assert eventually(fetcher.nothing_left)


def test_a_server_that_is_cut_off_leaves_nothing(serve: Serve) -> None:
    server = serve(patience=0, **HERE)
    data = OK + b"\r\n" + SOUND.ljust(20 * KIB)
    with receiving(sends_forever(data, b"\x07", 0.02)) as host, asked(server, host.at("/talk.wav")) as wire:
        assert eventually(lambda: any(name.endswith(".part") for name in server.left()))
        server.stop()
        assert b"200 OK" not in wire.everything()
        assert eventually(server.nothing_left)
        assert eventually(lambda: not host.at_once)


def test_redis_may_die_while_it_is_fetched(serve: Serve, mortal_redis: RedisServer) -> None:
    server = serve(redis_url=mortal_redis.url, **HERE)

    def dies(receiver: Any, connection: Any, heard: Any) -> None:
        mortal_redis.stop()
        says(200, body=SOUND)(receiver, connection, heard)

    with receiving(dies) as host:
        assert_refused(server, fetch(server, host.at("/talk.wav")), 503, "redis")


@pytest.mark.parametrize("size", [64 * KIB, MIB], ids=["at once", "late"])
def test_a_full_disk_is_said_and_nothing_stays(fetcher: Server, size: int) -> None:
    with offering(body=SOUND.ljust(LIMIT)) as host, kernel_limit(resource.RLIMIT_FSIZE, size):
        answer = fetch(fetcher, host.at("/talk.wav"))
    assert_refused(fetcher, answer, 507, "space")


def test_a_disk_without_room_for_what_is_announced_is_full(serve: Serve) -> None:
    server = serve(max_file_size=1 << 62, **HERE)
    with receiving(writes(OK + b"content-length: %d\r\n\r\n" % (1 << 60) + SOUND)) as host:
        assert_refused(server, fetch(server, host.at("/talk.wav")), 507)


def test_many_at_once_do_not_mix_and_nobody_else_waits(fetcher: Server) -> None:
    bodies = {f"{n}.wav": SOUND + bytes([n]) * MIB for n in range(8)}
    answers = by_path(**{name: says(200, body=body) for name, body in bodies.items()})
    with receiving(answers) as host, contextlib.ExitStack() as stack:
        wires: list[Wire] = [stack.enter_context(asked(fetcher, host.at(f"/{name}"))) for name in bodies]
        assert fetcher.get("/health").status == 200
        jobs = [wire.answer().job_id for wire in wires]
    for job_id, body in zip(jobs, bodies.values(), strict=True):
        assert (fetcher.folder / job_id / "audio.wav").read_bytes() == body


SECRET: Final = "Bearer-s3cret"


def test_what_was_sent_in_secret_is_nowhere(serve: Serve, redis: "Redis", caplog: pytest.LogCaptureFixture) -> None:
    """In no file, no key of Redis, no line of any log at any level, and no answer, whatever became of the request."""
    caplog.set_level(logging.DEBUG)
    server, told = serve(upload_idle_limit=2.0, **HERE), list[bytes]()
    by = by_path(**{
        "good.wav": says(200, "content-type: audio/wav", body=SOUND), "page.wav": says(200, body=HTML), "gone.wav": says(404),
        "on.wav": moved(f"/good.wav?{SECRET}"), "off.wav": moved(f"ftp://x/{SECRET}"), "cut.wav": writes(OK[:9]),
        "mute.wav": silent, "odd.wav": moved(f"http://[{SECRET}"), "echo.wav": writes(f"{SECRET} is no HTTP".encode()),
        "html.wav": says(401, f"www-authenticate: Basic {SECRET}"),
    })  # fmt: skip
    names = ["good", "page", "gone", "on", "off", "cut", "mute", "odd", "echo", "html"]
    with receiving(lambda r, c, h: by(r, c, type(h)(h.line.replace("?", " "), h.headers, h.body))) as host:
        for name in names:
            url = host.at(f"/{name}.wav?token={SECRET}")
            told.append(fetch(server, url, field("url_authorization", f"Bearer {SECRET}")).body)
        bad = f"http://{SECRET}@127.0.0.1/a.wav", f"nonsense:{SECRET}", f"http://10.0.0.1/{SECRET}"
        told += [fetch(server, url, field("url_authorization", SECRET)).body for url in bad]
        told.append(server.get("/jobs").body)
        assert [heard.headers["authorization"] for heard in host.heard].count(f"Bearer {SECRET}") == len(host.heard)
    stored = [path.read_bytes() for path in Path(server.folder).rglob("*") if path.is_file()]
    assert len(stored) == 4  # two jobs, a recording and a request each
    for found in (*told, *stored, *everything_in(redis), caplog.text.encode()):
        assert SECRET.encode() not in found


def everything_in(redis: "Redis") -> list[bytes]:
    """Every value of the database, unpacked where it is packed."""
    read: dict[bytes, Any] = {
        b"string": redis.get, b"hash": redis.hgetall, b"set": redis.smembers,
        b"list": lambda key: redis.lrange(key, 0, -1), b"zset": lambda key: redis.zrange(key, 0, -1),
        b"stream": redis.xrange,
    }  # fmt: skip
    found: list[bytes] = []
    for key in redis.scan_iter():
        value = read[redis.type(key)](key)  # type: ignore[index]
        found += [key, repr(value).encode()]
        for packed in value.values() if isinstance(value, dict) else ():
            with contextlib.suppress(zlib.error):
                found.append(zlib.decompress(packed))
    assert any(key.startswith(b"rq:job:") for key in found)
    return found
