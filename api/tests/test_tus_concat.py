"""Uploads that are made of others: parts that came at the same time, in one recording and one job."""

import itertools
import resource
import threading
from collections.abc import Iterator

import httpx
import pytest

from api.tests.server import Server, kernel_limit
from api.tests.tus import TALK, WAV, Tus, job_of, pairs
from api.tests.wire import MIB
from steno.jobs.record import REQUEST

CUTS = (0, 3, 60_000, len(WAV))
PARTS = [WAV[a:b] for a, b in itertools.pairwise(CUTS)]


@pytest.fixture
def tus(server: Server) -> Iterator[Tus]:
    with Tus(server.url) as client:
        yield client


def part(tus: Tus, data: bytes, sent: int | None = None) -> str:
    """The path of a partial upload; `sent` says how many of its bytes have come."""
    path = tus.begun(len(data), "", Upload_Concat="partial")
    tus.patch(path, 0, data[:sent])
    return path


def joined(tus: Tus, *paths: str, metadata: str = TALK, **headers: str) -> httpx.Response:
    return tus.create(None, metadata, headers={"Upload-Concat": f"final;{' '.join(paths)}", **headers})


def test_parts_become_one_recording_and_one_job(tus: Tus, server: Server) -> None:
    paths = [part(tus, data) for data in PARTS]
    for path in paths:
        where = tus.head(path)
        assert (where.headers["upload-concat"], "steno-job-id" in where.headers) == ("partial", False)
        assert tus.look(path)["partial"]
    asked = pairs(filename="talk.wav", engine="whisperx", labels="x")
    answer = joined(
        tus, paths[0], f"{server.url}{paths[1]}", f"https://steno.example/at/home{paths[2]}?x#y", metadata=asked
    )
    assert answer.status_code == 201
    final = answer.headers["location"]
    assert answer.headers["steno-job-id"] == job_of(final)
    assert (server.folder / job_of(final) / "audio.wav").read_bytes() == WAV
    assert server.request_of(job_of(final))["labels"] == ["x"]
    assert [each.name for each in server.folder.iterdir()] == [job_of(final)]
    where = tus.head(final)
    assert where.headers["upload-offset"] == where.headers["upload-length"] == str(len(WAV))
    assert where.headers["upload-concat"].startswith(f"final;{paths[0]} ")
    assert where.headers["upload-metadata"] == asked
    assert tus.patch(final, len(WAV), b"").status_code == 403
    assert [tus.head(path).status_code for path in paths] == [404] * 3


def test_sent_again_it_is_the_same_job(tus: Tus, server: Server) -> None:
    paths = [part(tus, data) for data in PARTS]
    answers: list[httpx.Response] = []

    def send() -> None:
        with Tus(server.url) as mine:
            answers.append(joined(mine, *paths))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.append(joined(tus, *paths))
    assert {answer.status_code for answer in answers} <= {201, 423}
    assert len({answer.headers["location"] for answer in answers if answer.status_code == 201}) == 1
    assert len(list(server.folder.iterdir())) == 1


@pytest.mark.parametrize("killed_at", ["copying", "copied", "queued"])
def test_whatever_a_process_died_of_the_next_request_ends_it(tus: Tus, server: Server, killed_at: str) -> None:
    paths = [part(tus, data) for data in PARTS]
    final = joined(tus, *paths).headers["location"]
    again = [part(tus, data) for data in PARTS]
    for old, new in zip(paths, again, strict=True):  # the parts of then, as if they had never been deleted
        (server.folder / job_of(new)).rename(server.folder / job_of(old))
    folder = server.folder / job_of(final)
    if killed_at != "queued":
        (folder / REQUEST).unlink()
    if killed_at == "copying":
        (folder / "upload.json").unlink()
        (folder / "audio.wav").rename(folder / "audio.wav.part")
        (folder / "audio.wav.part").write_bytes(WAV[:1000])
    answer = joined(tus, *paths)
    assert (answer.status_code, answer.headers["location"]) == (201, final)
    assert (folder / "audio.wav").read_bytes() == WAV
    assert len(list(server.folder.iterdir())) == 1


@pytest.mark.parametrize(
    ("parts", "status", "said"),
    [
        ("final", 400, "Upload-Concat"),
        ("final;", 400, "Upload-Concat"),
        ("final;/uploads/none", 404, "no such upload"),
        ("final;/elsewhere/{whole}", 400, "not the URL of an upload"),
        ("final;/uploads/..", 400, "not the URL of an upload"),
        ("final;http://[/uploads/x", 400, "not the URL of an upload"),
        ("final;/uploads/{half}", 400, "bytes missing"),
        ("final;/uploads/{whole} /uploads/{half}", 400, "bytes missing"),
        ("final;/uploads/{plain}", 400, "not a partial upload"),
        ("final;/uploads/{empty}", 400, "empty"),
        ("final;/uploads/{picture}", 400, "not audio"),
        (f"final;{' '.join(['/uploads/{whole}'] * (2 * MIB // len(WAV) + 1))}", 413, "at most"),
    ],
)
def test_what_cannot_be_joined_is_refused_and_the_parts_stay(
    tus: Tus, server: Server, parts: str, status: int, said: str
) -> None:
    made = {
        "whole": part(tus, WAV),
        "half": part(tus, WAV, 10),
        "plain": tus.begun(),
        "empty": part(tus, b""),
        "picture": part(tus, b"\x89PNG\r\n\x1a\n" + bytes(9000)),
    }
    asked = parts.format(**{name: job_of(path) for name, path in made.items()})
    answer = tus.create(None, headers={"Upload-Concat": asked})
    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert {each.name for each in server.folder.iterdir()} == set(map(job_of, made.values()))


def test_a_join_with_a_length_or_wrong_fields_is_refused(tus: Tus) -> None:
    path = part(tus, WAV)
    assert joined(tus, path, **{"Upload-Length": "5"}).status_code == 400
    assert joined(tus, path, metadata=pairs(filename="talk.wav")).status_code == 422
    assert joined(tus, path).status_code == 201


def test_a_part_may_be_used_more_than_once_in_one_recording(tus: Tus, server: Server) -> None:
    path = part(tus, WAV)
    final = joined(tus, path, path).headers["location"]
    assert (server.folder / job_of(final) / "audio.wav").read_bytes() == WAV * 2


def test_a_full_disk_costs_no_part(tus: Tus, server: Server) -> None:
    paths = [part(tus, data) for data in PARTS]
    with kernel_limit(resource.RLIMIT_FSIZE, 50_000):
        assert joined(tus, *paths).status_code == 507
    assert {each.name for each in server.folder.iterdir()} == set(map(job_of, paths))
    assert joined(tus, *paths).status_code == 201
