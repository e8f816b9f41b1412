"""What the letter of multipart/form-data and HTTP lets a hostile client try: refused or taken, never a 5xx, never a mess."""

import base64

import pytest

from api.tests.server import Server, assert_refused, eventually
from api.tests.wire import CHUNKED, ENGINE, KIB, MIB, SOUND, chunk, field, form, head, part, recording, upload

NAMED = 'Content-Disposition: form-data; name="file"; filename="talk.wav"'


def taken(server: Server, *parts: bytes) -> str:
    """The name shown of a recording that was taken, byte for byte."""
    job_id = server.post(*parts).job_id
    assert (server.folder / job_id / "audio.wav").read_bytes() == SOUND
    return str(server.request_of(job_id)["filename"])


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ([NAMED + "; filename*=utf-8''../../evil.sh"], "talk.wav"),
        (['Content-Disposition: form-data; filename="talk.wav"; name="file"'], "talk.wav"),
        (["content-DISPOSITION: form-data; NAME=file; FileName=talk.wav"], "talk.wav"),
        (['Content-Disposition: attachment; name="file"; filename="talk.wav"'], "talk.wav"),
        (['Content-Disposition: form-data; name="other"; filename="x.sh"', NAMED], "talk.wav"),
        ([NAMED + '; filename="last.wav"'], "last.wav"),
        (['Content-Disposition: form-data; name="file"; filename="C:\\fake\\path.wav"'], "path.wav"),
        (["X-First: 1", NAMED, "Content-Type: text/html"], "talk.wav"),
        ([NAMED, "Content-Type: multipart/mixed; boundary=inner"], "talk.wav"),
        ([NAMED, "Content-Length: 5"], "talk.wav"),
        ([NAMED, "Content-Transfer-Encoding: base64"], "talk.wav"),
        ([NAMED, "X-Bytes: \N{SNOWMAN} \x00\x01"], "talk.wav"),
        ([NAMED, "X-Long: " + "x" * 4000], "talk.wav"),
        (
            [b'Content-Disposition: form-data; name="file"; filename="\xff\xfe.wav"'],
            "\N{REPLACEMENT CHARACTER}" * 2 + ".wav",
        ),
    ],
)
def test_odd_headers_of_a_part_do_no_harm(server: Server, headers: list[str | bytes], shown: str) -> None:
    assert taken(server, ENGINE, part(*headers, body=SOUND)) == shown


def test_an_encoding_named_by_the_part_is_not_undone(server: Server) -> None:
    body = base64.b64encode(SOUND)
    job_id = server.post(ENGINE, part(NAMED, "Content-Transfer-Encoding: base64", body=body)).job_id
    assert (server.folder / job_id / "audio.wav").read_bytes() == body


def test_a_form_within_the_file_is_part_of_the_file(server: Server) -> None:
    inner = SOUND + b"\r\n" + form(field("engine", "nonsense"), recording(name="evil"), boundary="inner")
    job_id = server.post(ENGINE, recording(inner)).job_id
    assert (server.folder / job_id / "audio.wav").read_bytes() == inner


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["Content-Type: audio/wav"],
        ["Content-Disposition: form-data"],
        ['Content-Disposition: form-data; filename="talk.wav"'],
        ["Content-Disposition: form-data; name*=utf-8''file; filename*=utf-8''talk.wav"],
        ["Content-Disposition:"],
        ["Content-Disposition"],
        ["no colon at all", NAMED],
        [": no name", NAMED],
        ["Bad(Name): x", NAMED],
        ["\N{SNOWMAN}: x", NAMED],
        [NAMED, "X-Long: " + "x" * 64 * KIB],
        ["X" * 64 * KIB + ": 1", NAMED],
        [*[f"X-{n}: 1" for n in range(200)], NAMED],
        [" folded: line", NAMED],
        [NAMED.replace("name", "x;" * 1000 + "name")[:4000]],
    ],
)
def test_a_part_with_broken_headers_is_refused(server: Server, headers: list[str | bytes]) -> None:
    answer = server.post(ENGINE, part(*headers, body=SOUND))
    assert answer.status in (400, 422)
    assert_refused(server, answer, answer.status)


def test_a_name_in_the_extended_syntax_alone_makes_no_file(server: Server) -> None:
    headers = "Content-Disposition: form-data; name=\"file\"; filename*=utf-8''talk.wav"
    assert_refused(server, server.post(ENGINE, part(headers, body=SOUND)), 422, "file: Field required")


@pytest.mark.parametrize(
    "name",
    ["__proto__", "__class__", "constructor", "engine[]", "engine.x", "", "model_config", "\x00", "self", "é" * 500],
)
def test_a_field_that_there_is_not_is_refused_by_name_and_never_by_value(server: Server, name: str) -> None:
    for parts in ([field(name, "secret"), ENGINE, recording()], [recording(), ENGINE, field(name, "secret")]):
        answer = server.post(*parts)
        assert_refused(server, answer, 422, "There is no such field")
        assert [fault["field"] for fault in answer.json["errors"]] == [name[:100]]
        assert "secret" not in str(answer.json)


@pytest.mark.parametrize(
    "value", [b"\xff\xfe\xfd", b"\xed\xa0\x80", b"\x00", "‮gnp".encode(), b"{{7*7}}", b"%s%n", b"\r\n\r\n"]
)
@pytest.mark.parametrize("name", ["engine", "language", "model"])
def test_odd_bytes_in_an_option_are_refused(server: Server, name: str, value: bytes) -> None:
    options = [field(name, value)] if name == "engine" else [ENGINE, field(name, value)]
    assert_refused(server, server.post(*options, recording()), 422)


def test_an_epilogue_is_passed_over_and_so_are_line_breaks_before_the_form(server: Server) -> None:
    body = b"\r\n\r\n" + form(ENGINE, recording()) + b"the end\r\n" + form(ENGINE, recording())
    assert server.send(head(len(body)) + body).status == 200


def test_other_text_before_the_form_is_refused(server: Server) -> None:
    body = b"This is a multi-part message in MIME format.\r\n" + form(ENGINE, recording())
    assert_refused(server, server.send(head(len(body)) + body), 400, "malformed")


@pytest.mark.parametrize("where", ["before", "behind"])
def test_a_body_without_end_around_the_form_is_refused(server: Server, where: str) -> None:
    padding = chunk(b"\r\n" * MIB) * 2
    whole = chunk(form(ENGINE, recording()))
    body = padding + whole if where == "before" else whole + padding
    assert_refused(server, server.send(CHUNKED + body + chunk(b"")), 400, "too large")


def test_boundaries_may_be_padded_and_odd(server: Server) -> None:
    odd = "'()+_,-./:=? x" * 5
    body = form(ENGINE, recording(), boundary=odd).replace(odd.encode() + b"\r\n", odd.encode() + b" \t\r\n")
    body = body.replace(b" \t\r\n", b"\r\n", 1)
    answer = server.send(head(len(body), content_type=f'multipart/form-data; charset=x; boundary="{odd}"') + body)
    assert answer.status == 200


def test_requests_may_be_sent_before_the_last_one_is_answered(server: Server) -> None:
    requests = [upload(ENGINE, recording()), upload(recording()), upload(ENGINE, recording(filename="x.txt"))]
    last = head(None, "Connection: close", method="GET", path="/health", content_type=None)
    with server.connect() as wire:
        wire.send(b"".join([*requests, last]))
        told = wire.everything()
    assert [line.split()[1] for line in told.split(b"HTTP/1.1")[1:] if line] != []
    assert [status.split()[0] for status in told.split(b"HTTP/1.1 ")[1:]] == [b"200", b"422", b"400", b"200"]


def test_a_client_that_goes_on_sending_after_a_refusal_can_go_on_asking(server: Server) -> None:
    body = form(field("engine", "nonsense"), recording(SOUND + b"\x00" * MIB))
    with server.connect() as wire:
        wire.send(head(len(body)) + body[:KIB])
        assert wire.answer().status == 422
        assert wire.send(body[KIB:] + upload(ENGINE, recording()))
        assert wire.answer().status == 200


@pytest.mark.parametrize(
    "request_head",
    [
        head(10, "Content-Length: 20"),
        head(10, "Transfer-Encoding: chunked"),
        head(None, "Content-Length: -1"),
        head(None, "Content-Length: +5"),
        head(None, "Content-Length: 0x10"),
        head(None, "Content-Length: " + "9" * 30),
        head(None, "Content-Length: " + "9" * 5000),
        head(None, "Transfer-Encoding: gzip, chunked"),
        head(None, "Transfer-Encoding: chunked, identity"),
        head(0, "Expect: something"),
        head(0, "Upgrade: websocket", "Connection: Upgrade"),
        head(0, "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"),
        head(0, "Content-Encoding: gzip"),
        head(0, method="TRACE"),
        head(0, method="PUT"),
        head(0, path="/transcribe/"),
        head(0, path="/transcribe%00"),
        head(0, path="//transcribe"),
        head(0, path="http://evil.example/transcribe"),
        b"POST /transcribe HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /transcribe\xff HTTP/1.1\r\nHost: \xff\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_odd_requests_are_never_the_servers_fault(server: Server, request_head: bytes) -> None:
    with server.connect() as wire:
        wire.send(request_head + b"0\r\n\r\n")
        wire.done_sending()
        told = wire.everything()
    assert told == b"" or told.startswith((b"HTTP/1.1 4", b"HTTP/1.1 307")), told[:200]
    assert eventually(server.nothing_left)
