"""POST /transcribe over real sockets: what is taken, what is refused, and that nothing stays of what was refused."""

import hashlib

import pytest

from api.tests.conftest import Serve
from api.tests.server import Server, assert_refused
from api.tests.wire import CHUNKED, ENGINE, KIB, MIB, SOUND, chunk, field, form, head, recording, upload

LIMIT = 2 * MIB
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 64
PDF = b"%PDF-1.7\n" + b"\x00" * 64
ZIP = b"PK\x03\x04" + b"\x00" * 64


def test_a_form_is_stored_whole_before_it_is_answered(server: Server) -> None:
    job_id = server.post(recording(), ENGINE).job_id
    assert server.left() == [job_id, f"{job_id}/audio.wav", f"{job_id}/request.json"]
    assert (server.folder / job_id / "audio.wav").read_bytes() == SOUND


@pytest.mark.parametrize("parts", [(recording(), ENGINE), (ENGINE, recording())], ids=["file first", "engine first"])
def test_the_order_of_the_fields_does_not_matter(server: Server, parts: tuple[bytes, ...]) -> None:
    assert server.request_of(server.post(*parts).job_id)["options"]["engine"] == "whisperx"


def test_labels_may_come_one_by_one_and_what_is_said_twice_counts_once(server: Server) -> None:
    labels = (field("labels", text) for text in ("court", "2026, court", ""))
    told = server.request_of(server.post(ENGINE, *labels, recording()).job_id)
    assert told["labels"] == ["court", "2026"]


def test_the_request_is_written_down(server: Server) -> None:
    job_id = server.post(ENGINE, field("language", "German"), field("model", "tiny"), recording()).job_id
    told = server.request_of(job_id)
    options = told["options"]
    assert (options["engine"], options["language"], options["model"]) == ("whisperx", "de", "tiny")
    assert (told["filename"], told["audio"]) == ("talk.wav", "audio.wav")
    assert (told["job_id"], told["size"]) == (job_id, len(SOUND))


@pytest.mark.parametrize(
    "filename",
    ["talk.WAV", "talk.Mp3", "a.b.c.flac", "../../etc/passwd.wav", "/etc/cron.d/x.wav", "..\\..\\x.wav", ".wav", "🎙️.wav",
     "x\x00y.wav", "a" * 3000 + ".wav", 'qu\\"ote.wav', "semi;colon.wav", "CON.wav"],
    ids=lambda name: ascii(name[:20]),
)  # fmt: skip
def test_a_name_is_for_display_only(server: Server, filename: str) -> None:
    before = sorted(server.folder.parent.iterdir())
    job_id = server.post(ENGINE, recording(filename=filename)).job_id
    told = server.request_of(job_id)
    assert told["filename"] == filename.replace('\\"', '"')[:255]
    assert told["audio"] == f"audio.{filename.rpartition('.')[2].lower()}"
    assert server.left() == [job_id, f"{job_id}/{told['audio']}", f"{job_id}/request.json"]
    assert set(server.folder.parent.iterdir()) <= {*before, server.folder}


def test_bytes_that_are_no_utf8_in_a_name_are_shown_as_replaced(server: Server) -> None:
    job_id = server.post(ENGINE, recording(filename=b"caf\xe9\xed\xa0\x80.wav")).job_id
    assert server.request_of(job_id)["filename"].startswith("caf\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize(
    "filename",
    ["talk.txt", "talk", "", "talk.", "wav", "talk.wav/x", "talk.wav ", "talk.wav\x00", "talk." + "w" * 9000],
)
def test_other_extensions_are_refused(server: Server, filename: str) -> None:
    if len(filename) > 4 * KIB:
        assert_refused(server, server.post(ENGINE, recording(filename=filename)), 400, "header size")
    else:
        assert_refused(server, server.post(ENGINE, recording(filename=filename)), 400, "unsupported format", "wav")


@pytest.mark.parametrize(
    ("content", "said"),
    [(PDF, "application/pdf"), (ZIP, "application/zip"), (PNG, "image/png")],
    ids=["pdf", "zip", "png"],
)
def test_what_is_plainly_no_audio_is_refused_by_its_content(server: Server, content: bytes, said: str) -> None:
    answer = server.post(ENGINE, recording(content, "song.mp3"))
    assert_refused(server, answer, 400, said)
    assert answer.code == "not_audio"


def test_no_audio_is_seen_in_a_long_file_before_its_end(server: Server) -> None:
    body = form(ENGINE, recording(PNG + b"\x00" * MIB, "long.mp3"))
    with server.connect() as wire:
        wire.send(head(len(body)) + body[: 16 * KIB])
        assert_refused(server, wire.answer(), 400, "image/png")


@pytest.mark.parametrize("parts", [(recording(b""), ENGINE), (ENGINE, recording(b""))])
def test_an_empty_file_is_refused(server: Server, parts: tuple[bytes, ...]) -> None:
    answer = server.post(*parts)
    assert_refused(server, answer, 400, "empty")
    assert answer.code == "empty_file"


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((ENGINE,), "file: Field required"),
        ((recording(),), "engine: Field required"),
        ((ENGINE, field("file", SOUND)), "file: Field required"),
        ((ENGINE, recording(), recording()), "one file"),
        ((ENGINE, recording(), recording(name="other")), "only the field 'file'"),
        ((ENGINE, recording(name="audio")), "only the field 'file'"),
        ((field("engine", ""), recording()), "engine: Field required"),
        ((field("engine", b"\xff\xfe"), recording()), "engine"),
        ((field("engine", " whisperx"), recording()), "engine"),
        ((ENGINE, field("note", "x" * 70_000), recording()), "longer than"),
        ((ENGINE, field("metadata", "[" * 60_000), recording()), "metadata: Give a JSON object of texts"),
        ((ENGINE, field("metadata", "[1]"), recording()), "metadata: Give a JSON object of texts"),
        (
            (ENGINE, field("metadata", '{"a": "1", "b": 2}'), recording()),
            'metadata: "b": Input should be a valid string',
        ),
        ((ENGINE, field("metadata", '{"a\\u001b": "1"}'), recording()), "one line without control characters"),
        (
            (ENGINE, field("labels", "a,b\x1b[2J"), recording()),
            'labels: "b',
        ),
    ],
)
def test_a_form_with_wrong_fields_is_refused(server: Server, parts: tuple[bytes, ...], said: str) -> None:
    answer = server.post(*parts)
    assert_refused(server, answer, 422, said)
    assert answer.code == "invalid_field"


@pytest.mark.parametrize("file_first", [True, False], ids=["file first", "options first"])
@pytest.mark.parametrize(
    ("engine", "option", "value", "said"),
    [
        ("nonsense", "language", "en", "engine"),
        ("whisperx", "language", "klingon", "language"),
        ("whisperx", "language", "x" * 41, "language"),
        ("whisperx", "model", "/etc/passwd", "no model"),
        ("whisperx", "model", "openai/whisper-tiny", "no model"),
        ("whisperx", "model", "m" * 201, "model"),
        ("pocketsphinx", "language", "de", "english only"),
        ("timestamped", "model", "distil-large-v3", "no model"),
        (
            "whisperx",
            "temperature",
            "0.5",
            "engine 'whisperx' cannot honour temperature=0.5; timestamped, faster-whisper can",
        ),
        ("whisperx", "temperature", "warm", "temperature"),
        ("whisperx", "temperature", "nan", "temperature"),
        ("whisperx", "vad", "false", "engine 'whisperx' cannot honour vad=false; timestamped, faster-whisper can"),
        ("whisperx", "disfluencies", "true", "engine 'whisperx' cannot honour disfluencies=true; timestamped can"),
        (
            "timestamped",
            "hotwords",
            "Steno",
            "engine 'timestamped' cannot honour hotwords; whisperx, faster-whisper can",
        ),
        ("timestamped", "diarize", "true", "engine 'timestamped' cannot honour diarize=true; whisperx can"),
        ("faster-whisper", "batch_size", "4", "engine 'faster-whisper' cannot honour batch_size=4; whisperx can"),
        ("pocketsphinx", "task", "translate", "engine 'pocketsphinx' cannot honour task=translate"),
        ("pocketsphinx", "beam_size", "5", "engine 'pocketsphinx' cannot honour beam_size=5"),
        ("whisperx", "task", "summarize", "task"),
        ("whisperx", "beam_size", "1000", "beam_size"),
        ("whisperx", "min_speakers", "2", "diarize=true"),
    ],
)
def test_an_option_that_cannot_be_honoured_is_refused(
    server: Server, file_first: bool, engine: str, option: str, value: str, said: str
) -> None:
    options = (field("engine", engine), field(option, value))
    answer = server.post(recording(), *options) if file_first else server.post(*options, recording())
    assert_refused(server, answer, 422, said)
    assert answer.json["errors"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"min_speakers": "2"}, {"diarize": "true"}),
        ({"language": "de", "model": "small.en"}, {"model": "small"}),
        ({"task": "translate", "model": "turbo"}, {"model": "small"}),
        ({"channels": "separate", "diarize": "true"}, {"channels": "mix"}),
    ],
)
def test_what_a_later_field_mends_is_not_refused_before_the_file(
    server: Server, before: dict[str, str], after: dict[str, str]
) -> None:
    def fields(given: dict[str, str]) -> list[bytes]:
        return [field(name, value) for name, value in given.items()]

    assert server.post(ENGINE, *fields(before), recording(), *fields(after)).status == 200
    server.tidy()
    assert_refused(server, server.post(ENGINE, *fields(before), recording()), 422)


def test_a_bad_engine_is_refused_before_the_file_arrives(server: Server) -> None:
    body = form(field("engine", "nonsense"), recording(SOUND + b"\x00" * MIB))
    with server.connect() as wire:
        wire.send(head(len(body)) + body[:KIB])
        assert_refused(server, wire.answer(), 422, "engine")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("modle", "model"),
        ("keep-audio", "keep_audio"),
        ("delete_affter", "delete_after"),
        ("callbackurl", "callback_url"),
    ],
)
def test_a_field_spelt_wrongly_is_told_as_it_should_be(server: Server, written: str, meant: str) -> None:
    said = f"{written}: There is no such field; did you mean '{meant}'?"
    assert_refused(server, server.post(ENGINE, field(written, "1"), recording()), 422, said)


def test_an_engine_spelt_wrongly_is_told_before_the_missing_one(server: Server) -> None:
    answer = server.post(field("engin", "whisperx"), recording())
    assert_refused(server, answer, 422, "engin: There is no such field; did you mean 'engine'?")


@pytest.mark.parametrize(("said", "code"), [("German", "de"), ("GERMAN", "de"), ("de", "de"), (" De ", "de")])
def test_a_language_is_stored_as_its_code(server: Server, said: str, code: str) -> None:
    assert (
        server.request_of(server.post(ENGINE, field("language", said), recording()).job_id)["options"]["language"]
        == code
    )


def test_an_empty_option_counts_as_absent(server: Server) -> None:
    told = server.request_of(server.post(ENGINE, field("language", ""), field("model", ""), recording()).job_id)[
        "options"
    ]
    assert (told["language"], told["model"]) == (None, "small")


def test_the_last_of_several_values_counts(server: Server) -> None:
    assert server.request_of(server.post(ENGINE, recording(), field("engine", "timestamped")).job_id)["options"][
        "engine"
    ] == ("timestamped")


def test_an_engine_off_the_closed_list_is_refused_with_the_way_to_get_it(serve: Serve) -> None:
    server = serve(engines=("faster-whisper",))
    assert_refused(server, server.post(ENGINE, recording()), 422, "whisperx", "pip install 'steno[whisperx]'")
    assert server.post(field("engine", "faster-whisper"), recording()).status == 200


@pytest.mark.parametrize("count", [101, 10_000])
def test_a_flood_of_fields_is_refused(server: Server, count: int) -> None:
    assert_refused(server, server.post(*[field(f"f{n}", "x") for n in range(count)]), 400, "more than 100")


def test_exactly_the_largest_file_is_taken(server: Server) -> None:
    data = SOUND.ljust(LIMIT, b"\x07")
    assert server.sha256_of(server.post(ENGINE, recording(data)).job_id) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "announced"])
def test_one_byte_more_than_the_largest_file_is_refused(server: Server, chunked: bool) -> None:
    body = form(ENGINE, recording(SOUND.ljust(LIMIT + 1, b"\x07")))
    request = CHUNKED + chunk(body) + chunk(b"") if chunked else head(len(body)) + body
    answer = server.send(request)
    assert_refused(server, answer, 400, "too large", str(LIMIT))
    assert answer.code == "file_too_large"


def test_far_too_much_is_refused_as_soon_as_it_is_announced(server: Server) -> None:
    with server.connect() as wire:
        wire.send(head(LIMIT + MIB + 1, "Expect: 100-continue"))
        assert wire.first_bytes(12) == b"HTTP/1.1 400"
        assert server.left() == []


def test_a_client_that_asks_first_is_told_to_go_on(server: Server) -> None:
    body = form(ENGINE, recording())
    with server.connect() as wire:
        wire.send(head(len(body), "Expect: 100-continue"))
        assert wire.first_bytes(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.send(body)
        assert wire.answer().status == 200


def test_a_body_of_unknown_length_is_taken(server: Server) -> None:
    body = form(ENGINE, recording())
    pieces = b"".join(chunk(body[at : at + 7]) for at in range(0, len(body), 7))
    assert server.send(CHUNKED + pieces + chunk(b"")).status == 200


def test_a_connection_is_used_again_after_a_refusal_and_after_an_upload(server: Server) -> None:
    asked = [
        upload(ENGINE, recording(filename="x.txt")),
        upload(ENGINE, recording()),
        upload(recording()),
        upload(ENGINE, recording()),
    ]
    with server.connect() as wire:
        seen = []
        for request in asked:
            wire.send(request)
            seen.append(wire.answer().status)
    assert seen == [400, 200, 422, 200]
