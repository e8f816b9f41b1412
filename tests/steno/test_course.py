"""How far a job is, and what it teaches of the speed of others."""

import pytest
from redis import Redis

from steno.jobs.course import SPEEDS as STORED
from steno.jobs.course import Course, learn, speeds_of
from steno.jobs.options import Options

WHISPERX = Options("whisperx", "small")
BY_CHANNEL = Options("whisperx", "small", channels="separate")
SPEEDS = {"transcribing": 3.0, "aligning": 1.0}


def test_the_stages_have_their_shares_of_the_whole() -> None:
    course = Course(WHISPERX, SPEEDS)
    shares = [
        course.at("decoding", 0.0),
        course.at("transcribing", 0.5),
        course.at("aligning", 0.0),
        course.at("aligning", 1.0),
    ]
    assert shares == [0.0, 0.375, 0.75, 1.0]


def test_stages_that_come_again_with_each_channel_tell_the_share_of_the_whole() -> None:
    course = Course(BY_CHANNEL, SPEEDS)
    told = [
        ("decoding", 0.0),
        ("transcribing", 0.1),
        ("aligning", 0.3),
        ("transcribing", 0.6),
        ("decoding", 0.0),
        ("aligning", 1.0),
    ]
    assert [course.at(*each) for each in told] == [0.0, 0.1, 0.3, 0.6, 0.6, 1.0]


def test_a_job_heard_by_channel_teaches_nothing_of_the_speed_of_others(redis: Redis) -> None:
    learn(redis, WHISPERX, {"transcribing": 10.0, "aligning": 5.0}, 10.0, 20.0)
    before = speeds_of(redis, "whisperx", "small")
    course = Course(BY_CHANNEL, before)
    course.duration = 10.0
    assert course.seconds_left() is None  # how many channels there are is not known yet
    for stage in ("transcribing", "aligning", "transcribing", "aligning"):
        course.at(stage, 1.0)
    assert course.took() == {}
    learn(redis, BY_CHANNEL, course.took(), 10.0, 40.0)
    assert speeds_of(redis, "whisperx", "small") == before == {"transcribing": 1.0, "aligning": 0.5}


def test_a_job_that_only_told_the_language_teaches_nothing_of_speed(redis: Redis) -> None:
    learn(redis, Options("pocketsphinx", "en-us", language_only=True), {"transcribing": 1.0}, 100.0, 2.0)
    assert not redis.exists(STORED)
    learn(redis, Options("pocketsphinx", "en-us"), {"transcribing": 50.0}, 100.0, 60.0)
    assert speeds_of(redis, "pocketsphinx", "en-us") == {"transcribing": 0.5}


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("steno.jobs.course.time.monotonic", lambda: self.now)

    def follow(self, course: Course, *told: tuple[str, float, float]) -> None:
        """Tell it stage and share, each so many seconds after the one before."""
        for stage, share, later in told:
            self.now += later
            course.at(stage, share)


def test_the_time_to_load_models_is_no_stage_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, course = Clock(monkeypatch), Course(WHISPERX, {})
    clock.follow(
        course,
        ("decoding", 0.0, 0.0),
        ("loading", 0.0, 2.0),  # the engine process has started
        ("decoding", 0.0, 30.0),
        ("transcribing", 0.5, 490.0),
        ("transcribing", 1.0, 490.0),
        ("loading", 0.0, 0.0),
        ("aligning", 0.0, 60.0),
        ("aligning", 1.0, 190.0),
        ("writing", 1.0, 0.0),
    )
    clock.now += 5.0
    assert course.took() == {"transcribing": 980.0, "aligning": 190.0}


def test_what_is_left_is_told_from_the_time_of_the_work_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, course = Clock(monkeypatch), Course(WHISPERX, SPEEDS)
    course.duration = 100.0
    clock.follow(course, ("decoding", 0.0, 0.0), ("loading", 0.0, 2.0))
    assert course.seconds_left() == 400.0  # what jobs before it took
    clock.follow(course, ("decoding", 0.0, 1000.0), ("transcribing", 0.5, 300.0))
    assert course.seconds_left() == 500.0  # 0.375 of the whole took 300 s
