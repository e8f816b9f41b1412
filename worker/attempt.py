"""One attempt at one job: hand the recording to the engine process, follow its events, keep the time limit."""

import os
import time
from collections.abc import Callable
from typing import Any, Final

from steno.config import Settings
from steno.engines import ENGINES
from steno.jobs.errors import EngineDied, EngineFailed, EngineOutOfMemory, TimeLimitExceeded, job_error
from steno.jobs.record import JobRequest
from steno.transcript.model import Segment, Transcript, joined, segment_from_dict
from worker.engine_process import EngineProcess, Silence

_LOOK_UP_SECONDS: Final = 0.25
"""How long a wait for the engine may hide that the attempt is to end."""

_UNSOUND: Final = (EngineFailed.code, EngineOutOfMemory.code, EngineDied.code)
"""Failures after which the process may be of no use any more: a GPU that met an error once answers every later call with it."""

Report = Callable[[str, float], None]
"""Takes the stage and the share of it that is done, 0 to 1."""
Heard = Callable[[Segment], None]
"""Takes each segment as it is heard."""


class Interrupted(Exception):
    """The attempt ends before the job is done."""


class GivenBack(Interrupted):
    """The worker must stop; another worker shall have the job."""


class Canceled(Interrupted):
    """Nobody wants the job any more."""


class Attempt:
    """Runs a job on the engine process. The process is killed unless the attempt ends by a sound answer of its own."""

    def __init__(
        self,
        settings: Settings,
        engine: EngineProcess,
        report: Report,
        look_up: Callable[[], None],
        heard: Heard = lambda segment: None,
    ) -> None:
        """`look_up` is called several times a second and raises Interrupted if the job is to end."""
        self._settings = settings
        self._engine = engine
        self._report = report
        self._look_up = look_up
        self._heard = heard
        self.duration = 0.0
        """Of the recording, in seconds, as far as it is known."""
        self._times = 1  # that the recording is listened to
        self._stage = ""
        self._segments: list[Segment] = []
        self._deadline = 0.0

    def run(self, request: JobRequest, audio: str | os.PathLike[str]) -> Transcript:
        """The transcript of the recording at this path. Raises JobError, Interrupted."""
        starting = self._engine.pid is None  # a process that must first start gets a model's time to do so
        self._limit(self._settings.model_load_limit if starting else 0.0)
        answered = False
        try:
            self._engine.send({"path": os.fspath(audio), "options": request.options.to_dict()})
            while True:
                event = self._next_event()
                failed = event["event"] == "failed"
                answered = event["event"] == "done" or (failed and event["code"] not in _UNSOUND)
                if event["event"] == "done":
                    if self._settings.standby and ENGINES[request.options.engine].imports:
                        self._engine.stand_by(request.options.engine)
                    return self._transcript(request, event)
                self._follow(event)
        finally:
            if not answered:
                self._engine.kill()

    def _next_event(self) -> dict[str, Any]:
        while True:
            self._look_up()  # beside a talkative engine, too
            try:
                return self._engine.event(min(self._deadline, time.monotonic() + _LOOK_UP_SECONDS))
            except Silence:
                if time.monotonic() >= self._deadline:
                    raise TimeLimitExceeded from None

    def _follow(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "failed":
                raise job_error(event["code"], event["message"])
            case "stage":
                self._stage, self.duration = event["stage"], event["duration"]
                self._times = event.get("times", self._times)
                self._limit(self._settings.model_load_limit if event["stage"] == "loading" else 0.0)
                self._report(event["stage"], 0.0)
            case "progress":
                # Another stage; or longer than the file claimed, or the first to say how long it is.
                if event["stage"] != self._stage or event["duration"] > self.duration:
                    self._stage, self.duration = event["stage"], max(self.duration, event["duration"])
                    self._limit(0.0)
                self._report(event["stage"], event["share"])
            case "segment":
                self._segments.append(segment_from_dict(event["segment"]))
                self._heard(self._segments[-1])

    def _limit(self, extra: float) -> None:
        settings = self._settings
        allowed = settings.time_limit_base + settings.time_limit_factor * self.duration * self._times
        self._deadline = time.monotonic() + allowed + extra

    def _transcript(self, request: JobRequest, done: dict[str, Any]) -> Transcript:
        return Transcript(
            text=joined(self._segments),
            language=done["language"],
            language_probability=done["language_probability"],
            duration=done["duration"],
            engine=request.options.engine,
            model=request.options.model,
            segments=tuple(self._segments),
            warnings=tuple(done["warnings"]),
            task=request.options.task,
            model_version=done["model_version"],
            versions=done["versions"],
        )
