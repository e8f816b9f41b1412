"""`GET /jobs/{job_id}/events`: what happens to a job, as Server-Sent Events (WHATWG HTML, section 9.2)."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from api import errors
from api.handlers import PlainRoute
from api.hold import while_connected
from api.news import Hub, hub_of
from api.problems import problems
from api.state import state_of
from api.watch import Watch, final_id, parse_event_id

HEARTBEAT_SECONDS = 15.0
"""The longest silence: proxies close what is silent for a minute, and so a client knows that the server is there."""
_RETRY_MS: Final = (1000, 3000)
"""When a client that lost its stream comes back; not all of them at once."""

router = APIRouter(route_class=PlainRoute)

_LAST_EVENT_ID: Final[list[dict[str, Any]]] = [
    {
        "name": name,
        "in": where,
        "required": False,
        "description": "The id of the last event received: the stream goes on behind it.",
        "schema": {"type": "string"},
    }
    for name, where in (("Last-Event-ID", "header"), ("last_event_id", "query"))
]


class EventStream(Response):
    """Sends what happens until the job is over, the client hangs up, `life` seconds have passed or the server stops."""

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, job_id: str, last: str, life: float) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._hub = hub
        self._job_id = job_id
        self._last = last
        self._life = life

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._hub.listening(self._job_id) as watch:
            if watch.view is not None and self._last and self._last == final_id(watch.view):
                await Response(status_code=204)(scope, receive, send)
            else:
                await while_connected(receive, self._send_all(watch, send))

    async def _send_all(self, watch: Watch, send: Send) -> None:
        """A client that has stopped reading is held for no longer than one that reads."""
        async with at_most(self._life + HEARTBEAT_SECONDS):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for piece in self._pieces(watch):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pieces(self, watch: Watch) -> AsyncIterator[bytes]:
        """Events as they come; while the client is slow, the states in between are passed over."""
        yield f"retry: {random.randint(*_RETRY_MS)}\n\n".encode()  # noqa: S311 - spreads clients, guards nothing
        loop = asyncio.get_running_loop()
        end = loop.time() + self._life
        quiet_until = loop.time() + HEARTBEAT_SECONDS
        position, shown = watch.position(parse_event_id(self._last)), b""
        while True:
            seen = watch.version
            events, position = watch.after(position)
            piece = b"".join(event.frame for event in events)
            if not piece and watch.state != shown:  # after the segments, so that the final state is the last event
                piece = shown = watch.state
            elif not piece and (watch.ended or self._hub.closed or loop.time() >= end):
                return
            elif not piece and loop.time() >= quiet_until:
                piece = b": still here\n\n"
            if piece:
                yield piece
                quiet_until = loop.time() + HEARTBEAT_SECONDS
            else:
                async with at_most(min(quiet_until, end) - loop.time()):
                    await watch.change(seen)


@asynccontextmanager
async def at_most(seconds: float) -> AsyncIterator[None]:
    """What is in the context is broken off when the time is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            yield


@router.get(
    "/jobs/{job_id}/events",
    response_class=Response,
    summary="Follow a job",
    openapi_extra={"parameters": _LAST_EVENT_ID},
    responses={
        200: {"description": "Events `state`, `attempt` and `segment`.", "content": {"text/event-stream": {}}},
        204: {"description": "The client has had the last event already: nothing more will come."},
        **problems(errors.JobNotFound, errors.QueueUnavailable),
    },
)
async def follow_job(job_id: str, request: Request) -> Response:
    """The job's state at every change, and each segment as it is heard, until the job is over. See docs/events.md."""
    state = state_of(request)
    last = request.headers.get("last-event-id") or request.query_params.get("last_event_id", "")
    return EventStream(hub_of(state), job_id, last, state.settings.events_life)
