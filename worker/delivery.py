"""One attempt to deliver an event: what is sent, how long it may take, and what the answer means."""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from steno import __version__
from steno.jobs.record import iso_time
from steno.outbound import AddressRefused, AnswerTooLong
from steno.webhooks.deliveries import Attempt, Event
from steno.webhooks.signing import signed_headers

log = logging.getLogger(__name__)

ATTEMPT_SECONDS: Final = 20.0
"""For everything, from the look-up of the name to the end of the answer's head. The standard suggests 15 to 30."""
MAX_ANSWER_BYTES: Final = 64 << 10
_BODY_SECONDS: Final = 2.0
"""How long the answer's body, which says nothing, is listened to, so that a polite receiver need not see a broken connection."""


@dataclass(frozen=True)
class Answer:
    """What came of an attempt. `retry_after` is in seconds: what a receiver that is too busy asked for."""

    attempt: Attempt
    retry_after: float | None = None


async def attempt(
    client: httpx.AsyncClient,
    url: str,
    event: Event,
    secrets: tuple[str, ...],
    now: float,
    limit: float = ATTEMPT_SECONDS,
) -> Answer:
    """Send the event once. A receiver can do nothing that raises; `now` is in Unix seconds, `limit` in seconds."""
    body, begun = event.body(), time.monotonic()
    headers = {
        "content-type": "application/json",
        "user-agent": f"steno/{__version__}",
        "accept-encoding": "identity",
        **signed_headers(secrets, event.id, int(now), body),
    }
    status, error, retry_after = None, None, None
    try:
        async with asyncio.timeout(limit), client.stream("POST", url, content=body, headers=headers) as response:
            status = response.status_code
            error, retry_after = _meaning(response, now)
            await _drain(response)
    except (TimeoutError, httpx.TimeoutException):
        error = error if status else f"The receiver gave no answer within {limit:g} s."
    except Exception as cause:  # noqa: BLE001 - whatever a hostile answer sets off is the receiver's failure
        error = error if status else _said(cause)
    took = int((time.monotonic() - begun) * 1000)
    return Answer(Attempt(iso_time(now), status, error, took), retry_after)


async def _drain(response: httpx.Response) -> None:
    with contextlib.suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(_BODY_SECONDS):
            async for _ in response.aiter_raw():
                pass


def _meaning(response: httpx.Response, now: float) -> tuple[str | None, float | None]:
    """Why an answer is no success, if it is none, and how long the receiver asked to be left alone."""
    status = response.status_code
    if response.is_success:
        return None, None
    more = ""
    if response.is_redirect or 300 <= status < 400:
        more = " Redirects are not followed."
    elif status == 410:
        more = " It wants no more of these."
    retry_after = _seconds(response.headers.get("retry-after", ""), now) if status in (429, 503) else None
    return f"The receiver answered {status}.{more}", retry_after


def _seconds(retry_after: str, now: float) -> float | None:
    """The header in either of its forms, as seconds from now; None where it is neither."""
    if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10:
        return float(retry_after)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        moment = parsedate_to_datetime(retry_after)
        return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)
    return None


def _said(cause: Exception) -> str:
    """A sentence for whoever reads the log: what the receiver's operator can mend, and nothing of this network's inside."""
    if isinstance(cause, AddressRefused):
        return str(cause)
    if isinstance(cause, AnswerTooLong):
        return "The receiver's answer was too long."
    if isinstance(cause, httpx.ConnectError):
        found = str(cause)
        return found if "resolved" in found else f"No connection to the receiver: {found or 'refused'}."
    if not isinstance(cause, httpx.HTTPError):
        log.error("A delivery met an unforeseen error", exc_info=cause, extra={"action": "webhook_error"})
    # Its own words may quote the answer, at any length.
    return f"The receiver's answer could not be read: {type(cause).__name__}."
