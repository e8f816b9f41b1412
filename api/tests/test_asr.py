"""/asr and /detect-language: parameters, files of every name, waiting and refusing, with jobs that a test moves by hand."""

import json
from typing import Any, Final

import httpx
import pytest
from fastapi.testclient import TestClient

from api.tests.asked import Asked, assert_hanging_up_cancels
from api.tests.conftest import Serve
from api.tests.desk import Desk
from api.tests.listener import ears
from api.tests.server import Server, assert_refused, eventually
from api.tests.wire import KIB, MIB, SOUND, Answer, field, form, head, recording
from conftest import DATA
from steno.jobs import steer
from steno.jobs.options import Options
from steno.jobs.record import outcome

ASR: Final = "/asr"
DETECT: Final = "/detect-language"
SAMPLES: Final = bytes(range(256)) * 8


def audio(data: bytes = SOUND, filename: str = "talk.wav") -> bytes:
    return recording(data, filename, name="audio_file")


def request(path: str = ASR, *parts: bytes) -> bytes:
    body = form(*(parts or (audio(),)))
    return head(len(body), path=path) + body


@pytest.fixture
def served(serve: Serve, desk: Desk) -> Server:
    """A server over the desk's folder and Redis, with a worker that never comes to its jobs."""
    desk.offer("whisperx", 60)
    return serve(asr_wait=20.0)


def finished(served: Server, desk: Desk, path: str = ASR, *parts: bytes) -> Answer:
    """The answer to a request whose job hears what HEARD says."""
    asked = Asked(served, desk, request(path, *parts))
    desk.finishes(asked.job_id)
    return asked.answer()


def options_of(served: Server, desk: Desk, path: str, *parts: bytes) -> Options:
    """Of the job that a request makes; its client hangs up."""
    asked = Asked(served, desk, request(path, *parts))
    options = desk.request(asked.job_id).options
    steer.cancel(desk.storage, desk.queue, asked.job_id)
    assert asked.answer().code == "job_canceled"
    assert eventually(lambda: not ears(desk.redis))
    return options


def test_the_answer_is_the_transcript_with_the_headers_of_the_original(served: Server, desk: Desk) -> None:
    asked = Asked(served, desk, request(f"{ASR}?output=srt&word_timestamps=true", audio(filename='Grüße & "x".wav')))
    desk.finishes(asked.job_id)
    answer = asked.answer()
    assert answer.status == 200
    assert answer.body == (
        b"1\n00:00:00,500 --> 00:00:01,250\nGood morning.\n\n2\n00:00:02,000 --> 00:00:03,500\nTea & <cake>?\n\n"
    )
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["asr-engine"] == "whisperx"
    assert answer.headers["content-disposition"] == 'attachment; filename="Gr%C3%BC%C3%9Fe%20%26%20%22x%22.wav.srt"'
    assert answer.headers["steno-warnings"] == "It was short."
    assert answer.headers["x-request-id"] == asked.job_id
    assert eventually(lambda: not ears(desk.redis))


@pytest.mark.parametrize(
    ("query", "ending"), [("", "txt"), ("?output=text", "text"), ("?output=%22%0d%0aX:", "%22%0D%0AX%3A")]
)
def test_without_a_format_that_there_is_it_is_text(served: Server, desk: Desk, query: str, ending: str) -> None:
    answer = finished(served, desk, f"{ASR}{query}")
    assert answer.body == b"Good morning.\nTea & <cake>?\n"
    assert answer.headers["content-disposition"] == f'attachment; filename="talk.wav.{ending}"'


def test_what_is_asked_reaches_the_job(served: Server, desk: Desk) -> None:
    query = (
        "encode=True&task=translate&language=German&initial_prompt=Gr%C3%BC%C3%9Fe&vad_filter=true&word_timestamps=1"
        "&diarize=yes&min_speakers=2&max_speakers=3&hotwords=Ann&model=whisperx/large-v3&output=json"
    )
    assert options_of(served, desk, f"{ASR}?{query}") == Options(
        "whisperx",
        "large-v3",
        "de",
        "translate",
        "Grüße",
        "Ann",
        vad=True,
        diarize=True,
        min_speakers=2,
        max_speakers=3,
    )


def test_nothing_asked_is_the_engines_own_way(serve: Serve, desk: Desk) -> None:
    desk.offer("faster-whisper", 60)
    options = options_of(serve(), desk, f"{ASR}?language=&min_speakers=2&hotwords=&word_timestamps=false&diarize=0")
    assert options == Options("faster-whisper", "small")


@pytest.mark.parametrize(("query", "words"), [("", 0), ("&word_timestamps=True", 5)])
def test_words_are_told_where_they_are_asked_for(served: Server, desk: Desk, query: str, words: int) -> None:
    segments = finished(served, desk, f"{ASR}?output=json{query}").json["segments"]
    assert sum(len(segment.get("words", ())) for segment in segments) == words


@pytest.mark.parametrize(
    ("engine", "vad", "said"),
    [("whisperx", None, "vad_filter=false changed nothing. It was short."), ("faster-whisper", False, "It was short.")],
)
def test_a_voice_filter_that_cannot_be_switched_off_stays_on_and_it_is_said(
    serve: Serve, desk: Desk, engine: str, vad: bool | None, said: str
) -> None:
    desk.offer(engine, 60)
    asked = Asked(serve(openai_engine=engine), desk, request(f"{ASR}?vad_filter=false"))
    assert desk.request(asked.job_id).options.vad is vad
    desk.finishes(asked.job_id)
    assert asked.answer().headers["steno-warnings"].endswith(said)


def test_what_it_does_not_know_is_ignored_wherever_it_stands(served: Server, desk: Desk) -> None:
    parts = [
        field("language", "klingon"), field("engine", "nonsense"), recording(b"%PDF-1.7\n" + bytes(99), "a.pdf"),
        audio(), recording(bytes(20), "b.exe", name="cover"), field("output", "docx"),
    ]  # fmt: skip
    query = "video_file=%2Ffilms%2FDune.mkv&enable_diarization=maybe&return_speaker_embeddings=true&temperature=9"
    asked = Asked(served, desk, request(f"{ASR}?{query}", *parts))
    desk.finishes(asked.job_id)
    assert asked.answer().status == 200
    assert (desk.settings.upload_dir / asked.job_id / "audio.wav").read_bytes() == SOUND
    assert desk.request(asked.job_id).options == Options("whisperx", "small")


@pytest.mark.parametrize("model", ["whisperx/nothing", "timestamped/small", "x\u00fc\n" * 300])
def test_a_model_that_there_is_not_is_replaced_and_it_is_said(served: Server, desk: Desk, model: str) -> None:
    answer = finished(served, desk, f"{ASR}?{httpx.QueryParams(model=model)}")
    assert answer.status == 200
    assert "the default one has listened" in answer.headers["steno-warnings"]


def test_speakers_that_no_engine_can_tell_apart_are_left_out_and_it_is_said(serve: Serve, desk: Desk) -> None:
    desk.offer("faster-whisper", 60)
    server = serve()
    asked = Asked(server, desk, request(f"{ASR}?diarize=true&min_speakers=2&output=json"))
    assert not desk.request(asked.job_id).options.diarize
    desk.finishes(asked.job_id)
    answer = asked.answer()
    assert "does not tell speakers apart" in answer.headers["steno-warnings"]
    assert "speaker" not in json.loads(answer.body)["segments"][0]


def test_speakers_are_told_apart_by_an_engine_that_can(serve: Serve, desk: Desk) -> None:
    desk.offer("whisperx", 60)
    desk.offer("faster-whisper", 60)
    server = serve(openai_engine="faster-whisper")
    options = options_of(server, desk, f"{ASR}?diarize=true&max_speakers=2")
    assert (options.engine, options.diarize, options.max_speakers) == ("whisperx", True, 2)
    assert options_of(server, desk, ASR).engine == "faster-whisper"


IMPOSSIBLE: Final = [
    ("task=sing", "task", "transcribe"),
    (f"output={'x' * 41}", "output", "40 characters"),
    ("encode=perhaps", "encode", "boolean"),
    ("language=klingon", "language", "klingon"),
    ("model=turbo&task=translate", "task", "not trained to translate"),
    ("diarize=true&min_speakers=3&max_speakers=2", "min_speakers", "more than"),
    ("min_speakers=many", "min_speakers", "integer"),
    ("model=pocketsphinx/en-us&initial_prompt=Ann", "initial_prompt", "cannot honour"),
    ("model=pocketsphinx/en-us&task=translate", "task", "cannot honour"),
    ("model=pocketsphinx/en-us&language=fr", "language", "English only"),
]


def test_what_cannot_be_done_is_refused_before_the_upload_is_read(served: Server, desk: Desk) -> None:
    desk.offer("pocketsphinx", 60)
    for query, name, said in IMPOSSIBLE:
        with served.connect() as wire:
            wire.send(head(MIB, path=f"{ASR}?{query}") + b"x" * KIB)
            answer = wire.answer()
        assert_refused(served, answer, 422, said)
        assert [each["field"] for each in answer.json["errors"]] == [name], query


@pytest.mark.parametrize("path", [ASR, DETECT])
def test_without_its_file_a_form_is_refused(served: Server, path: str) -> None:
    for parts in ((field("audio_file", "talk.wav"),), (recording(),)):
        answer = served.send(request(path, *parts))
        assert_refused(served, answer, 422, "audio_file: Field required")
    assert_refused(served, served.send(request(path, audio(), audio())), 422, "one file")


@pytest.mark.parametrize("filename", ["audio_file", "", "film.mkv"])
def test_raw_samples_become_a_recording_whatever_their_name(served: Server, desk: Desk, filename: str) -> None:
    asked = Asked(served, desk, request(f"{ASR}?encode=false", audio(b"%PDF" + SAMPLES, filename)))
    told = desk.request(asked.job_id)
    stored = (desk.settings.upload_dir / asked.job_id / "audio.wav").read_bytes()
    desk.finishes(asked.job_id)
    assert asked.answer().headers["content-disposition"] == f'attachment; filename="{filename}.txt"'
    assert (told.filename, told.audio, told.size) == (filename, "audio.wav", len(stored))
    assert (stored[:4], stored[8:16], stored[44:]) == (b"RIFF", b"WAVEfmt ", b"%PDF" + SAMPLES)


def test_no_samples_are_an_empty_file(served: Server) -> None:
    answer = served.send(request(f"{ASR}?encode=false", audio(b"", "audio_file")))
    assert_refused(served, answer, 400, "empty")
    assert answer.code == "empty_file"


def test_raw_samples_count_as_they_were_sent(serve: Serve, desk: Desk) -> None:
    desk.offer("whisperx", 60)
    server = serve(max_file_size=2 * KIB)
    assert server.send(request(f"{ASR}?encode=false", audio(SAMPLES + b"x"))).code == "file_too_large"
    assert eventually(server.nothing_left)
    assert finished(server, desk, f"{ASR}?encode=false", audio(SAMPLES)).status == 200


@pytest.mark.parametrize(
    ("name", "filename", "stored"),
    [
        ("exact-en-4.mp3", "audio_file", "audio.mp3"),
        ("exact-en-3.wav", "recording", "audio.wav"),
        ("exact-en-2.m4a", "voice.bin", "audio.m4a"),
        ("exact-en-6.flac", "", "audio.flac"),
        ("exact-en-6.flac", "a.mp3", "audio.mp3"),
    ],
)
def test_a_name_that_says_nothing_is_made_up_for_by_the_content(
    served: Server, desk: Desk, name: str, filename: str, stored: str
) -> None:
    data = (DATA / name).read_bytes()
    asked = Asked(served, desk, request(ASR, audio(data, filename)))
    told = desk.request(asked.job_id)
    assert (told.audio, told.filename, told.size) == (stored, filename, len(data))
    assert (desk.settings.upload_dir / asked.job_id / stored).read_bytes() == data
    desk.finishes(asked.job_id)
    assert asked.answer().status == 200


def test_what_recorders_call_mp4_is_m4a(served: Server, desk: Desk) -> None:
    asked = Asked(served, desk, request(ASR, audio(b"\0\0\0\x18ftypmp42" + bytes(100), "audio_file")))
    assert desk.request(asked.job_id).audio == "audio.m4a"
    desk.finishes(asked.job_id)
    assert asked.answer().status == 200


NONSENSE: Final = [
    (b"\x1aE\xdf\xa3\x42\x82\x84webm" + bytes(100), "audio_file", "unsupported_format"),
    (b"OggS" + bytes(20_000), "a.ogg", "unsupported_format"),
    (b"hello" * 5000, "notes.txt", "unsupported_format"),
    (b"%PDF-1.7\n" + bytes(20_000), "audio_file", "not_audio"),
    (b"", "audio_file", "empty_file"),
]


def test_a_name_and_content_that_say_nothing_are_refused(served: Server) -> None:
    for data, filename, code in NONSENSE:
        answer = served.send(request(ASR, audio(data, filename)))
        assert_refused(served, answer, 400)
        assert answer.code == code


def test_a_nameless_recording_may_come_in_the_smallest_pieces(served: Server, desk: Desk) -> None:
    whole = request(ASR, audio((DATA / "exact-en-4.mp3").read_bytes()[: 20 * KIB], "audio_file"))
    with served.connect() as wire:
        for at in range(0, len(whole), 997):
            wire.send(whole[at : at + 997])
        assert eventually(lambda: ears(desk.redis) == 1)
        (job_id,) = desk.queue.unfinished()
        desk.finishes(job_id)
        assert wire.answer().status == 200
    assert desk.request(job_id).size == 20 * KIB


def test_the_language_is_told_and_its_recording_not_kept(served: Server, desk: Desk) -> None:
    asked = Asked(served, desk, request(f"{DETECT}?encode=false", audio(SAMPLES, "audio_file")))
    told = desk.request(asked.job_id)
    desk.finishes(asked.job_id)
    answer = asked.answer()
    assert answer.body == b'{"detected_language":"english","language_code":"en","confidence":0.98}'
    assert (answer.headers["content-type"], answer.headers["x-request-id"]) == ("application/json", asked.job_id)
    assert (told.options, told.keep_audio) == (
        Options("whisperx", "small", word_timestamps=False, language_only=True), False,
    )  # fmt: skip


@pytest.mark.parametrize(("code", "status"), [("audio_empty", 400), ("engine_died", 500), ("newer", 500)])
@pytest.mark.parametrize("path", [ASR, DETECT])
def test_a_job_that_fails_is_an_error(served: Server, desk: Desk, path: str, code: str, status: int) -> None:
    asked = Asked(served, desk, request(path))
    desk.fails(asked.job_id, code, "It went wrong.")
    answer = asked.answer()
    assert (answer.status, answer.code, answer.detail) == (status, code, "It went wrong.")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == asked.job_id


def test_a_job_that_somebody_cancels_or_deletes_is_an_error(served: Server, desk: Desk) -> None:
    asked = Asked(served, desk, request())
    steer.cancel(desk.storage, desk.queue, asked.job_id)
    assert (asked.answer().status, asked.answer().code) == (409, "job_canceled")
    assert eventually(lambda: not ears(desk.redis))
    asked = Asked(served, desk, request())
    steer.delete(desk.storage, desk.queue, asked.job_id)
    assert (asked.answer().status, asked.answer().code) == (404, "job_not_found")


@pytest.mark.parametrize("path", [ASR, DETECT])
def test_after_its_time_the_answer_names_the_job_which_goes_on(serve: Serve, desk: Desk, path: str) -> None:
    desk.offer("whisperx", 60)
    answer = serve(asr_wait=0.3, openai_wait=60.0).send(request(path))
    job_id = answer.headers["x-request-id"]
    assert (answer.status, answer.code) == (504, "still_at_work")
    assert f"/status/{job_id}" in answer.detail
    assert (desk.queue.unfinished(), outcome(desk.storage, job_id)) == ({job_id}, None)


@pytest.mark.parametrize("keep", [False, True])
def test_who_hangs_up_cancels_the_job_unless_told_otherwise(serve: Serve, desk: Desk, keep: bool) -> None:
    desk.offer("whisperx", 60)
    server = serve(openai_keep_abandoned=keep)
    assert_hanging_up_cancels(server, desk, request(), keep)


@pytest.mark.parametrize("encode", ["true", "false"])
def test_who_hangs_up_in_the_upload_leaves_nothing(served: Server, encode: str) -> None:
    whole = request(f"{ASR}?encode={encode}", audio(bytes(MIB), "audio_file" if encode == "false" else "a.wav"))
    for cut in (300, 400, len(whole) // 2):
        with served.connect() as wire:
            wire.send(whole[:cut])
    assert eventually(served.nothing_left)


@pytest.mark.parametrize("path", [ASR, DETECT])
def test_a_full_queue_is_refused_before_the_upload_is_read(serve: Serve, desk: Desk, path: str) -> None:
    desk.offer("whisperx", 60)
    server = serve(openai_queue=0)
    desk.queued("first")
    with server.connect() as wire:
        wire.send(head(MIB, path=path) + b"x" * KIB)
        answer = wire.answer()
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "queue_full", "10")
    assert desk.queue.unfinished() == {"first"}


def test_without_a_worker_nothing_is_taken(serve: Serve, desk: Desk) -> None:
    answer = serve().send(request())
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "no_worker", "10")
    desk.offer("whisperx", 60)
    server = serve(openai_engine="faster-whisper")
    for path in (ASR, DETECT):
        answer = server.send(request(path))
        assert (answer.status, answer.code) == (503, "no_worker")
        assert "faster-whisper" in answer.detail
    assert eventually(server.nothing_left)


def test_without_redis_it_is_unavailable(offline_client: TestClient) -> None:
    answer = offline_client.post(ASR, files={"audio_file": ("a.wav", b"RIFF")})
    assert (answer.status_code, answer.json()["code"]) == (503, "queue_unavailable")


def test_a_disk_that_is_full_is_said_so(serve: Serve, desk: Desk) -> None:
    desk.offer("whisperx", 60)
    answer = serve(min_free_mb=1 << 40).send(request())
    assert (answer.status, answer.code) == (507, "out_of_space")


def test_both_routes_are_described(client: TestClient) -> None:
    told: dict[str, Any] = client.get("/openapi.json").json()["paths"]
    for path, names in ((ASR, {"task", "language", "output", "vad_filter", "diarize", "encode"}), (DETECT, {"encode"})):
        route = told[path]["post"]
        assert names <= {each["name"] for each in route["parameters"]}
        assert all(each["in"] == "query" and each["description"] for each in route["parameters"])
        body = route["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert body["required"] == ["audio_file"]
        assert {"200", "400", "404", "408", "409", "422", "500", "503", "504", "507"} <= set(route["responses"])
    (output,) = [each for each in told[ASR]["post"]["parameters"] if each["name"] == "output"]
    assert "txt, vtt, srt, tsv, json" in output["description"]
    assert (output["schema"]["type"], output["schema"]["default"]) == ("string", "txt")
    assert list(told[ASR]["post"]["responses"]["200"]["content"]) == ["text/plain"]
