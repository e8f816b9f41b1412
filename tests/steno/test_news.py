"""What is told of a job, as it stands in Redis."""

import json
from typing import Any, cast

from redis import Redis

from steno.jobs import news
from steno.transcript import Segment, Word

DAY = 86_400


def heard(redis: Redis) -> list[tuple[str, int]]:
    """Kind, and attempt or id, of each entry of job `a`."""
    told = [(entry[b"kind"].decode(), json.loads(entry[b"data"])) for entry in entries(redis)]
    return [(kind, data["attempt" if kind == "attempt" else "id"]) for kind, data in told]


def entries(redis: Redis) -> list[dict[bytes, bytes]]:
    """What the stream of job `a` holds."""
    return [entry for _, entry in cast("list[Any]", redis.xrange(news.stream_key("a")))]


def hear(redis: Redis, *numbers: int) -> None:
    for number in numbers:
        news.segment_heard(redis, "a", Segment(number, 0.0, 1.0, "Words."))


def test_every_telling_names_the_job_on_the_channel(redis: Redis) -> None:
    with redis.pubsub(ignore_subscribe_messages=True) as ear:  # type: ignore[no-untyped-call]
        ear.subscribe(news.CHANNEL)
        assert ear.get_message(timeout=5) is None
        news.attempt_began(redis, "a", 1)
        hear(redis, 0)
        news.state_changed(redis, "a")
        news.forget(redis, "a")
        told = [ear.get_message(timeout=5) for _ in range(4)]
    assert [message and message["data"] for message in told] == [b"a"] * 4


def test_an_attempt_makes_what_was_heard_before_it_void(redis: Redis) -> None:
    news.attempt_began(redis, "a", 1)
    hear(redis, 0, 1)
    news.attempt_began(redis, "a", 2)
    hear(redis, 0)
    assert heard(redis) == [("attempt", 2), ("segment", 0)]


def test_a_segment_is_told_without_its_words(redis: Redis) -> None:
    news.segment_heard(redis, "a", Segment(4, 1.5, 2.5, "Ça va?", 0.9, "SPEAKER_00", (Word("Ça", 1.5, 2.0),)))
    (entry,) = entries(redis)
    told = {"id": 4, "start": 1.5, "end": 2.5, "text": "Ça va?", "speaker": "SPEAKER_00"}
    assert json.loads(entry[b"data"]) == told


def test_a_stream_keeps_its_end_only(redis: Redis) -> None:
    count = news.STREAM_LENGTH + 1000
    hear(redis, *range(count))
    kept = heard(redis)
    assert news.STREAM_LENGTH <= len(kept) < count
    assert kept[-1] == ("segment", count - 1)


def test_a_stream_is_soon_gone_when_its_job_is_over(redis: Redis) -> None:
    hear(redis, 0)
    assert 600 < redis.ttl(news.stream_key("a")) <= DAY
    news.state_changed(redis, "a")
    assert 600 < redis.ttl(news.stream_key("a")) <= DAY
    news.state_changed(redis, "a", over=True)
    assert 0 < redis.ttl(news.stream_key("a")) <= 600
    news.forget(redis, "a")
    assert not redis.exists(news.stream_key("a"))


def test_a_state_leaves_nothing_behind(redis: Redis) -> None:
    news.state_changed(redis, "a")
    assert redis.keys("*") == []
