"""The last step of an upload: storage first, then Redis; when either fails, nothing is left in both."""

import resource
from collections.abc import Callable

import pytest
from redis import Redis
from redis.exceptions import RedisError

from api.tests.desk import Desk
from api.tests.server import kernel_limit
from conftest import MakeSettings
from steno.config import Settings
from steno.jobs.options import Options
from steno.jobs.queue import UNFINISHED, JobQueue
from steno.jobs.record import REQUEST, JobRequest
from steno.jobs.state import queue_name
from steno.jobs.submit import Claim, Overtaken, Submission, keyed_job_id, submit
from steno.redis_server import free_port
from steno.storage import LocalStorage, StorageFull, Upload


def assert_nothing_left(desk: Desk) -> None:
    assert list(desk.storage.root.iterdir()) == []
    assert desk.redis.keys("rq:job:*") == []
    assert desk.queue.unfinished() == set()


def test_a_job_that_was_submitted_is_in_storage_and_in_its_queue(desk: Desk) -> None:
    job_id = desk.queued(engine="timestamped")
    assert desk.queue.queue("timestamped").get_job_ids() == [job_id]
    assert desk.queue.unfinished() == {job_id}
    request = JobRequest.from_dict(desk.storage.get(job_id, REQUEST) or {})
    assert request.options == Options("timestamped", "small")
    assert (request.size, request.filename) == (4, "talk.wav")


class Watchful(JobQueue):
    """A queue that looks at what is in storage when a job comes."""

    def __init__(self, settings: Settings, redis: Redis, storage: LocalStorage) -> None:
        super().__init__(settings, redis)
        self.storage, self.saw = storage, list[tuple[bool, bool]]()

    def enqueue(self, request: JobRequest) -> bool:
        has = self.storage.has
        self.saw.append((has(request.job_id, request.audio), has(request.job_id, REQUEST)))
        return super().enqueue(request)


def test_recording_and_request_are_stored_before_a_worker_can_hear_of_them(desk: Desk) -> None:
    watchful = Watchful(desk.settings, desk.redis, desk.storage)
    desk.queue = watchful
    desk.queued()
    assert watchful.saw == [(True, True)]


def test_nothing_is_left_when_redis_is_gone(desk: Desk, make_settings: MakeSettings) -> None:
    dead = JobQueue(make_settings(redis_url=f"redis://127.0.0.1:{free_port()}"))
    upload = desk.storage.create("job", "audio.wav")
    with pytest.raises(RedisError):
        submit(desk.storage, dead, Submission(upload, "job", "audio.wav", "talk.wav", Options("whisperx", "small")))
    assert_nothing_left(desk)


def test_nothing_is_left_when_redis_takes_half_of_a_job(desk: Desk) -> None:
    desk.redis.set(f"rq:queue:{queue_name('whisperx')}", "not a list")
    with pytest.raises(RedisError):
        desk.queued()
    assert_nothing_left(desk)
    assert not desk.redis.exists(UNFINISHED)


def test_nothing_is_left_when_the_request_does_not_fit_on_the_disk(desk: Desk) -> None:
    with kernel_limit(resource.RLIMIT_FSIZE, 10), pytest.raises(StorageFull):
        desk.queued()
    assert_nothing_left(desk)


def test_nothing_is_left_when_the_recording_cannot_even_be_begun(desk: Desk) -> None:
    with kernel_limit(resource.RLIMIT_NOFILE, 3), pytest.raises(OSError):
        desk.storage.create("job", "audio.wav")
    assert_nothing_left(desk)


def test_a_job_submitted_twice_is_queued_once(desk: Desk) -> None:
    job_id = desk.queued()
    request = JobRequest.from_dict(desk.storage.get(job_id, REQUEST) or {})
    assert not desk.queue.enqueue(request)
    assert desk.queue.queue("whisperx").get_job_ids() == [job_id]


OURS = Claim("k1", lambda: True)
KEYED = keyed_job_id("k1")


def sent(desk: Desk, name: str, content: bytes = b"RIFF") -> Submission:
    upload = desk.storage.create(name, "audio.wav")
    upload.write([memoryview(content)])
    return Submission(upload, name, "audio.wav", "talk.wav", Options("whisperx", "small"))


def test_a_request_with_a_key_that_redis_did_not_hear_of_is_kept_for_whoever_repeats_it(
    desk: Desk, make_settings: MakeSettings
) -> None:
    dead = JobQueue(make_settings(redis_url=f"redis://127.0.0.1:{free_port()}"))
    with pytest.raises(RedisError):
        submit(desk.storage, dead, sent(desk, "first"), OURS)
    again = submit(desk.storage, desk.queue, sent(desk, "second"), OURS)
    assert (again.request.job_id, again.replayed) == (KEYED, True)
    assert [path.name for path in desk.storage.root.iterdir()] == [KEYED]


def before(upload: Upload, step: str, what: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have something happen just before a step of an upload, as if its process had been frozen there."""
    act = getattr(upload, step)

    def late(*told: object) -> object:
        monkeypatch.setattr(upload, step, act)
        what()
        return act(*told)

    monkeypatch.setattr(upload, step, late)


@pytest.mark.parametrize("knows", [True, False], ids=["knows that its lock is lost", "does not know"])
@pytest.mark.parametrize("step", ["move_to", "commit", "discard"])
def test_a_request_that_was_frozen_undoes_nothing_of_the_one_that_overtook_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str, knows: bool
) -> None:
    frozen, overtaken = sent(desk, "frozen"), False

    def overtake() -> None:
        nonlocal overtaken
        overtaken = True
        desk.storage.delete(KEYED)  # what `submit` does, where it finds no request
        submit(desk.storage, desk.queue, sent(desk, "second"), OURS)

    before(frozen.upload, step, overtake, monkeypatch)
    if step == "discard":  # it fails by itself
        monkeypatch.setattr(frozen.upload, "commit", lambda: (_ for _ in ()).throw(StorageFull))
    with pytest.raises(StorageFull if step == "discard" else Overtaken):
        submit(desk.storage, desk.queue, frozen, Claim("k1", lambda: not (knows and overtaken)))
    assert sorted(desk.storage.names(KEYED)) == ["audio.wav", REQUEST]
    assert [path.name for path in desk.storage.root.iterdir()] == [KEYED]
    assert desk.queue.queue("whisperx").get_job_ids() == [KEYED]
    assert desk.queue.unfinished() == {KEYED}


def test_a_request_whose_lock_was_lost_while_the_disk_was_slow_writes_nothing_more(desk: Desk) -> None:
    with pytest.raises(Overtaken):
        submit(desk.storage, desk.queue, sent(desk, "late"), Claim("k1", iter([True, False]).__next__))
    assert_nothing_left(desk)
