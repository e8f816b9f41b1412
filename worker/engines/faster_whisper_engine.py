"""faster-whisper: Whisper on CTranslate2, without torch."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final

from steno.config import Settings, usable_cores
from steno.jobs.options import Options
from steno.transcript import Segment, Word
from steno.transcript.model import mean_confidence
from worker import hardware, weights
from worker.audio import Audio
from worker.engines.base import Hearing, Report
from worker.engines.hotwords import fitting
from worker.model_cache import ModelCache

_NAME: Final = "faster-whisper"
_STRETCH_SECONDS: Final = 600.0
"""Longer recordings are heard in pieces of so long: the library takes 60 MB for each minute it is given at once."""
_NUMERALS: Final = frozenset("0123456789%$£")
"""What `suppress_numerals` forbids: the signs that WhisperX forbids under the same name."""


class FasterWhisper:
    """One CTranslate2 Whisper model. Memory does not grow with recordings longer than ten minutes."""

    def __init__(self, model: Any, version: str) -> None:
        self._model = model
        self.version = version

    def transcribe(self, audio: Audio, options: Options, report: Report) -> Hearing:
        hotwords, warnings = fitting(options.hotwords, self._model)
        asked = self._asked(replace(options, hotwords=hotwords))
        stretches = audio.stretches(_STRETCH_SECONDS)
        for offset, samples in stretches:
            segments, info = self._model.transcribe(samples, language=options.language, **asked)
            if info.duration_after_vad:
                probability = None if options.language else float(info.language_probability)
                first = (_segment(heard, offset) for heard in segments)
                rest = self._rest(stretches, info.language, asked)
                return Hearing(info.language, probability, chain(first, rest), warnings, is_live=True)
            # Nobody speaks here: what the model would say of the language means nothing, so listen on.
        return Hearing(options.language, None, iter(()), warnings)

    def _rest(self, stretches: Iterator[tuple[float, Any]], language: str, asked: dict[str, Any]) -> Iterator[Segment]:
        """What is said after the first stretch with speech in it, whose language is that of the recording."""
        for offset, samples in stretches:
            segments, _ = self._model.transcribe(samples, language=language, **asked)
            yield from (_segment(heard, offset) for heard in segments)

    def _asked(self, options: Options) -> dict[str, Any]:
        """The options as the library's arguments; what nobody asked for is left to the library, but for the VAD."""
        given = {
            "initial_prompt": options.prompt,
            "hotwords": options.hotwords,
            "temperature": options.temperature,
            "beam_size": options.beam_size,
            "suppress_tokens": self._numerals() if options.suppress_numerals else None,
        }
        return {
            "task": options.task,
            "word_timestamps": options.word_timestamps,
            "vad_filter": options.vad is not False,
            **{name: value for name, value in given.items() if value is not None},
        }

    def _numerals(self) -> list[int]:
        """The tokens that write numbers as digits; -1 stands for those that the library suppresses anyway."""
        tokenizer = self._model.hf_tokenizer
        texts = tokenizer.decode_batch([[number] for number in range(tokenizer.token_to_id("<|endoftext|>"))])
        return [-1, *(number for number, text in enumerate(texts) if _NUMERALS & set(text))]


def load(model: str, settings: Settings, cache: ModelCache) -> FasterWhisper:
    """A model by its registered name, or one of Whisper's sizes, fetched from its hub the first time."""
    find, load_from = partial(locate, model, settings, fetch=True), partial(_loaded, model, settings)
    loaded, version = cache.get_located((_NAME, model), find, load_from, ("faster_whisper",))
    return FasterWhisper(loaded, version)


def locate(model: str, settings: Settings, *, fetch: bool) -> Path:
    """The model's CTranslate2 folder. Raises ModelUnavailable with what to do."""
    return weights.ctranslate2_folder(_NAME, model, settings, fetch=fetch)


def _loaded(model: str, settings: Settings, path: Path) -> tuple[Any, str]:
    import faster_whisper

    on = hardware.device(settings)
    with weights.loading(model):
        return faster_whisper.WhisperModel(
            str(path),
            device=on,
            compute_type=hardware.compute_type(settings, on),
            cpu_threads=settings.threads or usable_cores(),
        ), weights.version(path)


def _segment(heard: Any, offset: float) -> Segment:
    """A segment of the library's, moved to where its stretch begins.

    Its text is that of its words: a word of which another segment begins with the rest, the library gives to the first one alone.
    """
    words = tuple(_words(heard.words or (), offset))
    confidence = mean_confidence(words)
    if confidence is None:
        confidence = math.exp(heard.avg_logprob)
    text = "".join(word.word for word in heard.words) if words else heard.text
    return Segment(0, offset + float(heard.start), offset + float(heard.end), text.strip(), confidence, None, words)


def _words(heard: Any, offset: float) -> Iterator[Word]:
    for word in heard:
        if text := word.word.strip():
            yield Word(text, offset + float(word.start), offset + float(word.end), float(word.probability))
