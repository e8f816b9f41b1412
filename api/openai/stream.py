"""`stream=true`: the transcript as Server-Sent Events, a piece as soon as it is heard."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import Response
from redis.exceptions import RedisError
from starlette.types import Receive, Scope, Send

from api.errors import ApiError
from api.events import HEARTBEAT_SECONDS, at_most
from api.hold import while_connected
from api.news import hub_of
from api.openai import bodies
from api.openai.envelope import Fault, fault_of, fault_of_job
from api.openai.fields import AudioFields
from api.state import State
from api.waiting import give_up, look_at, unfinished
from api.watch import Watch
from steno.transcript import Transcript
from steno.transcript.model import channel_of


class Deltas:
    """Each segment once, though attempts begin anew and the transcript has them all again.

    What was sent cannot be taken back: where another attempt begins, it is heard in silence up to where the last one was, on each
    channel of a recording whose channels are heard each on its own.
    """

    def __init__(self) -> None:
        self._next = 0
        self._until: dict[str | None, float] = {}
        self._seams: dict[str | None, float] = {}
        self._begun = False

    def begin_attempt(self) -> None:
        self._next, self._seams = 0, dict(self._until)

    def take(self, id: int, start: float, end: float, text: str, speaker: str | None) -> str | None:
        """The text that this segment adds to what was sent; None if it adds nothing.

        Or if one before it was missed: then that one must come first, with the whole transcript, and all after it.
        """
        if id != self._next:
            return None
        self._next, channel = id + 1, channel_of(speaker)
        if not text or (start + end) / 2 < self._seams.get(channel, 0.0):
            return None
        self._until[channel] = end
        delta, self._begun = f" {text}" if self._begun else text, True
        return delta


class TranscriptStream(Response):
    """Sends deltas until the job is over, then the whole text; a client that hangs up cancels its job.

    The answer begins with the first piece or heartbeat, so that what goes wrong before is an error with a status of its own.
    """

    media_type = "text/event-stream"

    def __init__(self, state: State, job_id: str, told: AudioFields) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Request-Id": job_id})
        self._state = state
        self._job_id = job_id
        self._told = told
        self._deltas = Deltas()
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def work() -> None:
            # A client that has stopped reading is held for little longer than one that reads.
            async with at_most(self._state.settings.openai_wait + 2 * HEARTBEAT_SECONDS):
                fault = await self._send_all(send)
                if fault is not None and not self._started:
                    response = fault.response()
                    response.headers["X-Request-Id"] = self._job_id
                    await response(scope, receive, send)
                    return
                if fault is not None:
                    await self._send(send, bodies.event(fault.body()))
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        if not await while_connected(receive, work()):
            await give_up(self._state, self._job_id, self._state.settings.openai_keep_abandoned)

    async def _send_all(self, send: Send) -> Fault | None:
        """What went wrong, if anything did."""
        settings = self._state.settings
        try:
            async with asyncio.timeout(settings.openai_wait):
                async for piece in self._live():
                    await self._send(send, piece)
                await hub_of(self._state).over(self._job_id)
            view = await look_at(self._state, self._job_id)
        except TimeoutError:
            return fault_of(await unfinished(self._state, self._job_id, settings.openai_keep_abandoned))
        except ApiError as error:
            return fault_of(error)
        if not view.is_over:
            return fault_of(await unfinished(self._state, self._job_id, settings.openai_keep_abandoned))
        if view.result is None:
            return fault_of_job(view)
        transcript = await asyncio.to_thread(lambda: Transcript.from_dict(json.loads(view.result or b"")))
        for data in self._rest(transcript):
            await self._send(send, bodies.event(data))
        return None

    async def _send(self, send: Send, piece: bytes) -> None:
        if not self._started:
            self._started = True
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _live(self) -> AsyncIterator[bytes]:
        """What is heard, as it is heard, and heartbeats. A Redis that is away ends this early, and no more than this."""
        hub = hub_of(self._state)
        with contextlib.suppress(RedisError):
            async with hub.listening(self._job_id) as watch:
                position, quiet_until = 0, time.monotonic() + HEARTBEAT_SECONDS
                while True:
                    seen = watch.version
                    pieces, position = self._heard(watch, position)
                    if not pieces and (watch.ended or hub.closed):
                        return
                    if not pieces and time.monotonic() >= quiet_until:
                        pieces = [b": still here\n\n"]
                    for piece in pieces:
                        yield piece
                    if pieces:
                        quiet_until = time.monotonic() + HEARTBEAT_SECONDS
                        continue
                    async with at_most(quiet_until - time.monotonic()):
                        await watch.change(seen)

    def _heard(self, watch: Watch, position: int) -> tuple[list[bytes], int]:
        """The next pieces that the watch knows of. Who speaks is known only in the end, so there is nothing to tell before."""
        pieces: list[bytes] = []
        events, position = watch.after(position)
        if self._told.response_format == "diarized_json":
            return pieces, position
        for event in events:
            if event.kind == "attempt":
                self._deltas.begin_attempt()
                continue
            told = json.loads(event.data)
            if delta := self._deltas.take(told["id"], told["start"], told["end"], told["text"], told["speaker"]):
                pieces.append(bodies.event({"type": "transcript.text.delta", "delta": delta}))
        return pieces, position

    def _rest(self, transcript: Transcript) -> Iterator[dict[str, Any]]:
        """What was not heard live, and the end."""
        if self._told.response_format == "diarized_json":
            yield from _turns(transcript)
        else:
            for segment in transcript.segments:
                if delta := self._deltas.take(segment.id, segment.start, segment.end, segment.text, segment.speaker):
                    yield {"type": "transcript.text.delta", "delta": delta}
        more = {"logprobs": bodies.logprobs(transcript)} if self._told.wants_logprobs else {}
        yield {"type": "transcript.text.done", "text": transcript.text, **more, "usage": bodies.usage(transcript)}


def _turns(transcript: Transcript) -> Iterator[dict[str, Any]]:
    for number, turn in enumerate(bodies.turns(transcript)):
        delta = f" {turn['text']}" if number else turn["text"]
        yield {"type": "transcript.text.delta", "delta": delta, "segment_id": turn["id"]}
        yield turn
