"""The sweep, without any worker: what it brings back, gives up and leaves alone."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from steno.jobs import sweep as sweep_module
from steno.jobs.options import Options
from steno.jobs.queue import job_key, paused
from steno.jobs.record import (
    CANCELED,
    ERROR,
    REQUEST,
    JobRequest,
    Status,
    error_record,
    utc_now,
)
from steno.jobs.state import STATUS_FIELDS, parse_state, started_key
from steno.jobs.steer import delete
from steno.jobs.submit import Submission, submit
from steno.jobs.sweep import Sweep
from steno.storage import StorageFull
from tests.place import OPTIONS, Place


def test_a_waiting_job_is_left_alone(place: Place) -> None:
    job_id = place.submit()
    for _ in range(3):
        place.sweep.run()
    assert place.waiting() == [job_id]


def test_a_job_that_is_nowhere_is_queued_at_the_second_look(place: Place) -> None:
    job_id = place.submit()
    place.queue.redis.lpop(place.queue.queue("pocketsphinx").key)
    place.sweep.run()
    assert place.waiting() == []
    place.sweep.run()
    assert place.waiting() == [job_id]
    place.sweep.run()
    assert place.waiting() == [job_id]


def test_an_emptied_redis_is_filled_from_storage_at_once(place: Place, redis: Redis) -> None:
    jobs = {place.submit() for _ in range(3)}
    place.sweep.run()
    redis.flushdb()
    place.sweep.run()
    place.sweep.run()
    assert set(place.waiting()) == jobs


def test_a_torn_hash_does_not_keep_a_job_from_coming_back(place: Place, redis: Redis) -> None:
    job_id = place.submit()
    redis.flushdb()
    redis.hset(job_key(job_id), "last_heartbeat", "2026-01-01T00:00:00Z")
    place.sweep.run()
    place.sweep.run()
    assert place.waiting() == [job_id]
    state = parse_state(redis.hmget(job_key(job_id), STATUS_FIELDS))
    assert state is not None
    assert state.status is Status.QUEUED


def test_a_request_whose_api_died_before_it_was_queued_is_queued(place: Place) -> None:
    place.storage.create("a", "audio.wav").commit()
    request = JobRequest("a", Options("pocketsphinx", "en-us"), "a.wav", "audio.wav", 0, utc_now())
    place.storage.put("a", REQUEST, request.to_dict())
    place.sweep.run()
    place.sweep.run()
    assert place.waiting() == ["a"]


def test_a_job_that_failed_in_storage_is_not_tried_again(place: Place) -> None:
    job_id = place.submit()
    place.storage.put(job_id, ERROR, error_record("audio_empty", "Empty.", 1))
    place.queue.redis.lpop(place.queue.queue("pocketsphinx").key)
    for _ in range(3):
        place.sweep.run()
    assert place.waiting() == []
    assert place.queue.unfinished() == set()


def test_a_job_that_two_forget_at_once_is_no_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id, fetch = place.submit(), Job.fetch

    def fetched(*asked: Any, **more: Any) -> Job:
        job = fetch(*asked, **more)
        place.queue.redis.delete(job_key(job_id))  # by the other, now
        return job

    monkeypatch.setattr(Job, "fetch", fetched)
    place.queue.forget(job_id)
    assert place.queue.unfinished() == set()


def test_a_job_whose_attempt_expired_is_forgotten_whole(place: Place, redis: Redis) -> None:
    job_id = place.submit()
    redis.zadd(f"rq:executions:{job_id}", {"an-attempt-that-expired": time.time() + 60})
    redis.xadd(f"rq:results:{job_id}", {"type": "4"})  # an attempt before it ended in a pause
    delete(place.storage, place.queue, job_id)
    assert redis.keys(f"*{job_id}*") == []


def test_what_rq_holds_of_a_job_deleted_after_its_worker_died_goes(place: Place, redis: Redis) -> None:
    there, deleted = place.submit(), place.submit()
    key = started_key("pocketsphinx", "normal")
    for job_id in (there, deleted):
        redis.zadd(key, {f"{job_id}:an-attempt": time.time()})
    delete(place.storage, place.queue, deleted)
    place.sweep.run()
    assert redis.zrange(key, 0, -1) == [f"{there}:an-attempt".encode()]  # a heartbeat may yet revive this one


def test_a_job_whose_worker_died_too_often_still_tells_when_it_was_begun(place: Place, redis: Redis) -> None:
    job_id = place.submit()
    redis.lpop(place.queue.queue("pocketsphinx").key)
    about = json.dumps({"attempts": place.settings.max_attempts, "run": 0})
    for name, value in (("status", "started"), ("started_at", "2026-01-02T03:04:05.000000Z"), ("meta", about)):
        redis.hset(job_key(job_id), name, value)
    for _ in range(2):
        place.sweep.run()
    error = place.storage.get(job_id, ERROR) or {}
    assert (error["code"], error["attempts"]) == ("worker_died", place.settings.max_attempts)
    assert error["started_at"] == "2026-01-02T03:04:05.000000Z"


def test_one_sweep_at_a_time(place: Place, redis: Redis) -> None:
    job_id = place.submit()
    place.queue.redis.lpop(place.queue.queue("pocketsphinx").key)
    redis.set(sweep_module._LOCK, "another process")
    for _ in range(3):
        place.sweep.run()
    assert place.waiting() == []
    redis.delete(sweep_module._LOCK)
    place.sweep.run()
    place.sweep.run()
    assert place.waiting() == [job_id]


def test_two_machines_that_sweep_at_once_queue_a_job_once(place: Place) -> None:
    other = Sweep(place.settings, place.storage, place.queue)
    job_id = place.submit()
    place.queue.redis.lpop(place.queue.queue("pocketsphinx").key)
    for _ in range(3):
        place.sweep.run()
        other.run()
    assert place.waiting() == [job_id]


@pytest.mark.parametrize("step", ["commit", "put", "enqueue"])
def test_a_submission_that_fails_at_any_step_leaves_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: str, redis: Redis
) -> None:
    def fail(*args: object) -> None:
        raise StorageFull

    upload = place.storage.create("a", "audio.wav")
    monkeypatch.setattr({"commit": upload, "put": place.storage, "enqueue": place.queue}[step], step, fail)
    with pytest.raises(StorageFull):
        submit(place.storage, place.queue, Submission(upload, "a", "audio.wav", "a.wav", OPTIONS))
    assert list(place.storage.job_ids()) == []
    assert redis.keys() == []


@pytest.mark.parametrize(("delete_after", "days"), [(None, 7), (0.0, 7), (30 * 86_400.0, 30)])
def test_redis_knows_a_job_for_as_long_as_it_is_kept(place: Place, delete_after: float | None, days: int) -> None:
    options = Options("pocketsphinx", "en-us")
    request = JobRequest("a", options, "a.wav", "audio.wav", 0, utc_now(), delete_after=delete_after)
    place.queue.enqueue(request)
    job = Job.fetch("a", connection=place.queue.redis, serializer=JSONSerializer)
    assert (job.result_ttl, job.failure_ttl) == (days * 86_400, days * 86_400)


def test_a_job_is_enqueued_once_whoever_asks(place: Place) -> None:
    request = JobRequest("a", Options("pocketsphinx", "en-us"), "a.wav", "audio.wav", 0, utc_now())
    assert place.queue.enqueue(request)
    assert not place.queue.enqueue(request)
    assert place.waiting() == ["a"]


def test_a_record_of_a_newer_steno_can_be_read() -> None:
    request = JobRequest("a", Options("pocketsphinx", "en-us"), "a.wav", "audio.wav", 0, utc_now())
    assert JobRequest.from_dict({**request.to_dict(), "colour": "red"}) == request


def test_nothing_of_it_needs_a_folder_that_exists(place: Place, tmp_path: Path) -> None:
    place.sweep.run()
    assert not place.settings.upload_dir.exists()


def test_a_request_that_cannot_be_read_fails_its_own_job_and_stops_no_other(place: Place, redis: Redis) -> None:
    torn, lacking, whole = (place.submit() for _ in range(3))
    (place.settings.upload_dir / torn / REQUEST).write_text('{"job_id": "to')
    place.storage.put(lacking, REQUEST, {"job_id": lacking})
    redis.flushdb()
    place.sweep.run()
    place.sweep.run()
    assert place.waiting() == [whole]
    for job_id in (torn, lacking):
        error = place.storage.get(job_id, ERROR)
        assert error is not None
        assert error["code"] == "internal"


def test_trouble_with_one_folder_stops_no_other(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = place.submit(), place.submit()
    place.queue.redis.delete(place.queue.queue("pocketsphinx").key)
    has = place.storage.has

    def trouble(job_id: str, name: str) -> bool:
        if job_id == bad:
            raise PermissionError(job_id)
        return has(job_id, name)

    monkeypatch.setattr(place.storage, "has", trouble)
    for _ in range(2):
        place.sweep.run()
    assert place.waiting() == [good]


def test_a_job_whose_failure_could_not_be_stored_is_not_tried_for_ever(place: Place, redis: Redis) -> None:
    job_id = place.submit()
    redis.delete(place.queue.queue("pocketsphinx").key)
    attempts = place.settings.max_attempts
    redis.hset(job_key(job_id), mapping={"status": "failed", "meta": f'{{"attempts": {attempts}}}'})
    place.sweep.run()
    place.sweep.run()
    error = place.storage.get(job_id, ERROR)
    assert error is not None
    assert (error["code"], error["attempts"]) == ("internal", attempts)
    assert place.queue.unfinished() == set()


@pytest.mark.parametrize(("ahead", "released"), [(-1, True), (30, False), (86_400, True)])
def test_a_job_that_pauses_is_queued_when_its_time_has_come_or_a_clock_was_set_back(
    place: Place, ahead: float, released: bool
) -> None:
    job_id = place.submit()
    queue = place.queue.queue("pocketsphinx")
    place.queue.redis.lpop(queue.key)
    place.queue.redis.zadd(paused(queue).key, {job_id: time.time() + ahead})
    for _ in range(3):
        place.sweep.run()
    assert place.waiting() == ([job_id] if released else [])


def test_a_retry_that_broke_off_half_way_is_begun_afresh(place: Place, redis: Redis) -> None:
    job_id = place.submit()
    redis.delete(place.queue.queue("pocketsphinx").key)
    meta = {"attempts": place.settings.max_attempts, "run": 0}
    redis.hset(job_key(job_id), mapping={"status": "failed", "meta": json.dumps(meta)})
    request = place.storage.get(job_id, REQUEST) or {}
    place.storage.put(job_id, REQUEST, {**request, "run": 1})
    for _ in range(2):
        place.sweep.run()
    state = place.queue.state(job_id)
    assert state is not None
    assert (state.status, state.attempts, state.about["run"]) == (Status.QUEUED, 0, 1)
    assert place.storage.get(job_id, ERROR) is None
    assert place.waiting() == [job_id]


def test_a_job_canceled_while_it_is_brought_back_does_not_wait(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    lost, paused_one = place.submit(), place.submit()
    place.queue.redis.delete(place.queue.queue("pocketsphinx").key)
    paused(place.queue.queue("pocketsphinx")).add(Job.fetch(paused_one, place.queue.redis, JSONSerializer), -1)
    enqueue_job = Queue.enqueue_job

    def canceled_meanwhile(queue: Queue, job: Job, **more: Any) -> Job:
        place.storage.put(job.id, CANCELED, {"canceled_at": utc_now()})
        return enqueue_job(queue, job, **more)

    monkeypatch.setattr(Queue, "enqueue_job", canceled_meanwhile)
    for _ in range(2):
        place.sweep.run()
    assert place.waiting() == []
    assert [place.queue.state(job_id) for job_id in (lost, paused_one)] == [None, None]
