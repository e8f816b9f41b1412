from redis import Redis

from steno.jobs.course import SPEEDS, learn, speeds_of
from steno.jobs.options import Options


def test_a_job_that_only_told_the_language_teaches_nothing_of_speed(redis: Redis) -> None:
    learn(redis, Options("pocketsphinx", "en-us", language_only=True), {"transcribing": 1.0}, 100.0, 2.0)
    assert not redis.exists(SPEEDS)
    learn(redis, Options("pocketsphinx", "en-us"), {"transcribing": 50.0}, 100.0, 60.0)
    assert speeds_of(redis, "pocketsphinx", "en-us") == {"transcribing": 0.5}
