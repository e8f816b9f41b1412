"""The protocol, word by word: what each request is answered with, and what is there afterwards."""

import itertools
import os
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from api.tests.conftest import Serve
from api.tests.server import Server
from api.tests.tus import STREAM, TALK, WAV, Tus, checksum, job_of, pairs
from api.tests.wire import MIB
from steno.jobs.record import REQUEST, UPLOAD

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20_000)


@pytest.fixture
def tus(server: Server) -> Iterator[Tus]:
    with Tus(server.url) as client:
        yield client


def is_job(server: Server, path: str, data: bytes = WAV) -> bool:
    """Whether the upload has become a job that holds these bytes."""
    folder = server.folder / job_of(path)
    return (folder / REQUEST).exists() and (folder / "audio.wav").read_bytes() == data


def test_options_say_what_the_server_can_do_and_need_no_version(tus: Tus, server: Server) -> None:
    for path in ("/uploads", "/uploads/", "/uploads/any"):
        answer = httpx.options(server.url + path)
        assert answer.status_code == 204
        assert (answer.headers["tus-version"], answer.headers["tus-resumable"]) == ("1.0.0", "1.0.0")
        assert int(answer.headers["tus-max-size"]) == server.settings.max_file_size
        assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256,md5"
        assert set(answer.headers["tus-extension"].split(",")) == {
            "creation", "creation-with-upload", "creation-defer-length", "expiration", "checksum", "termination", "concatenation",
        }  # fmt: skip


def test_pieces_become_a_job_with_its_options_and_every_answer_says_where_it_is(tus: Tus, server: Server) -> None:
    asked = pairs(
        filename="Tälk.WAV", filetype="audio/wav", engine="faster-whisper", language="de", labels="a, b", metadata='{"n":"1"}',
        priority="high",
    )  # fmt: skip
    path = tus.begun(metadata=asked)
    assert not (server.folder / job_of(path) / REQUEST).exists()
    first = tus.patch(path, 0, WAV[:100])
    assert (first.status_code, first.headers["upload-offset"], "steno-job-id" in first.headers) == (204, "100", False)
    where = tus.head(path)
    assert (where.status_code, where.headers["upload-offset"], where.headers["upload-length"]) == (
        200,
        "100",
        str(len(WAV)),
    )
    assert (where.headers["cache-control"], where.headers["upload-metadata"]) == ("no-store", asked)
    last = tus.patch(path, 100, WAV[100:])
    assert (last.status_code, last.headers["upload-offset"]) == (204, str(len(WAV)))
    assert last.headers["steno-job-id"] == job_of(path)
    assert is_job(server, path)
    request = server.request_of(job_of(path))
    assert (request["filename"], request["size"], request["labels"], request["priority"], request["metadata"]) == (
        "Tälk.WAV", len(WAV), ["a", "b"], "high", {"n": "1"},
    )  # fmt: skip
    assert (request["options"]["engine"], request["options"]["language"]) == ("faster-whisper", "de")
    assert server.get(f"/status/{job_of(path)}").json["status"] == "queued"


def test_a_finished_upload_is_answered_for_as_long_as_its_job_is_there(tus: Tus, server: Server) -> None:
    path = tus.begun()
    tus.patch(path, 0, WAV)
    where = tus.head(path)
    assert where.headers["upload-offset"] == where.headers["upload-length"] == str(len(WAV))
    assert (where.headers["steno-job-id"], "upload-expires" in where.headers) == (job_of(path), False)
    assert tus.patch(path, len(WAV)).headers["steno-job-id"] == job_of(path)
    assert tus.patch(path, len(WAV), b"x").status_code == 204
    assert tus.patch(path, 0, b"x").status_code == 409
    assert is_job(server, path)
    assert httpx.delete(f"{server.url}/jobs/{job_of(path)}").status_code == 204
    assert tus.head(path).status_code == 404


def test_the_location_is_a_path_that_clients_resolve(tus: Tus) -> None:
    answer = tus.create()
    assert answer.headers["location"].startswith("/uploads/")
    assert answer.headers["upload-offset"] == "0"
    assert tus.http.post("/uploads/", headers={"Upload-Length": "5", "Upload-Metadata": TALK}).status_code == 201


def test_an_upload_can_be_looked_at(tus: Tus) -> None:
    path = tus.begun()
    tus.patch(path, 0, WAV[:9])
    told = tus.look(path)
    expires_at = told.pop("expires_at")
    assert told == {
        "upload_id": job_of(path), "offset": 9, "length": len(WAV), "filename": "talk.wav", "partial": False, "job_id": None,
    }  # fmt: skip
    assert expires_at.endswith("Z")
    tus.patch(path, 9, WAV[9:])
    assert (tus.look(path)["job_id"], tus.look(path)["expires_at"]) == (job_of(path), None)


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0.0, 2.0.0"])
def test_another_version_is_refused_and_nothing_done(tus: Tus, server: Server, version: str | None) -> None:
    path = tus.begun()
    tus.http.headers = httpx.Headers({} if version is None else {"Tus-Resumable": version})
    for answer in (tus.create(), tus.patch(path, 0, WAV), tus.head(path), tus.delete(path)):
        assert (answer.status_code, answer.headers["tus-version"]) == (412, "1.0.0")
        assert answer.headers["tus-resumable"] == "1.0.0"
    assert len(list(server.folder.iterdir())) == 1
    assert tus.look(path)["offset"] == 0


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, "bad_tus_header"),
        ({"Upload-Length": "-1"}, 400, "bad_tus_header"),
        ({"Upload-Length": "1e3"}, 400, "bad_tus_header"),
        ({"Upload-Length": "\xb2".encode("latin-1")}, 400, "bad_tus_header"),
        ({"Upload-Length": "9" * 19}, 400, "bad_tus_header"),
        ({"Upload-Length": "9", "Upload-Defer-Length": "1"}, 400, "bad_tus_header"),
        ({"Upload-Defer-Length": "2"}, 400, "bad_tus_header"),
        ({"Upload-Length": "9", "Upload-Metadata": "filename !"}, 400, "bad_tus_header"),
        ({"Upload-Length": "9", "Upload-Metadata": f"{TALK},engine YQ=="}, 400, "bad_tus_header"),
        ({"Upload-Length": "9", "Upload-Metadata": f"{TALK},\xe4 YQ==".encode("latin-1")}, 400, "bad_tus_header"),
        ({"Upload-Length": "9", "Upload-Concat": "whole"}, 400, "bad_tus_header"),
        ({"Upload-Length": "0"}, 400, "empty_file"),
        ({"Upload-Length": str(2 * MIB + 1)}, 413, "upload_too_large"),
        ({"Upload-Length": "9", "Upload-Metadata": ""}, 422, "invalid_field"),
        ({"Upload-Length": "9", "Upload-Metadata": pairs(filename="a.wav")}, 422, "invalid_field"),
        ({"Upload-Length": "9", "Upload-Metadata": pairs(engine="whisperx")}, 422, "invalid_field"),
        ({"Upload-Length": "9", "Upload-Metadata": pairs(filename="a.exe", engine="whisperx")}, 400, "unsupported_format"),
        ({"Upload-Length": "9", "Upload-Metadata": pairs(filename="a.wav", engine="x")}, 422, "invalid_field"),
    ],
)  # fmt: skip
def test_a_wrong_creation_is_refused_before_a_byte_is_sent(
    tus: Tus, server: Server, headers: dict[str, Any], status: int, code: str
) -> None:
    answer = tus.http.post("/uploads", headers={"Upload-Metadata": TALK, **headers})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (answer.headers["tus-resumable"], answer.headers["content-type"]) == ("1.0.0", "application/problem+json")
    assert answer.headers.get("tus-max-size") == (str(server.settings.max_file_size) if status == 413 else None)
    assert server.nothing_left()


def test_a_wrong_option_is_named(tus: Tus) -> None:
    answer = tus.create(metadata=pairs(filename="a.wav", engine="faster-whisper", diarize="true", beam_size="99"))
    assert [fault["field"] for fault in answer.json()["errors"]] == ["beam_size"]
    answer = tus.create(metadata=pairs(filename="a.wav", engine="faster-whisper", diarize="true"))
    assert "whisperx can" in answer.json()["detail"]


def test_a_disk_without_room_is_said_at_the_creation(serve: Serve) -> None:
    server = serve(min_free_mb=1 << 40)
    with Tus(server.url) as tus:
        answer = tus.create()
    assert (answer.status_code, answer.json()["code"]) == (507, "out_of_space")
    assert server.nothing_left()


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Upload-Offset": "5"}, 409, "offset_mismatch"),
        ({"Upload-Offset": "20"}, 409, "offset_mismatch"),
        ({}, 400, "bad_tus_header"),
        ({"Upload-Offset": "-10"}, 400, "bad_tus_header"),
        ({"Upload-Offset": "10", "Content-Type": "application/octet-stream"}, 415, "not_offset_stream"),
        ({"Upload-Offset": "10", "Upload-Checksum": "crc32 AAAAAA=="}, 400, "bad_tus_header"),
        ({"Upload-Offset": "10", "Upload-Checksum": "sha1 AAAAAA=="}, 400, "bad_tus_header"),
        ({"Upload-Offset": "10", "Upload-Checksum": "sha1 ?"}, 400, "bad_tus_header"),
        ({"Upload-Offset": "10", "Upload-Checksum": checksum(b"other")}, 460, "checksum_mismatch"),
        ({"Upload-Offset": "10", "Upload-Length": "7"}, 400, "bad_tus_header"),
    ],
)
def test_a_wrong_piece_is_refused_and_changes_nothing(
    tus: Tus, server: Server, headers: dict[str, str], status: int, code: str
) -> None:
    path = tus.begun()
    tus.patch(path, 0, WAV[:10])
    answer = tus.http.patch(path, content=b"0123456789", headers={"Content-Type": STREAM, **headers})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert tus.offset(path) == 10
    assert len(list(server.folder.iterdir())) == 1
    assert tus.patch(path, 10, WAV[10:]).headers["steno-job-id"]
    assert is_job(server, path)


@pytest.mark.parametrize("path", ["/uploads/none", "/uploads/a.b", "/uploads/%2e%2e%2fx", f"/uploads/{'a' * 129}"])
def test_what_is_not_there_is_not_found(tus: Tus, path: str) -> None:
    for answer in (tus.head(path), tus.patch(path, 0, b"x"), tus.delete(path), tus.http.get(path)):
        assert (answer.status_code, "upload-offset" in answer.headers) == (404, False)


def test_the_id_of_a_job_that_came_as_a_form_is_no_upload(tus: Tus, server: Server) -> None:
    form: Any = {"files": {"file": ("a.wav", WAV)}, "data": {"engine": "whisperx"}}
    job_id = httpx.post(f"{server.url}/transcribe", **form).json()["job_id"]
    assert tus.head(f"/uploads/{job_id}").status_code == 404
    assert tus.delete(f"/uploads/{job_id}").status_code == 404


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_a_piece_whose_checksum_is_right_counts(tus: Tus, server: Server, algorithm: str) -> None:
    path = tus.begun()
    for at in (0, 5, 70_000):
        data = {0: WAV[:5], 5: WAV[5:70_000], 70_000: WAV[70_000:]}[at]
        assert tus.patch(path, at, data, Upload_Checksum=checksum(data, algorithm)).status_code == 204
    assert is_job(server, path)
    assert len(list(server.folder.iterdir())) == 1


def test_what_is_not_audio_is_refused_by_its_first_bytes_and_removed(tus: Tus, server: Server) -> None:
    for headers in ({}, {"Upload_Checksum": checksum(PNG[:9000])}):
        path = tus.begun(len(PNG))
        answer = tus.patch(path, 0, PNG[:9000], **headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "not_audio")
        assert tus.head(path).status_code == 404
        assert server.nothing_left()


def test_the_first_bytes_may_come_in_small_pieces_and_the_whole_may_be_small(tus: Tus, server: Server) -> None:
    for cuts in ((0, 3, 8000, 9000), (0, 3, 500)):
        whole = PNG[: cuts[-1]]
        path = tus.begun(9500 if len(whole) == 9000 else len(whole))
        statuses = [tus.patch(path, a, whole[a:b]).status_code for a, b in itertools.pairwise(cuts)]
        assert statuses == [204] * (len(cuts) - 2) + [400]
        assert server.nothing_left()


def test_a_length_may_come_later_but_once(tus: Tus, server: Server) -> None:
    path = tus.begun(None, Upload_Defer_Length="1")
    tus.patch(path, 0, WAV[:100])
    where = tus.head(path)
    assert (where.headers["upload-defer-length"], "upload-length" in where.headers) == ("1", False)
    assert tus.look(path)["length"] is None
    assert tus.patch(path, 100, WAV[100:200], Upload_Length="50").status_code == 400
    assert tus.patch(path, 100, WAV[100:200], Upload_Length=str(2 * MIB + 1)).status_code == 413
    assert tus.patch(path, 100, WAV[100:200], Upload_Length=str(len(WAV))).status_code == 204
    assert tus.patch(path, 200, WAV[200:300], Upload_Length="300").status_code == 400
    where = tus.head(path)
    assert ("upload-defer-length" in where.headers, where.headers["upload-length"]) == (False, str(len(WAV)))
    assert tus.patch(path, 200, WAV[200:], Upload_Length=str(len(WAV))).headers["steno-job-id"]
    assert is_job(server, path)


def test_a_length_that_comes_when_all_is_there_ends_the_upload(tus: Tus, server: Server) -> None:
    path = tus.begun(None, Upload_Defer_Length="1")
    tus.patch(path, 0, WAV)
    assert tus.patch(path, len(WAV), Upload_Length=str(len(WAV))).headers["steno-job-id"]
    assert is_job(server, path)
    empty = tus.begun(None, Upload_Defer_Length="1")
    assert tus.patch(empty, 0, Upload_Length="0").json()["code"] == "empty_file"
    assert tus.head(empty).status_code == 404


def test_more_than_the_length_is_refused(tus: Tus, server: Server) -> None:
    path = tus.begun(100)
    answer = tus.patch(path, 0, WAV[:101])
    assert (answer.status_code, answer.headers["tus-max-size"]) == (413, str(server.settings.max_file_size))
    assert tus.offset(path) == 0
    assert tus.patch(path, 0, iter([WAV[:60], WAV[60:120]])).status_code == 413
    assert tus.look(path)["offset"] == 100
    deferred = tus.begun(None, Upload_Defer_Length="1")
    assert tus.patch(deferred, 0, iter([WAV[:MIB]] * 30)).status_code == 413
    assert tus.look(deferred)["offset"] == server.settings.max_file_size


def test_the_first_bytes_may_come_with_the_creation(tus: Tus, server: Server) -> None:
    answer = tus.create(headers={"Content-Type": STREAM}, content=WAV[:500])
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "500")
    path = answer.headers["location"]
    assert tus.patch(path, 500, WAV[500:]).headers["steno-job-id"] == job_of(path)
    assert is_job(server, path)


def test_all_bytes_may_come_with_the_creation(tus: Tus, server: Server) -> None:
    answer = tus.create(headers={"Content-Type": STREAM, "Upload-Checksum": checksum(WAV)}, content=WAV)
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, str(len(WAV)))
    assert answer.headers["steno-job-id"] == job_of(answer.headers["location"])
    assert is_job(server, answer.headers["location"])


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [(PNG, {}, 400), (WAV[:10], {"Upload-Checksum": checksum(b"")}, 460), (WAV + b"x", {}, 413)],
)
def test_nothing_stays_of_a_creation_whose_bytes_are_refused(
    tus: Tus, server: Server, data: bytes, headers: dict[str, str], status: int
) -> None:
    assert tus.create(headers={"Content-Type": STREAM, **headers}, content=data).status_code == status
    assert server.nothing_left()


def test_clients_that_can_only_post_name_the_method(tus: Tus, server: Server) -> None:
    path = tus.begun()

    def post(method: str, **headers: str) -> httpx.Response:
        return tus.http.post(path, headers={"X-HTTP-Method-Override": method, **headers}, content=b"RIFF")

    assert post("PATCH", **{"Content-Type": STREAM, "Upload-Offset": "0"}).headers["upload-offset"] == "4"
    assert post("HEAD").headers["upload-offset"] == "4"
    for unknown in (post("BREW"), tus.http.post(path), tus.http.put(path)):
        assert (unknown.status_code, unknown.headers["tus-resumable"]) == (405, "1.0.0")
    assert "PATCH" in tus.http.post(path).headers["allow"]
    assert post("DELETE").status_code == 204
    assert server.nothing_left()


def test_deleting_takes_every_byte_and_the_job(tus: Tus, server: Server) -> None:
    for data in (WAV[:10], WAV):
        path = tus.begun()
        tus.patch(path, 0, data)
        answer = tus.delete(path)
        assert (answer.status_code, answer.headers["tus-resumable"]) == (204, "1.0.0")
        assert server.nothing_left()
        for gone in (tus.head(path), tus.patch(path, 10, b"x"), tus.delete(path)):
            assert gone.status_code == 404
    assert server.get(f"/status/{job_of(path)}").status == 404


def test_every_piece_puts_the_end_off_and_one_that_is_late_is_told(serve: Serve) -> None:
    server = serve(tus_expiry=600.0)
    with Tus(server.url) as tus:
        expire(tus, server.folder)


def expire(tus: Tus, root: Path) -> None:
    answer = tus.create()
    path = answer.headers["location"]

    def seconds(answer: httpx.Response) -> float:
        return parsedate_to_datetime(answer.headers["upload-expires"]).timestamp() - time.time()

    def age(by: float) -> None:
        folder = root / job_of(path)
        for each in (*folder.iterdir(), folder):
            os.utime(each, (time.time() - by,) * 2)

    assert 500 < seconds(answer) <= 600
    age(300)
    assert 200 < seconds(tus.head(path)) <= 300
    assert 500 < seconds(tus.patch(path, 0, WAV[:10])) <= 600
    age(601)
    assert tus.http.get(path).status_code == 410
    for late in (tus.head(path), tus.patch(path, 10, b"x")):
        assert (late.status_code, "upload-offset" in late.headers) == (410, False)


def test_only_what_is_below_the_route_speaks_the_protocol(server: Server) -> None:
    for path, speaks in {"/uploads": True, "/uploads/none": True, "/uploadsx": False}.items():
        answer = httpx.get(server.url + path)
        assert (answer.status_code in (404, 405), "tus-resumable" in answer.headers) == (True, speaks)


def test_the_routes_are_described(client: TestClient) -> None:
    told = client.get("/openapi.json").json()["paths"]
    assert set(told["/uploads"]) == {"options", "post"}
    assert set(told["/uploads/{upload_id}"]) == {"head", "patch", "get", "delete"}
    assert {"201", "400", "404", "408", "412", "413", "422", "423", "460", "503", "507"} <= set(
        told["/uploads"]["post"]["responses"]
    )
    patch = told["/uploads/{upload_id}"]["patch"]
    assert {"204", "400", "403", "404", "409", "410", "412", "413", "415", "423", "460", "503", "507"} <= set(
        patch["responses"]
    )
    assert list(patch["requestBody"]["content"]) == [STREAM]
    assert {each["name"] for each in patch["parameters"] if each["in"] == "header"} == {
        "Tus-Resumable", "Upload-Offset", "Upload-Length", "Upload-Checksum",
    }  # fmt: skip


def test_the_record_stays_beside_the_job(tus: Tus, server: Server) -> None:
    path = tus.begun()
    tus.patch(path, 0, WAV)
    assert sorted(each.name for each in (server.folder / job_of(path)).iterdir()) == ["audio.wav", REQUEST, UPLOAD]
