"""Who gets a place, and who is next."""

from worker.lanes import Lanes


def test_a_full_lane_makes_the_next_wait_and_calls_them_in_order() -> None:
    lanes, ways = Lanes(), {"host a": 2}
    assert [lanes.enter(job_id, ways) for job_id in ("1", "2", "3", "4")] == [True, True, False, False]
    assert lanes.enter("5", {"host b": 2})
    assert lanes.ready() is None
    lanes.leave(ways)
    assert lanes.ready() == ("3", ways)
    assert lanes.ready() is None
    lanes.leave(ways)
    assert lanes.ready() == ("4", ways)


def test_who_asks_twice_waits_once() -> None:
    lanes, ways = Lanes(), {"host a": 1}
    assert [lanes.enter(job_id, ways) for job_id in ("1", "2", "2")] == [True, False, False]
    lanes.leave(ways)
    assert lanes.ready() == ("2", ways)
    lanes.leave(ways)
    assert lanes.ready() is None


def test_a_place_in_every_lane_or_in_none() -> None:
    lanes = Lanes()
    first, second, third = ({f"host {name}": 1, "retries": 2} for name in "abc")
    assert lanes.enter("1", first)
    assert lanes.enter("2", second)
    assert not lanes.enter("3", third)
    assert not lanes.enter("4", third)
    assert lanes.enter("5", {"host c": 1})  # not tried before, so no retry
    lanes.leave(second)
    assert lanes.ready() is None  # there is room for a retry, but host c is busy: both wait for that now
    lanes.leave({"host c": 1})
    assert lanes.ready() == ("3", third)
    lanes.leave(third)
    assert lanes.ready() == ("4", third)
