"""pocketsphinx: a small US-English recogniser whose model is in its wheel. For trying things out, not for real work.

Tuned as measured: narrow beams and a higher language weight, over the segments of its own voice detector.
"""

import contextlib
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from steno.config import Settings
from steno.jobs.options import Options
from steno.transcript import Segment, Word
from steno.transcript.model import mean_confidence
from worker.audio import SAMPLE_RATE, Audio
from worker.engines.base import Hearing, Report
from worker.model_cache import ModelCache

_FRAMES_A_SECOND = 100
_VARIANT = re.compile(r"\(\d+\)$")  # "the(2)": the second way to pronounce it


class Pocketsphinx:
    """Decodes while it listens: memory does not grow with the recording."""

    def __init__(self, decoder: Any, segmenter: type, version: str) -> None:
        self._decoder = decoder
        self._segmenter = segmenter
        self.version = version

    def transcribe(self, audio: Audio, options: Options, report: Report) -> Hearing:
        self._decoder.reinit_feat()  # else it keeps the level it got used to, and one recording colours the next
        return Hearing("en", None, self._segments(audio, options.word_timestamps), is_live=True)

    def _segments(self, audio: Audio, with_words: bool) -> Iterator[Segment]:
        speech = self._segmenter(sample_rate=SAMPLE_RATE).segment(_PcmStream(audio))
        for stretch in speech:
            self._decoder.start_utt()
            self._decoder.process_raw(stretch.pcm, full_utt=True)
            self._decoder.end_utt()
            if words := tuple(self._words(stretch.start_time)):
                text = " ".join(word.text for word in words)
                confidence, start, end = mean_confidence(words), words[0].start, words[-1].end
                yield Segment(0, start, end, text, confidence, None, words if with_words else ())

    def _words(self, offset: float) -> Iterator[Word]:
        for heard in self._decoder.seg() or ():
            if heard.word[0] in "<[+":  # <s>, <sil>, [NOISE]: not words
                continue
            start = offset + heard.start_frame / _FRAMES_A_SECOND
            end = offset + (heard.end_frame + 1) / _FRAMES_A_SECOND
            yield Word(_VARIANT.sub("", heard.word), start, end, heard.prob)


class _PcmStream:
    """A recording as the byte stream that the voice detector reads: 16-bit little-endian samples."""

    def __init__(self, audio: Audio) -> None:
        self._blocks = audio.blocks()
        self._rest = bytearray()

    def read(self, size: int) -> bytes:
        with contextlib.suppress(StopIteration):
            while len(self._rest) < size:
                self._rest += next(self._blocks).astype("<i2", copy=False).tobytes()
        taken = bytes(self._rest[:size])
        del self._rest[:size]
        return taken


def load(model: str, settings: Settings, cache: ModelCache) -> Pocketsphinx:
    """The model is in the wheel, so the wheel's version is the model's."""
    from pocketsphinx import Decoder, Segmenter

    def decoder() -> Any:
        return Decoder(samprate=SAMPLE_RATE, beam=1e-60, wbeam=1e-40, lw=7.5, loglevel="FATAL")

    return Pocketsphinx(cache.get(("pocketsphinx", model), decoder), Segmenter, version("pocketsphinx"))


def locate(model: str, settings: Settings, *, fetch: bool) -> Path:
    """The model's folder inside the wheel: always there."""
    from pocketsphinx import get_model_path

    return Path(get_model_path(model))
