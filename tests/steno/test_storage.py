import contextlib
import os
import sys
import threading
import uuid
from pathlib import Path

import pytest

from steno.jobs.submit import keyed_job_id
from steno.storage import LocalStorage, StorageFull, is_job_id

UUID = "0f4ab783-a130-4bcd-a0ab-9ba6dcf84c3a"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "jobs")


def views(*parts: bytes) -> list[memoryview]:
    return [memoryview(part) for part in parts]


def test_a_recording_is_absent_until_committed_then_whole(storage: LocalStorage) -> None:
    upload = storage.create("a", "audio.wav")
    upload.write(views(b"ab", b"", b"cd"))
    upload.write(views(b"ef"))
    assert not storage.has("a", "audio.wav")
    upload.commit()
    with storage.fetch("a", "audio.wav") as path:
        assert Path(path).read_bytes() == b"abcdef"
    assert upload.size == 6
    assert [p.name for p in (storage.root / "a").iterdir()] == ["audio.wav"]


def test_more_buffers_than_the_system_takes_at_once_are_all_written(storage: LocalStorage) -> None:
    upload = storage.create("a", "audio.wav")
    upload.write(views(*[bytes([n % 256]) * 3 for n in range(5000)]))
    upload.commit()
    with storage.fetch("a", "audio.wav") as path:
        assert Path(path).read_bytes() == b"".join(bytes([n % 256]) * 3 for n in range(5000))


@pytest.mark.parametrize("ended", ["left", "killed", "committed"])
def test_an_upload_goes_on_from_what_is_there(storage: LocalStorage, ended: str) -> None:
    upload = storage.create("a", "audio.wav")
    upload.write(views(b"abc", b"def"))
    if ended == "left":
        upload.leave()
        upload.leave()
    elif ended == "committed":
        upload.commit()
    again = storage.resume("a", "audio.wav")
    assert (again.size, again.head(2), again.head(99)) == (6, b"ab", b"abcdef")
    if ended != "committed":
        again.write(views(b"ghi"))
        assert (again.size, again.head(99)) == (9, b"abcdefghi")
    again.commit()
    with storage.fetch("a", "audio.wav") as path:
        assert Path(path).read_bytes() == b"abcdef" + (b"ghi" if ended != "committed" else b"")
    assert storage.names("a") == ["audio.wav"]
    upload.leave()


def test_what_was_never_begun_cannot_be_resumed(storage: LocalStorage) -> None:
    with pytest.raises(FileNotFoundError):
        storage.resume("a", "audio.wav")
    storage.create("a", "audio.wav").leave()
    with pytest.raises(FileNotFoundError):
        storage.resume("a", "audio.mp3")


def test_one_who_was_overtaken_writes_where_its_bytes_belong(storage: LocalStorage) -> None:
    """A process that was frozen and has lost its lock: its bytes are those of the same client at the same place."""
    frozen = storage.create("a", "audio.wav")
    frozen.write(views(b"ab"))
    other = storage.resume("a", "audio.wav")
    other.write(views(b"cdef"))
    frozen.write(views(b"cd"))
    assert other.head(99) == b"abcdef"
    other.leave()
    frozen.leave()
    assert storage.resume("a", "audio.wav").size == 6


def test_an_upload_is_appended_to_another_and_stays(storage: LocalStorage) -> None:
    whole, part = storage.create("a", "audio.wav"), storage.create("b", "piece")
    data = os.urandom(3 << 20)
    whole.write(views(b"head"))
    part.write(views(data))
    whole.append(part)
    whole.commit()
    with storage.fetch("a", "audio.wav") as path:
        assert Path(path).read_bytes() == b"head" + data
    assert (part.size, part.head(10)) == (len(data), data[:10])
    part.discard()


def test_a_deletion_that_is_cut_short_leaves_nothing_that_would_be_taken_up(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.create("a", "audio.wav").commit()
    for name in ("request.json", "upload.json"):
        storage.put("a", name, {})
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda *_, **__: None)
        storage.delete("a")
    (rest,) = storage.job_ids()
    assert storage.names(rest) == ["audio.wav"]
    assert rest != "a"


def test_a_discarded_upload_leaves_nothing(storage: LocalStorage) -> None:
    for committed in (False, True):
        upload = storage.create("a", "audio.wav")
        upload.write(views(b"x"))
        if committed:
            upload.commit()
        upload.discard()
        upload.discard()
        assert list(storage.job_ids()) == []


def test_records_are_replaced_whole(storage: LocalStorage) -> None:
    storage.create("a", "audio.wav").commit()
    storage.put("a", "request.json", {"n": 1, "text": "é"})
    storage.put("a", "request.json", {"n": 2})
    assert storage.get("a", "request.json") == {"n": 2}
    assert sorted(p.name for p in (storage.root / "a").iterdir()) == ["audio.wav", "request.json"]


def test_what_is_not_there_is_none(storage: LocalStorage) -> None:
    assert storage.get("a", "request.json") is None
    assert not storage.has("a", "request.json")
    assert list(storage.job_ids()) == []
    assert storage.idle_seconds("a") == 0
    with pytest.raises(FileNotFoundError), storage.fetch("a", "audio.wav"):
        pass
    storage.delete("a")


def test_a_full_disk_is_said_as_such(storage: LocalStorage) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    upload = storage.create("a", "audio.wav")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, upload._handle)
    os.close(full)
    with pytest.raises(StorageFull):
        upload.write(views(b"x"))
    upload.discard()
    assert list(storage.job_ids()) == []


def test_a_job_is_deleted_though_somebody_writes_into_it(storage: LocalStorage) -> None:
    """As a worker does that finishes the job in this moment."""
    for number in range(100):
        job_id, begun = f"job{number}", threading.Event()
        storage.create(job_id, "audio.wav").commit()

        def write(job_id: str = job_id, begun: threading.Event = begun) -> None:
            with contextlib.suppress(FileNotFoundError):
                while True:
                    storage.put(job_id, "transcript.json", {"text": "Tea?"})
                    begun.set()

        writer = threading.Thread(target=write)
        writer.start()
        begun.wait()
        storage.delete(job_id)
        writer.join()
    assert list(storage.root.iterdir()) == []


def test_deleting_takes_every_byte(storage: LocalStorage) -> None:
    storage.create("a", "audio.wav").commit()
    storage.put("a", "request.json", {})
    storage.delete("a")
    assert list(storage.root.iterdir()) == []


@pytest.mark.strict_ids
@pytest.mark.parametrize(
    "job_id",
    [
        "",
        "..",
        "a/b",
        "../a",
        "a.b",
        "a\0",
        "ä",
        "a" * 129,
        "a\n",
        "Documents",
        "steno-data",
        UUID.upper(),
        f"{UUID}\n",
        UUID[1:],
    ],
)
def test_a_job_id_is_never_a_path_nor_what_others_call_their_folders(storage: LocalStorage, job_id: str) -> None:
    assert not is_job_id(job_id)
    with pytest.raises(ValueError, match="job id"):
        storage.get(job_id, "request.json")


@pytest.mark.strict_ids
def test_what_steno_did_not_make_is_no_job(storage: LocalStorage) -> None:
    for name in ("Documents", "job", UUID):
        (storage.root / name).mkdir(parents=True)
    assert list(storage.job_ids()) == [UUID]
    assert is_job_id(keyed_job_id("a key"))
    assert is_job_id(str(uuid.uuid4()))


def test_idle_time_is_that_of_the_newest_write(storage: LocalStorage) -> None:
    upload = storage.create("a", "audio.wav")
    for path in (storage.root / "a", storage.root / "a" / "audio.wav.part"):
        os.utime(path, (1, 1))
    assert storage.idle_seconds("a") > 1000
    upload.write(views(b"still arriving"))
    assert storage.idle_seconds("a") < 60
    upload.discard()


def test_no_job_id_is_interned(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `Path` does; the holes that Python's table of such strings leaves when it is rebuilt made the API grow."""
    interned: list[str] = []

    def intern(text: str) -> str:
        interned.append(text)
        return text

    monkeypatch.setattr(sys, "intern", intern)
    upload = storage.create("born", "audio.wav")
    upload.write(views(b"RIFF"))
    upload.move_to("job-7")
    upload.commit()
    storage.put("job-7", "request.json", {})
    assert storage.get("job-7", "request.json") == {}
    assert storage.has("job-7", "audio.wav")
    assert storage.digest("job-7", "audio.wav")
    assert storage.written_at("job-7", "audio.wav")
    assert storage.idle_seconds("job-7") < 60
    assert sorted(storage.names("job-7")) == ["audio.wav", "request.json"]
    assert list(storage.job_ids()) == ["job-7"]
    storage.tidy("job-7", 60)
    storage.remove("job-7", "audio.wav")
    storage.delete("job-7")
    assert not interned
