"""faster-whisper: Whisper on CTranslate2, without torch."""

import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

from steno.config import Settings, usable_cores
from steno.jobs.errors import ModelUnavailable
from steno.jobs.options import Options
from steno.transcript import Segment, Word
from steno.transcript.model import mean_confidence
from worker.audio import Audio
from worker.engines.base import Hearing, Report

_NEEDED: Final = ("model.bin", "config.json", "tokenizer.json")
"""Without tokenizer.json the library asks a hub for it, for half a minute; so say at once that the folder lacks it."""


_STRETCH_SECONDS: Final = 600.0
"""Longer recordings are heard in pieces of so long: the library takes 60 MB for each minute it is given at once."""


class FasterWhisper:
    """One CTranslate2 Whisper model. Memory does not grow with recordings longer than ten minutes."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def transcribe(self, audio: Audio, options: Options, report: Report) -> Hearing:
        stretches = audio.stretches(_STRETCH_SECONDS)
        for offset, samples in stretches:
            segments, info = self._listen(samples, options.language)
            if info.duration_after_vad:
                probability = None if options.language else float(info.language_probability)
                first = (_segment(heard, offset) for heard in segments)
                return Hearing(info.language, probability, chain(first, self._rest(stretches, info.language)))
            # Nobody speaks here: what the model would say of the language means nothing, so listen on.
        return Hearing(options.language, None, iter(()))

    def _rest(self, stretches: Iterator[tuple[float, Any]], language: str) -> Iterator[Segment]:
        """What is said after the first stretch with speech in it, whose language is that of the recording."""
        for offset, samples in stretches:
            segments, _ = self._listen(samples, language)
            yield from (_segment(heard, offset) for heard in segments)

    def _listen(self, samples: Any, language: str | None) -> tuple[Iterator[Any], Any]:
        heard: tuple[Iterator[Any], Any] = self._model.transcribe(
            samples, language=language, word_timestamps=True, vad_filter=True
        )
        return heard


def load(model: str, settings: Settings) -> FasterWhisper:
    """A model by its registered name, or one of Whisper's sizes, fetched from its hub the first time."""
    import faster_whisper

    path = locate(model, settings, fetch=True)
    try:
        return FasterWhisper(
            faster_whisper.WhisperModel(
                path,
                device=settings.device,
                compute_type=settings.compute_type,
                cpu_threads=settings.threads or usable_cores(),
            )
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelUnavailable(f"Model '{model}' could not be loaded: {error}.") from error


def locate(model: str, settings: Settings, *, fetch: bool, engine: str = "faster-whisper") -> str:
    """The CTranslate2 folder of an engine's model: registered, in the hub's local cache, or, with `fetch`, brought from the hub.

    Raises ModelUnavailable with what to do.
    """
    registered = settings.local_models_of(engine).get(model)
    if registered is not None:
        return _complete(model, registered)
    from faster_whisper import download_model

    try:
        return str(download_model(model, local_files_only=True))
    except Exception as error:
        if not fetch:
            raise ModelUnavailable(f"Model '{model}' is not on this machine.") from error
    try:
        return str(download_model(model))
    except Exception as error:
        raise ModelUnavailable(
            f"Model '{model}' is not on this machine and could not be fetched from its hub. Give the worker network "
            "access once, register a local copy with STENO_LOCAL_MODELS, or try engine pocketsphinx, which needs no download."
        ) from error


def _complete(model: str, path: Path) -> str:
    if missing := [name for name in _NEEDED if not (path / name).is_file()]:
        raise ModelUnavailable(
            f"Model '{model}' is registered at {path}, but {', '.join(missing)} is not there; "
            "correct STENO_LOCAL_MODELS or copy the whole CTranslate2 folder."
        )
    return str(path)


def _segment(heard: Any, offset: float) -> Segment:
    """A segment of the library's, moved to where its stretch begins."""
    words = tuple(_words(heard.words or (), offset))
    confidence = mean_confidence(words)
    if confidence is None:
        confidence = math.exp(heard.avg_logprob)
    return Segment(
        0, offset + float(heard.start), offset + float(heard.end), heard.text.strip(), confidence, None, words
    )


def _words(heard: Any, offset: float) -> Iterator[Word]:
    for word in heard:
        if text := word.word.strip():
            yield Word(text, offset + float(word.start), offset + float(word.end), float(word.probability))
