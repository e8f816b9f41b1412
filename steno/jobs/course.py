"""How far a job is, as one share of all its work, and how long it will yet take: from speeds measured on jobs before it."""

import json
import time
from collections.abc import Mapping
from typing import Final, cast

from redis import Redis

from steno.engines import ENGINES
from steno.jobs.options import Options

SPEEDS: Final = "steno:speeds"
"""Hash: engine/model, and the seconds of work a second of audio took, by stage; and an engine alone, its seconds a job."""

_GUESS: Final = {"transcribing": 1.0, "aligning": 0.3, "diarizing": 0.5}
"""Weights of the stages until some were measured."""
_WEIGHT_OF_NEWS: Final = 0.2
_TELLING: Final = 0.05
"""From this share on, a job's own speed says more than that of others."""


def stages_of(options: Options) -> tuple[str, ...]:
    """The stages that take their share of time, in order."""
    aligned = ENGINES[options.engine].aligns and options.task == "transcribe"
    stages = ["transcribing"]
    if aligned and (options.word_timestamps or options.diarize):
        stages.append("aligning")
    if options.diarize:
        stages.append("diarizing")
    return tuple(stages)


class Course:
    """The course of one attempt. Told of stage and share, it gives the share of the whole, which never falls.

    Where the channels of a recording are heard one after the other, the stages come again with each: there a share is already
    that of the whole, and what the stages took says nothing of the speed of other jobs.
    """

    def __init__(self, options: Options, speeds: Mapping[str, float]) -> None:
        self._comes_again = options.channels == "separate"
        known = all(stage in speeds for stage in stages_of(options)) and not self._comes_again
        self._weights = {stage: speeds[stage] if known else _GUESS[stage] for stage in stages_of(options)}
        self._known = known
        self._stage = ""
        self._since = time.monotonic()
        self._spent: dict[str, float] = {}
        self.progress = 0.0
        self.duration = 0.0

    def at(self, stage: str, share: float) -> float:
        """The share of the whole, 0 to 1, where `share` of a stage is done."""
        if stage == "decoding":
            stage = "transcribing"  # one time for both: engines decode as they listen
        self._enter(stage)
        if stage in self._weights:
            order = list(self._weights)
            before = sum(self._weights[name] for name in order[: order.index(stage)])
            done = (before + self._weights[stage] * share) / (sum(self._weights.values()) or 1.0)
            done = share if self._comes_again else done
            self.progress = max(self.progress, min(done, 1.0))
        elif stage == "writing":
            self.progress = 1.0
        return self.progress

    def seconds_left(self) -> float | None:
        """What the job will yet take, by its own speed or else that of jobs before it; None where neither is known."""
        if self.progress >= _TELLING:
            spent = sum(self._so_far().values())
            return round(spent * (1 - self.progress) / self.progress, 1)
        if self._known and self.duration:
            return round(sum(self._weights.values()) * self.duration * (1 - self.progress), 1)
        return None

    def took(self) -> dict[str, float]:
        """Seconds that each stage with a share of time took, once the job is done; nothing where stages came again."""
        return {} if self._comes_again else self._so_far()

    def _enter(self, stage: str) -> None:
        if stage == self._stage:
            return
        # Models are loaded between the stages. What came before the first of them was the engine process that starts.
        self._spent = {} if stage == "loading" and not self.progress else self._so_far()
        self._stage, self._since = stage, time.monotonic()

    def _so_far(self) -> dict[str, float]:
        """Seconds in each stage with a share of time."""
        spent = dict(self._spent)
        if self._stage in self._weights:
            spent[self._stage] = spent.get(self._stage, 0.0) + time.monotonic() - self._since
        return spent


def speeds_of(redis: "Redis", engine: str, model: str) -> dict[str, float]:
    """Seconds of work a second of audio, by stage, as far as measured. Raises RedisError."""
    return parse_speeds(cast("bytes | None", redis.hget(SPEEDS, f"{engine}/{model}")))


def parse_speeds(stored: bytes | None) -> dict[str, float]:
    return {stage: float(speed) for stage, speed in json.loads(stored or "{}").items()}


def learn(redis: "Redis", options: Options, took: Mapping[str, float], duration: float, job_seconds: float) -> None:
    """Remember how fast a finished job of `duration` seconds of audio was, if it was a whole one. Raises RedisError.

    Two workers that write at the same moment lose one of the two lessons, which does no harm.
    """
    if duration <= 0 or options.language_only or not took:
        return
    told = {f"{options.engine}/{options.model}": {stage: spent / duration for stage, spent in took.items()}}
    told[options.engine] = {"job": job_seconds}
    for key, measured in told.items():
        known = parse_speeds(cast("bytes | None", redis.hget(SPEEDS, key)))
        for stage, speed in measured.items():
            known[stage] = known.get(stage, speed) * (1 - _WEIGHT_OF_NEWS) + speed * _WEIGHT_OF_NEWS
        redis.hset(SPEEDS, key, json.dumps(known))
