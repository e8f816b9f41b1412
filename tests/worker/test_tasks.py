"""The job function on its own: what it makes of an attempt that ends in an unforeseen way."""

import errno
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError
from rq import Retry
from rq.job import Job

from conftest import MakeSettings
from steno.config import usable_cores
from steno.jobs.errors import EngineFailed
from steno.jobs.news import stream_key
from steno.jobs.options import Options
from steno.jobs.queue import JobQueue
from steno.jobs.record import CANCELED, ERROR, REQUEST, TRANSCRIPT, JobRequest, error_record, outcome, utc_now
from steno.jobs.settle import settle
from steno.redis_server import free_port
from steno.storage import StorageFull, StorageUnusable
from steno.transcript import Segment, Transcript
from tests.processes import eventually
from worker import progress, tasks
from worker.attempt import Attempt
from worker.progress import Progress

HEARD = Transcript("", "en", None, 1.0, "pocketsphinx", "en-us")


class LastTry(Progress):
    """A job on its last attempt."""

    def begin(self, options: Options) -> None:
        self.attempts = 3


def _request(place: tasks.Workplace, created_at: str) -> None:
    place.storage.create("a", "audio.wav").commit()
    request = JobRequest("a", Options("pocketsphinx", "en-us"), "a.wav", "audio.wav", 0, created_at)
    place.storage.put("a", REQUEST, request.to_dict())


@pytest.fixture
def place(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[tasks.Workplace]:
    """A workplace with one stored job called `a`."""
    made = tasks.Workplace(make_settings())
    monkeypatch.setattr(tasks, "_workplace", made)
    _request(made, utc_now())
    yield made
    made.close()


def fails_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> Transcript:
        raise error

    monkeypatch.setattr(tasks, "_transcribe", fail)


def test_an_unforeseen_error_is_tried_again_and_then_stored(
    place: tasks.Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_with(UnicodeError("odd"), monkeypatch)
    assert isinstance(tasks.transcribe("a"), Retry)
    monkeypatch.setattr(tasks, "Progress", LastTry)
    with pytest.raises(Exception, match="did not foresee"):
        tasks.transcribe("a")
    error = place.storage.get("a", ERROR)
    assert error is not None
    assert error["code"] == "internal"


def test_a_failure_does_not_spoil_what_another_worker_finished(
    place: tasks.Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*arguments: object) -> Transcript:
        place.storage.put("a", TRANSCRIPT, HEARD.to_dict())
        raise EngineFailed

    monkeypatch.setattr(tasks, "_transcribe", late)
    assert tasks.transcribe("a") == {"language": "en", "duration": 1.0, "words": 0}
    assert not place.storage.has("a", ERROR)


@pytest.mark.parametrize("refusal", [StorageFull(), StorageUnusable(errno.EROFS, "read-only")])
@pytest.mark.parametrize("failure", [None, EngineFailed()])
def test_a_disk_that_takes_nothing_costs_a_job_no_attempt(
    place: tasks.Workplace, monkeypatch: pytest.MonkeyPatch, failure: Exception | None, refusal: Exception
) -> None:
    def refuse(*arguments: object) -> None:
        raise refusal

    monkeypatch.setattr(tasks, "Progress", LastTry)
    monkeypatch.setattr(place.storage, "put", refuse)
    if failure is None:
        monkeypatch.setattr(Attempt, "run", lambda *_: HEARD)
    else:
        fails_with(failure, monkeypatch)
    again = tasks.transcribe("a")
    assert isinstance(again, Retry)
    assert again.intervals[0] >= 1
    monkeypatch.undo()
    assert outcome(place.storage, "a") is None


def test_a_job_that_has_its_transcript_is_not_done_again(
    place: tasks.Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.storage.put("a", TRANSCRIPT, HEARD.to_dict())
    fails_with(AssertionError("must not be asked"), monkeypatch)
    assert tasks.transcribe("a") == {"language": "en", "duration": 1.0, "words": 0}


def test_segments_are_told_while_redis_is_there_and_hushed_while_it_is_away(
    redis: Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = Segment(0, 0.0, 1.0, "Words.")
    progress.Progress(Job("a", connection=redis)).heard(segment)
    assert redis.xlen(stream_key("a")) == 1
    with Redis(port=free_port()) as nowhere:
        telling = progress.Progress(Job("a", connection=nowhere))
        for _ in range(3):
            telling.heard(segment)
        assert caplog.text.count("Progress not told") == 1
        monkeypatch.setattr(progress, "_HUSH_SECONDS", 0.0)
        telling = progress.Progress(Job("a", connection=nowhere))
        for _ in range(3):
            telling.heard(segment)
        assert caplog.text.count("Progress not told") == 4


def test_a_redis_that_is_away_is_asked_and_told_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try may take fifteen seconds where packets are lost, and the engine waits meanwhile."""
    tries = 0

    def lost(self: Redis, *command: object, **more: object) -> None:
        nonlocal tries
        tries += 1
        raise RedisError("lost")

    with Redis(port=free_port()) as nowhere:
        monkeypatch.setattr(Redis, "execute_command", lost)
        monkeypatch.setattr(progress, "_LOOK_SECONDS", 0.0)
        monkeypatch.setattr(progress, "_REPORT_SECONDS", 0.0)
        telling = progress.Progress(Job("a", connection=nowhere))
        for share in range(9):
            telling.look_up()
            telling.report("transcribing", share / 9)
    assert tries == 2  # one question, and one word of the new stage


def test_a_job_deleted_while_its_end_is_filed_leaves_no_key(
    place: tasks.Workplace, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.storage.put("a", TRANSCRIPT, HEARD.to_dict())
    digest = place.storage.digest

    def deleted_meanwhile(job_id: str, name: str) -> str:
        found = digest(job_id, name)
        place.storage.delete(job_id)
        return found

    monkeypatch.setattr(place.storage, "digest", deleted_meanwhile)
    settle(place.settings, place.storage, JobQueue(place.settings, redis), "a")
    assert [key for key in redis.scan_iter() if b"steno:same" in key] == []


@pytest.mark.parametrize(("threads", "told"), [(1, "1"), (0, str(usable_cores()))])
def test_the_libraries_of_engines_hear_how_many_threads_they_may_use(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, threads: int, told: str
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    place = tasks.Workplace(make_settings(threads=threads))
    try:
        engine = place.engine_process("pocketsphinx")
        engine.send({"stand_by": "pocketsphinx"})
        environment = Path(f"/proc/{engine.pid}/environ")
        assert eventually(environment.read_text)  # the kernel shows none while the program is being loaded
        assert f"OMP_NUM_THREADS={told}" in environment.read_text().split("\0")
    finally:
        place.close()


def _failed_by_the_sweep(place: tasks.Workplace) -> None:
    place.storage.put("a", ERROR, error_record("worker_died", "It died.", 3))


def _finished_by_another(place: tasks.Workplace) -> None:
    place.storage.put("a", TRANSCRIPT, replace(HEARD, text="first").to_dict())


def _canceled(place: tasks.Workplace) -> None:
    place.storage.put("a", CANCELED, {"canceled_at": utc_now()})


def _another_recording(place: tasks.Workplace) -> None:
    """Under the same Idempotency-Key, and so the same id."""
    place.storage.delete("a")
    _request(place, created_at="2026-01-01T00:00:00.000Z")


def _deleted(place: tasks.Workplace) -> None:
    place.storage.delete("a")


def _contents(place: tasks.Workplace) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in place.settings.upload_dir.glob("a/*")}


@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
@pytest.mark.parametrize(
    "meanwhile", [_failed_by_the_sweep, _finished_by_another, _canceled, _another_recording, _deleted]
)
def test_what_came_of_a_job_while_its_worker_was_frozen_stays(
    place: tasks.Workplace,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: Callable[[tasks.Workplace], None],
    fails: bool,
) -> None:
    after: dict[str, bytes] = {}

    def run(*arguments: object) -> Transcript:
        meanwhile(place)
        after.update(_contents(place))
        if fails:
            raise EngineFailed("It broke.")
        return HEARD

    monkeypatch.setattr(Attempt, "run", run)
    assert not isinstance(tasks.transcribe("a"), Retry)
    assert _contents(place) == after


@pytest.mark.parametrize("how", [_failed_by_the_sweep, _finished_by_another, _canceled, _deleted])
def test_a_job_that_is_over_is_not_begun(
    place: tasks.Workplace, monkeypatch: pytest.MonkeyPatch, how: Callable[[tasks.Workplace], None]
) -> None:
    how(place)
    fails_with(AssertionError("begun"), monkeypatch)
    assert tasks.transcribe("a") == ({} if how is not _finished_by_another else tasks._summary(HEARD))


def test_the_pause_before_an_attempt_grows_up_to_ten_minutes_and_never_fails() -> None:
    assert [tasks._pause(5.0, attempts) for attempts in (1, 2, 3, 4, 5)] == [5.0, 20.0, 80.0, 320.0, 600.0]
    assert (tasks._pause(5.0, 10_000), tasks._pause(0.0, 10_000)) == (600.0, 0.0)
