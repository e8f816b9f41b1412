"""POST /transcribe with a URL: what is fetched becomes a job as an upload would, under a name of its own."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from api.tests.conftest import Serve
from api.tests.desk import Desk
from api.tests.server import Server, assert_refused
from api.tests.wire import ENGINE, MIB, SOUND, Answer, chunk, field, form, head, recording
from steno.jobs import reuse
from tests.receivers import Answer as Act
from tests.receivers import Receiver, receiving, says, writes

LIMIT: Final = 2 * MIB
OGG: Final = b"OggS" + bytes(60)
WEBM: Final = b"\x1a\x45\xdf\xa3" + bytes(20) + b"\x42\x82\x84webm" + bytes(60)
MP3: Final = b"ID3" + bytes(60)
UNKNOWN: Final = b"\x01\x02\x03" * 30
HERE: Final[dict[str, Any]] = {"url_fetch": True, "url_networks": "127.0.0.0/8"}


def fetch(server: Server, url: str, *more: bytes) -> Answer:
    return server.post(ENGINE, field("url", url), *more)


@contextmanager
def offering(*headers: str, body: bytes = SOUND, status: int = 200) -> Iterator[Receiver]:
    with receiving(says(status, *headers, body=body)) as host:
        yield host


def by_path(**answers: Act) -> Act:
    """Answers with that of the last part of the path."""
    return lambda receiver, connection, heard: answers[heard.line.split()[1].split("/")[-1]](
        receiver, connection, heard
    )


def moved(location: str, status: int = 302) -> Act:
    return says(status, f"location: {location}")


def test_what_is_fetched_is_a_job_as_an_upload_is(fetcher: Server) -> None:
    with offering("content-type: audio/x-wav") as host:
        job_id = fetch(fetcher, host.at("/talks/talk.wav?token=s3cret"), field("labels", "far")).job_id
    assert fetcher.left() == [job_id, f"{job_id}/audio.wav", f"{job_id}/request.json"]
    assert (fetcher.folder / job_id / "audio.wav").read_bytes() == SOUND
    told = fetcher.request_of(job_id)
    assert (told["filename"], told["audio"], told["size"], told["labels"]) == (
        "talk.wav",
        "audio.wav",
        len(SOUND),
        ["far"],
    )
    assert fetcher.get(f"/status/{job_id}").json["status"] == "queued"


def test_the_host_is_asked_for_the_plain_bytes_and_told_nothing_more(fetcher: Server) -> None:
    with offering() as host:
        fetch(fetcher, host.at("/talk.wav?a=b%20c#t=10"))
        (heard,) = host.heard
    assert heard.line == "GET /talk.wav?a=b%20c HTTP/1.1"
    assert set(heard.headers) == {"host", "user-agent", "accept", "accept-encoding", "connection"}
    assert heard.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("path", "disposition", "kind", "body", "shown"),
    [
        ("/talk.MP3", "", "", UNKNOWN, "talk.MP3"),
        ("/a/b/talk.wav?x=/y.exe", "", "audio/wav", SOUND, "talk.wav"),
        ("/gr%C3%BCn%20e.wav", "", "", SOUND, "grün e.wav"),
        ("/a%2F..%2Fb.wav", "", "", SOUND, "b.wav"),
        ("/x.wav", 'attachment; filename="My talk.mp3"', "", MP3, "My talk.mp3"),
        ("/x.wav", "attachment; filename*=UTF-8''gr%C3%BCn.flac", "", UNKNOWN, "grün.flac"),
        ("/x.wav", 'attachment; filename="../../etc/cron.d/y.wav"', "", SOUND, "y.wav"),
        ("/x.wav", "inline", "", SOUND, "x.wav"),
        ("/x.wav", "attachment; filename=" + "a" * 4000, "audio/wav", SOUND, "x.wav"),
        ("/x.wav", ";;=\"';filename*0*=", "", SOUND, "x.wav"),
        ("/x.wav", "attachment; filename*=idna''a.mp3", "", SOUND, "x.wav"),
        ("/x.wav", "attachment; filename*=utf-8%00''a.mp3", "", SOUND, "x.wav"),
        ("/x.wav", "attachment; filename*=none''a.flac", "", UNKNOWN, "a.flac"),
        ("/x.wav", "attachment; filename*=unicode_escape''%5Cud800.flac", "", UNKNOWN, "?.flac"),
        ("/download", "", "audio/mpeg", UNKNOWN, "download.mp3"),
        ("/download.php", "", "Audio/X-M4A; charset=utf-8", UNKNOWN, "download.php.m4a"),
        ("/", "", "audio/flac", UNKNOWN, "recording.flac"),
        ("", "", "audio/flac", UNKNOWN, "recording.flac"),
        ("/download", "", "application/octet-stream", MP3, "download.mp3"),
        ("/download", "", "", MP3, "download.mp3"),
        ("/download", "", "audio/webm", MP3, "download.mp3"),
        ("/no.mp4", 'attachment; filename="no.pdf"', "audio/wav", SOUND, "no.pdf.wav"),
        ("/" + "a" * 300 + ".wav", "", "", SOUND, "a" * 255),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_it_has_a_name_and_an_extension_that_are_accepted_here(
    fetcher: Server, path: str, disposition: str, kind: str, body: bytes, shown: str
) -> None:
    headers = [f"content-disposition: {disposition}"] * bool(disposition) + [f"content-type: {kind}"] * bool(kind)
    with offering(*headers, body=body) as host:
        job_id = fetch(fetcher, host.at(path)).job_id
    told = fetcher.request_of(job_id)
    assert told["filename"] == shown
    assert told["audio"].partition(".")[2] in fetcher.settings.allowed_formats
    assert (fetcher.folder / job_id / told["audio"]).read_bytes() == body


@pytest.mark.parametrize(
    ("path", "kind", "body", "said"),
    [
        ("/talk.mp4", "video/mp4", UNKNOWN, "'.mp4'"),
        ("/talk", "audio/ogg", UNKNOWN, "'.ogg'"),
        ("/talk", "", WEBM, "'.webm'"),
        ("/talk", "", UNKNOWN, "no extension"),
        ("/talk.xyz", "text/plain", UNKNOWN, "'.xyz'"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_other_formats_are_refused(fetcher: Server, path: str, kind: str, body: bytes, said: str) -> None:
    with offering(*[f"content-type: {kind}"] * bool(kind), body=body) as host:
        answer = fetch(fetcher, host.at(path))
    assert_refused(fetcher, answer, 400, "unsupported format", said, "accepts flac")


def test_an_operator_decides_which_formats_are_fetched(serve: Serve) -> None:
    server = serve(allowed_formats="webm,oga", **HERE)
    with offering("content-type: video/webm", body=WEBM) as host:
        assert server.request_of(fetch(server, host.at("/watch")).job_id)["filename"] == "watch.webm"
    with offering("content-type: audio/ogg", body=OGG) as host:
        assert server.request_of(fetch(server, host.at("/listen")).job_id)["filename"] == "listen.oga"


def test_exactly_the_largest_recording_is_taken_however_it_is_sent(fetcher: Server) -> None:
    data = SOUND.ljust(LIMIT, b"\x07")
    chunks = b"".join(chunk(data[at : at + 1000]) for at in range(0, LIMIT, 1000)) + chunk(b"")
    for answer in (
        says(200, body=data),
        writes(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks),
        writes(b"HTTP/1.0 200 OK\r\n\r\n" + data),
        writes(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % LIMIT + data),
    ):
        with receiving(answer) as host:
            job_id = fetch(fetcher, host.at("/talk.wav")).job_id
        assert fetcher.sha256_of(job_id) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(fetcher: Server, status: int) -> None:
    with offering("content-type: audio/wav") as there, receiving(moved(there.at("/x/talk.wav"), status)) as here:
        job_id = fetch(fetcher, here.at("/s/3xYz")).job_id
    assert fetcher.request_of(job_id)["filename"] == "talk.wav"
    assert there.heard[0].line == "GET /x/talk.wav HTTP/1.1"


def test_a_name_that_was_given_comes_before_that_of_a_redirect(fetcher: Server) -> None:
    with offering() as there, receiving(moved(there.at("/deadbeef.wav"))) as here:
        assert fetcher.request_of(fetch(fetcher, here.at("/talk.wav")).job_id)["filename"] == "talk.wav"


def test_five_redirects_are_enough(fetcher: Server) -> None:
    hops = {str(n): moved(str(n + 1)) for n in range(6)}  # relative ones
    with receiving(by_path(**hops, **{"6": says(200, "content-type: audio/wav", body=SOUND)})) as host:
        assert_refused(fetcher, fetch(fetcher, host.at("/a/0")), 422, "more than 5 times")
        assert fetch(fetcher, host.at("/a/1")).status == 200


def test_a_circle_of_redirects_is_left(fetcher: Server) -> None:
    with receiving(moved("/hook")) as loop:
        answer = fetch(fetcher, loop.url())
    assert_refused(fetcher, answer, 422, "more than 5 times")
    assert (answer.code, len(loop.heard)) == ("fetch_failed", 6)


def test_the_header_goes_to_its_origin_and_never_to_another(fetcher: Server) -> None:
    secret = "Bearer  abc.def=="
    with receiving(says(200)) as other, receiving(says(200)) as first:
        back = first.at("/talk.wav")
        other.answer = moved(back)
        first.answer = by_path(**{
            "start": moved("/on"), "on": moved(other.at("/away")), "talk.wav": says(200, body=SOUND)
        })  # fmt: skip
        assert fetch(fetcher, first.at("/start"), field("url_authorization", f" {secret}\n")).status == 200
    assert [heard.headers.get("authorization") for heard in first.heard] == [secret, secret, None]
    assert [heard.headers.get("authorization") for heard in other.heard] == [None]


@pytest.mark.parametrize(
    "value", ["Bearer a\r\nX-Evil: 1", "Bearer \N{SNOWMAN}", "Bearer a\x00", "B" * 5000, "Bearer a\nb"], ids=ascii
)
def test_a_header_that_is_none_is_refused_and_not_repeated(fetcher: Server, value: str) -> None:
    with offering() as host:
        answer = fetch(fetcher, host.at("/talk.wav"), field("url_authorization", value))
    assert_refused(fetcher, answer, 422, "url_authorization")
    assert value[-10:].encode() not in answer.body
    assert not host.heard


def test_no_cookie_is_carried_from_one_request_to_another(fetcher: Server) -> None:
    with offering("set-cookie: a=b; Path=/") as host:
        for _ in range(2):
            assert fetch(fetcher, host.at("/talk.wav")).status == 200
    assert not any("cookie" in heard.headers for heard in host.heard)


def test_a_server_whose_operator_did_not_allow_it_fetches_nothing(server: Server) -> None:
    with offering() as host:
        answer = fetch(server, host.at("/talk.wav"))
    assert_refused(server, answer, 403, "STENO_URL_FETCH=true")
    assert (answer.code, host.heard) == ("url_fetch_disabled", [])


def test_either_a_file_or_a_url_is_sent(fetcher: Server) -> None:
    with offering() as host:
        url, key = field("url", host.at("/talk.wav")), field("url_authorization", "Bearer a")
        for both in ((ENGINE, url, recording()), (recording(), ENGINE, url)):
            answer = fetcher.post(*both)
            assert_refused(fetcher, answer, 422, "either a file or a url")
            assert answer.json["errors"][0]["field"] == "url"
        for neither in ([ENGINE], [ENGINE, field("url", "")]):
            assert_refused(fetcher, fetcher.post(*neither), 422, "file: Field required")
        for alone in ([ENGINE, key], [ENGINE, key, recording()]):
            assert_refused(fetcher, fetcher.post(*alone), 422, "only together with url")
        assert fetcher.post(ENGINE, field("url", ""), recording()).status == 200
    assert not host.heard


def test_both_are_refused_before_the_file_arrives(fetcher: Server) -> None:
    body = form(ENGINE, field("url", "https://example.org/talk.wav"), recording(SOUND + bytes(MIB)))
    with fetcher.connect() as wire:
        wire.send(head(len(body)) + body[:1000])
        assert_refused(fetcher, wire.answer(), 422, "either a file or a url")


def test_wrong_options_are_refused_before_anything_is_fetched(fetcher: Server) -> None:
    with offering() as host:
        url = field("url", host.at("/talk.wav"))
        assert_refused(fetcher, fetcher.post(url), 422, "engine: Field required")
        assert_refused(fetcher, fetcher.post(url, ENGINE, field("temperature", "0.5")), 422, "cannot honour")
        assert_refused(fetcher, fetcher.post(url, ENGINE, field("callback_url", "http://10.0.0.1/")), 422, "callback")
    assert not host.heard


def test_the_way_of_openai_takes_no_url(fetcher: Server) -> None:
    body = form(field("model", "whisper-1"), field("url", "https://example.org/talk.wav"))
    assert fetcher.send(head(len(body), path="/v1/audio/transcriptions") + body).status in (400, 503)


def test_a_repeated_request_is_the_same_job(fetcher: Server) -> None:
    def ask() -> Answer:
        body = form(ENGINE, field("url", host.at("/talk.wav")))
        return fetcher.send(head(len(body), "Idempotency-Key: once") + body)

    with offering() as host:
        first, again = ask(), ask()
        host.answer = says(200, body=SOUND + b"another")
        other = ask()
    assert (first.job_id, again.headers["idempotency-replayed"]) == (again.job_id, "true")
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    assert fetcher.left() == [first.job_id, f"{first.job_id}/audio.wav", f"{first.job_id}/request.json"]


def test_a_transcript_of_the_same_bytes_is_used_again(serve: Serve, desk: Desk) -> None:
    server = serve(**HERE)
    before = server.post(ENGINE, recording()).job_id
    desk.finishes(before)
    digest = desk.storage.digest(before, "audio.wav")
    reuse.remember(desk.redis, digest, desk.request(before).options, before, 60)
    with offering() as host:
        job_id = fetch(server, host.at("/talk.wav"), field("reuse", "true")).job_id
    told = server.get(f"/status/{job_id}").json
    assert (told["status"], told["reused_from"]) == ("finished", before)
