"""What storage holds of a job's webhook: whom to tell, each event, and every attempt to deliver it.

Whoever holds the job's lease (`due.py`) is the only one to write the record once the job was submitted.
"""

import json
import random
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Final

from steno.config import Settings
from steno.jobs.record import OUTCOMES, REQUEST, Status, iso_time
from steno.outbound import UrlRefused, check_url
from steno.storage import Storage

WEBHOOK: Final = "webhook.json"

SCHEDULE: Final = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds to wait before each attempt, as Standard Webhooks suggests: ten attempts over three days."""
JITTER: Final = 0.1
"""By which share a wait is lengthened or shortened, so that events that failed together do not come back together."""
LONGEST_RETRY_AFTER: Final = 86_400.0
_CLOCKS_DIFFER_BY: Final = 60.0
"""Seconds, from one machine to another."""

_TYPES: Final = {Status.FINISHED: "completed", Status.FAILED: "failed", Status.CANCELED: "canceled"}
_MAX_BODY: Final = 20_000
_LONGEST_TEXT: Final = 1000
_KEPT_ATTEMPTS: Final = 50


@dataclass(frozen=True)
class Attempt:
    """One try. `at` is ISO 8601, `status` what the receiver answered, if it did, `error` a sentence unless it was a success."""

    at: str
    status: int | None
    error: str | None
    took_ms: int


@dataclass(frozen=True)
class Event:
    """Something to tell. `state` is pending, delivered, failed or disabled; `timestamp` and `next_at` are ISO 8601, UTC.

    `data` is kept, not made anew for each attempt: every attempt sends the same bytes, whatever became of the job since.
    `tried` counts the attempts of this round; delivering again by hand begins a new one.
    """

    id: str
    type: str
    timestamp: str
    data: dict[str, Any]
    state: str = "pending"
    next_at: str | None = None
    tried: int = 0
    attempts: tuple[Attempt, ...] = ()

    def body(self) -> bytes:
        """What is sent."""
        message = {"type": self.type, "timestamp": self.timestamp, "data": self.data}
        return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()

    def after(self, attempt: Attempt, retry_after: float | None, now: float, chance: float | None = None) -> "Event":
        """The event with this attempt, and what follows from it: done, given up, or when to try again.

        `retry_after` is in seconds; `chance`, 0 to 1, stands in for the dice.
        """
        tried = self.tried + 1
        state, next_at = "pending", None
        if attempt.error is None:
            state = "delivered"
        elif attempt.status == 410:
            state = "disabled"
        elif tried >= len(SCHEDULE):
            state = "failed"
        else:
            dice = random.random() if chance is None else chance  # noqa: S311 - spreads load, keeps no secret
            wait = SCHEDULE[tried] * (1 + JITTER * (2 * dice - 1))
            next_at = iso_time(now + max(wait, min(retry_after or 0.0, LONGEST_RETRY_AFTER)))
        attempts = (*self.attempts, attempt)[-_KEPT_ATTEMPTS:]
        return replace(self, state=state, next_at=next_at, tried=tried, attempts=attempts)

    @property
    def longest_wait(self) -> float:
        """Seconds that may lie between its last attempt and the next."""
        asked = bool(self.attempts) and self.attempts[-1].status in (429, 503)
        return max(SCHEDULE[self.tried] * (1 + JITTER), LONGEST_RETRY_AFTER if asked else 0.0)

    def again(self, now: float) -> "Event":
        """The event, due at once with the whole schedule before it."""
        return replace(self, state="pending", next_at=iso_time(now), tried=0)


@dataclass(frozen=True)
class Webhook:
    """Whom to tell of a job, and what there was to tell, oldest first.

    `salt` makes its events' ids its own: a job id that comes of an Idempotency-Key is used again after the job was deleted.
    """

    url: str
    events: tuple[Event, ...] = field(default=())
    salt: str = ""

    @property
    def next(self) -> Event | None:
        """The pending event that is due first."""
        pending = (event for event in self.events if event.state == "pending")
        return min(pending, key=lambda event: event.next_at or "", default=None)

    def having(self, event: Event) -> "Webhook":
        """With this event in the place of the one of its id, or at the end."""
        others = {known.id: known for known in self.events}
        return replace(self, events=tuple({**others, event.id: event}.values()))


def check_callback(settings: Settings, url: str) -> None:
    """Whether a job may have this callback URL. Looks nothing up. Raises UrlRefused with a sentence for the client."""
    if not settings.webhook_secrets:
        raise UrlRefused(
            "This server sends no webhooks, since it has no secret to sign them with; its operator would set "
            "STENO_WEBHOOK_SECRETS for API and workers."
        )
    check_url(url, settings.webhook_networks)


def plan(storage: Storage, job_id: str, url: str) -> None:
    """Write down whom to tell. Before the job's request, so that no crash can lose it; once. Raises StorageFull."""
    if storage.has(job_id, WEBHOOK):  # of a resumable upload that is submitted again, and perhaps told of already
        return
    write(storage, job_id, Webhook(url, salt=uuid.uuid4().hex))


def write(storage: Storage, job_id: str, webhook: Webhook) -> None:
    """Raises StorageFull, and FileNotFoundError where the job was deleted."""
    storage.put(job_id, WEBHOOK, asdict(webhook))


def read(storage: Storage, job_id: str) -> Webhook | None:
    """None if nobody wants to be told. Raises ValueError where the record is broken."""
    if not storage.has(job_id, WEBHOOK):
        return None
    try:
        data = storage.get(job_id, WEBHOOK)
        return None if data is None else Webhook(data["url"], tuple(map(_event, data["events"])), data.get("salt", ""))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{WEBHOOK} of job {job_id} cannot be read") from error


def _event(data: dict[str, Any]) -> Event:
    attempts = tuple(Attempt(**_known(Attempt, attempt)) for attempt in data["attempts"])
    return Event(**{**_known(Event, data), "attempts": attempts})


def _known(kind: type[Attempt | Event], data: dict[str, Any]) -> dict[str, Any]:
    """Without what a newer Steno added, so that versions may run side by side."""
    return {each.name: data[each.name] for each in fields(kind) if each.name in data}


@dataclass(frozen=True)
class Ending:
    """How a job ended, and the id of the event that tells it; `at` is in Unix seconds."""

    event_id: str
    record: str
    status: Status
    at: float


def unheard(storage: Storage, job_id: str, webhook: Webhook) -> Ending | None:
    """An ending whose event is still to be added; None while the job is not over, and once it was."""
    record = next((name for name in OUTCOMES if storage.has(job_id, name)), None)
    request = storage.get(job_id, REQUEST) if record else None
    if record is None or request is None:
        return None
    status, ended, run = OUTCOMES[record], storage.written_at(job_id, record), request.get("run", 0)
    if status is not Status.FINISHED:
        # Its own run: a retry may just have written its request, and be about to remove how the earlier run ended.
        run = (storage.get(job_id, record) or {}).get("run", run)
    if ended is None:
        return None
    # The same however often this is asked and by whom; another for a job that was retried by hand.
    told = uuid.uuid5(uuid.NAMESPACE_URL, f"steno:{job_id}:{run}:{_TYPES[status]}{webhook.salt}")
    ending = Ending(f"msg_{told.hex}", record, status, ended)
    return None if any(event.id == ending.event_id for event in webhook.events) else ending


def note(storage: Storage, job_id: str, webhook: Webhook, now: float) -> Webhook:
    """The webhook with the job's ending among its events, in storage before anybody is told. Raises StorageFull."""
    new = unheard(storage, job_id, webhook)
    result, request = (storage.get(job_id, new.record), storage.get(job_id, REQUEST)) if new else (None, None)
    if new is None or result is None or request is None:  # or retried or deleted between the looks
        return webhook
    event = Event(new.event_id, f"transcription.{_TYPES[new.status]}", iso_time(new.at), {}, next_at=iso_time(now))
    webhook = webhook.having(_thin(event, _data(job_id, new.status, request, result)))
    write(storage, job_id, webhook)
    return webhook


def _data(job_id: str, status: Status, request: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    options = request.get("options", request)
    failed = status is Status.FAILED
    return {
        "job_id": job_id,
        "status": status.value,
        "engine": options.get("engine"),
        "model": options.get("model"),
        "language": result.get("language") or options.get("language"),
        "duration": result.get("duration"),
        "filename": request.get("filename"),
        "created_at": request.get("created_at"),
        "labels": request.get("labels") or [],
        "metadata": request.get("metadata") or {},
        "error": str(result.get("message", ""))[:_LONGEST_TEXT] if failed else None,
        "error_code": result.get("code") if failed else None,
        "reused_from": request.get("reused_from"),
    }


def _thin(event: Event, data: dict[str, Any]) -> Event:
    """The event with its data, without what the client had put there itself where that is more than a webhook may carry."""
    for heavy in (None, "metadata", "labels"):
        if heavy:
            data = {**data, heavy: type(data[heavy])(), "left_out": [*data.get("left_out", []), heavy]}
        event = replace(event, data=data)
        if len(event.body()) <= _MAX_BODY:
            break
    return event


def due_at(event: Event, now: float) -> float:
    """When a pending event is to be sent, in Unix seconds.

    By now, where it was never tried, or where it would be later than the schedule ever has it: then a clock was set back.
    """
    if event.next_at is None:
        return now
    moment = datetime.fromisoformat(event.next_at).timestamp()
    by_now = not event.tried or moment > now + event.longest_wait + _CLOCKS_DIFFER_BY
    return min(moment, now) if by_now else moment


Clock = Callable[[], float]
"""Unix seconds; another one in tests."""
