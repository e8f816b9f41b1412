"""The contract of an engine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from steno.jobs.options import Options
from steno.transcript import Segment
from worker.audio import Audio

Report = Callable[[str, float], None]
"""Takes a stage (transcribing, aligning, diarizing) and the share of it that is done, 0 to 1."""


@dataclass(frozen=True)
class Hearing:
    """What an engine has to say of a recording. `segments` is consumed once; the work may happen while it is.

    Segments come in order of time, in seconds from the start of the recording; their ids do not matter.
    """

    language: str | None
    language_probability: float | None
    segments: Iterator[Segment]
    warnings: tuple[str, ...] = ()
    is_live: bool = False
    """Whether each segment is heard when it is asked for, so that its end tells the progress."""


class Engine(Protocol):
    """An engine with one model loaded. Never asked to do two recordings at once.

    Its file also has `load(model, settings, cache)`, which makes it with every model taken from the cache, and
    `locate(model, settings, fetch=)`, the path of the weights; both raise ModelUnavailable.
    """

    version: str
    """What its model's weights are, exactly: see worker/weights.py."""

    def transcribe(self, audio: Audio, options: Options, report: Report) -> Hearing:
        """Listen, honouring every option that steno/engines.py says it honours. Segments may be yielded as they are heard.

        Raises a JobError for what a person can act on; anything else counts as the engine's failure."""
