"""Receivers that stall, lie, redirect inside and never end: each costs its own event, and nothing else."""

import pytest

from conftest import MakeSettings
from steno.redis_server import free_port
from tests.office import SECRET, Office, naming
from tests.processes import eventually
from tests.receivers import ENDLESS, ENDLESS_BODY, receiving, says, silent, writes
from worker.courier import HOST_PLACES

IMPATIENCE = 0.5
"""Seconds an attempt may take where its receiver does not answer."""


@pytest.mark.parametrize("host", ["127.0.0.2", "inside.example"])
def test_redirects_are_failures_and_lead_nowhere(office: Office, host: str) -> None:
    with receiving(says(200), "127.0.0.2") as inside, receiving(says(307, f"location: {inside.url(host)}")) as receiver:
        office.over(receiver.url())
        office.courier()
        event = office.tried()
    assert (event.state, event.attempts[0].status) == ("pending", 307)
    assert event.attempts[0].error == "The receiver answered 307. Redirects are not followed."
    assert not inside.heard


@pytest.mark.parametrize("inside", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1"])
def test_a_name_that_leads_inside_is_not_called(office: Office, make_settings: MakeSettings, inside: str) -> None:
    with receiving(says(200)) as receiver:
        office.over(receiver.url("inside.example"))
        office.courier(make_settings(webhook_secrets=(SECRET,)), resolver=naming([inside]))
        event = office.tried()
    assert not receiver.heard
    assert (event.state, event.attempts[0].status) == ("pending", None)
    assert str(event.attempts[0].error).startswith("inside.example has only private")


def test_a_name_that_changes_its_mind_gains_nothing(office: Office, make_settings: MakeSettings) -> None:
    """Its first answer is allowed, its second leads inside: the one that was checked is the one that is called."""
    allowed = make_settings(webhook_secrets=(SECRET,), webhook_networks="127.0.0.2/32")
    with receiving(says(500), "127.0.0.2") as meant, receiving(says(200), "127.0.0.1", meant.port) as inside:
        office.over(meant.url("rebinding.example"))
        office.courier(allowed, resolver=naming(["127.0.0.2"], ["127.0.0.1"]))
        office.tried()
        office.late = 100_000.0
        event = office.tried(2)
    assert [attempt.status for attempt in event.attempts] == [500, None]
    assert (len(meant.heard), len(inside.heard)) == (1, 0)


@pytest.mark.parametrize("kind", ["silence", *ENDLESS])
def test_an_answer_without_end_is_a_failure_within_the_limit(office: Office, kind: str) -> None:
    with receiving(silent if kind == "silence" else ENDLESS[kind]) as receiver, receiving(says(200)) as good:
        office.over(receiver.url(), "hostile")
        office.over(good.url(), "other")
        office.courier(attempt_seconds=IMPATIENCE)
        assert eventually(lambda: good.heard and office.attempts("hostile") > 0)
        event = office.tried(job_id="hostile")
    assert (event.state, event.attempts[0].status) == ("pending", None)
    assert event.attempts[0].error is not None


def test_what_a_receiver_answers_is_not_kept_however_wrong_it_is(office: Office) -> None:
    with receiving(writes(b"secret" * 9000 + b"\r\n\r\n")) as receiver:
        office.over(receiver.url())
        office.courier()
        event = office.tried()
    assert (event.state, event.attempts[0].status) == ("pending", None)
    assert event.attempts[0].error == "The receiver's answer could not be read: RemoteProtocolError."


def test_a_body_without_end_does_not_unmake_a_success(office: Office) -> None:
    with receiving(ENDLESS_BODY) as receiver:
        office.over(receiver.url())
        office.courier()
        assert office.tried().state == "delivered"


def test_nobody_there_is_a_failure(office: Office) -> None:
    office.over(f"http://127.0.0.1:{free_port()}/")
    office.courier()
    assert str(office.tried().attempts[0].error).startswith("No connection to the receiver")


def test_a_slow_receiver_fills_its_own_places_and_no_others(office: Office) -> None:
    with receiving(silent) as slow, receiving(says(200), "127.0.0.2") as good:
        for number in range(40):
            office.over(slow.url(), f"slow-{number}")
        for number in range(40):
            office.over(good.url(), f"good-{number}")
        office.courier(attempt_seconds=60.0)
        assert eventually(lambda: len(good.heard) == 40)
        assert slow.most_at_once == len(slow.heard) == HOST_PLACES
    assert len(set(good.ids)) == 40
