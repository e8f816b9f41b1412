"""The janitor, by rounds of the sweep: what goes by age, and what stays."""

import os
import time
import uuid

import pytest
from redis import Redis

from conftest import MakeSettings
from steno.jobs import steer
from steno.jobs.janitor import ORPHAN_SECONDS
from steno.jobs.listing import INDEX
from steno.jobs.queue import job_key
from steno.jobs.record import (
    ERROR,
    OUTCOMES,
    RECORDING,
    REQUEST,
    RETENTION,
    TRANSCRIPT,
    UPLOAD,
    error_record,
)
from steno.jobs.steer import cancel, retry
from steno.webhooks.deliveries import WEBHOOK
from tests.place import Place, scan


def test_old_jobs_are_forgotten_with_every_byte(make_settings: MakeSettings, redis: Redis) -> None:
    place = Place(make_settings(retention_days=1))
    finished, failed, young, unfinished = (place.submit() for _ in range(4))
    place.storage.put(finished, TRANSCRIPT, {})
    place.storage.put(young, TRANSCRIPT, {})
    place.storage.put(failed, ERROR, error_record("audio_empty", "Empty.", 1))
    for job_id in (finished, failed, unfinished):
        place.age(job_id, 90_000)
    for _ in range(2):
        scan(place)
    assert set(place.storage.job_ids()) == {young, unfinished}
    assert not redis.exists(job_key(finished))
    assert not redis.exists(job_key(failed))


def test_the_rest_of_a_dead_upload_is_removed_by_age_and_a_live_one_is_not(place: Place) -> None:
    for job_id in ("old", "young"):
        place.storage.create(job_id, "audio.wav").write([memoryview(b"x")])
    place.age("old", ORPHAN_SECONDS + 60)
    for _ in range(2):
        scan(place)
    assert list(place.storage.job_ids()) == ["young"]


@pytest.mark.strict_ids
def test_whatever_steno_wrote_is_part_of_a_rest_that_goes(place: Place) -> None:
    names = [f"{RECORDING}wav", f"{RECORDING}piece", UPLOAD, RETENTION, WEBHOOK, *OUTCOMES]
    names += [f"{name}.part" for name in names] + [f"{REQUEST}.{uuid.uuid4().hex}.part"]
    for name in names:
        job_id = str(uuid.uuid4())
        (place.settings.upload_dir / job_id).mkdir(parents=True)
        (place.settings.upload_dir / job_id / name).write_text("{}")
        place.age(job_id, 365 * 86_400)
    for _ in range(2):
        scan(place)
    assert list(place.settings.upload_dir.iterdir()) == []


@pytest.mark.strict_ids
def test_folders_of_others_stay_with_all_that_is_in_them(place: Place) -> None:
    root, stranger = place.settings.upload_dir, str(uuid.uuid4())
    for name in ("Documents", "empty", f"{stranger}/sub"):
        (root / name).mkdir(parents=True)
    for path in (
        root / "Documents" / "error.json",
        root / "Documents" / "request.json",
        root / stranger / "holiday.jpg",
    ):
        path.write_text("{}")
    for folder in root.iterdir():
        place.age(folder.name, 365 * 86_400)
    before = sorted(root.rglob("*"))
    for _ in range(3):
        scan(place)
    assert sorted(root.rglob("*")) == before


def test_an_upload_in_pieces_is_kept_until_it_expires_and_is_no_job(place: Place) -> None:
    for name, age in (("new", 0.0), ("paused", ORPHAN_SECONDS + 60), ("late", place.settings.tus_expiry + 60)):
        place.storage.create(name, "audio.wav").leave()
        place.storage.put(name, UPLOAD, {"length": 9})
        place.age(name, age)
    for _ in range(2):
        scan(place)
    assert set(place.storage.job_ids()) == {"new", "paused"}
    assert place.queue.unfinished() == set()
    assert place.waiting() == []


def test_a_job_that_came_in_pieces_is_as_any_other(place: Place) -> None:
    job_id = place.submit()
    place.storage.put(job_id, UPLOAD, {"length": 1})
    place.age(job_id, place.settings.tus_expiry + 60)
    for _ in range(2):
        scan(place)
    assert list(place.storage.job_ids()) == place.waiting() == [job_id]


def test_a_job_whose_deletion_was_cut_short_goes_whatever_came_of_it(place: Place) -> None:
    for record in OUTCOMES:
        name = f"half-{record.partition('.')[0]}"
        place.storage.create(name, "audio.wav").commit()
        place.storage.put(name, record, {"failed_at": "2026-01-01T00:00:00Z"})
        place.age(name, ORPHAN_SECONDS + 60)
    for _ in range(2):
        scan(place)
    assert list(place.storage.job_ids()) == []
    assert place.waiting() == []


@pytest.mark.parametrize("jumps", ["before a round", "in the middle of one"])
def test_a_clock_that_jumps_for_a_while_costs_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, jumps: str
) -> None:
    place.storage.create("live", "audio.wav").write([memoryview(b"x")])
    job_id = place.submit()
    place.storage.put(job_id, TRANSCRIPT, {})
    scan(place)
    clock, tidy = time.time, place.storage.tidy

    def jump(*told: object) -> None:
        monkeypatch.setattr(time, "time", lambda: clock() + 30 * 86_400)

    if jumps == "before a round":
        jump()
    else:
        monkeypatch.setattr(place.storage, "tidy", jump)
    scan(place)
    monkeypatch.setattr(time, "time", clock)
    monkeypatch.setattr(place.storage, "tidy", tidy)
    for _ in range(2):
        scan(place)
    assert set(place.storage.job_ids()) == {"live", job_id}
    assert place.storage.has(job_id, "audio.wav")
    jump()
    for _ in range(2):
        scan(place)
    assert list(place.storage.job_ids()) == []  # a clock that stays where it is, is believed


def test_a_job_past_its_retention_is_not_deleted_under_the_hands_of_one_who_retries_it(place: Place) -> None:
    job_id = place.submit()
    place.storage.put(job_id, ERROR, error_record("audio_empty", "Empty.", 1))
    place.age(job_id, place.settings.retention_seconds + 60)
    scan(place)
    with steer.alone(place.queue, job_id):
        scan(place)
    assert list(place.storage.job_ids()) == [job_id]
    retry(place.storage, place.queue, job_id)
    scan(place)
    assert list(place.storage.job_ids()) == [job_id]


def test_a_worker_that_still_has_a_job_past_its_retention_is_told_to_stop(place: Place, redis: Redis) -> None:
    job_id = place.submit()
    redis.hset(job_key(job_id), "status", "started")
    cancel(place.storage, place.queue, job_id)
    place.queue.settle(job_id)  # as if its worker were alive, so that the sweep does not ask for it
    place.age(job_id, place.settings.retention_seconds + 60)
    for _ in range(2):
        scan(place)
    assert list(place.storage.job_ids()) == []
    assert place.queue.is_flagged(job_id)


def test_what_a_write_that_died_left_in_a_job_is_removed_by_age(place: Place) -> None:
    job_id = place.submit()
    folder = place.settings.upload_dir / job_id
    for name in ("old.part", "young.part"):
        (folder / name).write_bytes(b"{")
    then = time.time() - ORPHAN_SECONDS - 60
    os.utime(folder / "old.part", (then, then))
    for _ in range(2):
        scan(place)
    assert sorted(path.name for path in folder.iterdir()) == ["audio.wav", "request.json", "young.part"]


def test_what_a_deletion_cut_short_left_in_redis_goes(place: Place, redis: Redis) -> None:
    waited, was_over, kept = (place.submit() for _ in range(3))
    place.queue.settle(was_over)
    redis.hset(job_key(was_over), "status", "finished")
    for job_id in (waited, was_over):
        place.storage.delete(job_id)
    redis.delete(place.queue.queue("pocketsphinx").key)
    for _ in range(3):
        scan(place)
    for job_id in (waited, was_over):
        assert [key for key in redis.scan_iter() if job_id.encode() in key + (redis.dump(key) or b"")] == []
    assert redis.zrange(INDEX, 0, -1) == [kept.encode()]
    assert place.waiting() == [kept]
