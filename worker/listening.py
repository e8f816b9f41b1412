"""An engine's ear: one sound in, segments out as they may stand in a transcript."""

from collections.abc import Iterator
from dataclasses import replace

from steno.jobs.options import Options
from steno.transcript import Segment
from steno.transcript.model import tidy
from steno.transcript.spread import with_words
from worker.audio import Audio
from worker.engines.base import Engine, Hearing, Report


def listen_to(engine: Engine, audio: Audio, options: Options, report: Report) -> Hearing:
    """What the engine hears: segments numbered, tidy, with words where these were asked for. Live ones tell the progress."""
    heard = engine.transcribe(audio, options, report)
    return replace(heard, segments=_kept(heard, audio, options, report))


def _kept(heard: Hearing, audio: Audio, options: Options, report: Report) -> Iterator[Segment]:
    written = "en" if options.task == "translate" else heard.language
    number, last = 0, 0.0
    for segment in heard.segments:
        if segment.text:
            whole = with_words(segment, written) if options.word_timestamps else segment
            kept = tidy(whole, id=number, after=last, duration=audio.duration)
            number, last = number + 1, kept.end
            yield kept
            if heard.is_live:
                report("transcribing", min(1.0, kept.end / max(audio.duration, audio.expected_duration)))
