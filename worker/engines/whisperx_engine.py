"""WhisperX: Whisper in batches over voice activity, then forced alignment of every word with the language's own model."""

import logging
import math
from collections.abc import Iterator
from typing import Any, Final

from steno.config import Settings, usable_cores
from steno.jobs.errors import ModelUnavailable
from steno.jobs.options import Options
from steno.transcript import Segment, Word
from steno.transcript.model import mean_confidence
from worker.audio import Audio
from worker.engines import faster_whisper_engine
from worker.engines.base import Hearing, Report

log = logging.getLogger(__name__)

_ALIGNERS_KEPT: Final = 2


class WhisperX:
    """One Whisper pipeline, and the alignment models of the languages met last. Holds the whole recording in memory."""

    def __init__(self, pipeline: Any, device: str, settings: Settings) -> None:
        self._pipeline = pipeline
        self._device = device
        self._settings = settings
        self._aligners: dict[str, tuple[Any, Any]] = {}

    def transcribe(self, audio: Audio, options: Options, report: Report) -> Hearing:
        samples = audio.array()
        language, probability = options.language, None
        if language is None:
            language, probability = self._detect(samples)
        heard = self._pipeline.transcribe(
            samples, language=language, progress_callback=lambda percent: report("transcribing", percent / 100)
        )["segments"]
        if not heard:
            return Hearing(options.language, None, iter(()))
        aligned, warning = self._align(heard, language, samples, report)
        warnings = (warning,) if warning else ()
        return Hearing(language, probability, _segments(aligned), warnings)

    def _detect(self, samples: Any) -> tuple[str, float]:
        """As WhisperX's own detect_language, which keeps the probability to itself."""
        from whisperx.asr import N_SAMPLES, log_mel_spectrogram

        model = self._pipeline.model
        mels = model.feat_kwargs.get("feature_size") or 80
        features = log_mel_spectrogram(samples[:N_SAMPLES], n_mels=mels, padding=max(0, N_SAMPLES - samples.shape[0]))
        token, probability = model.model.detect_language(model.encode(features))[0][0]
        return token[2:-2], float(probability)

    def _align(self, heard: list[Any], language: str, samples: Any, report: Report) -> tuple[list[Any], str | None]:
        """Segments with aligned words; where that cannot be done, with words spread evenly and a sentence why."""
        import whisperx

        try:
            report("aligning", 0.0)
            model, about = self._aligner(language)
            aligned = whisperx.align(
                heard,
                model,
                about,
                samples,
                self._device,
                progress_callback=lambda percent: report("aligning", percent / 100),
            )
        except Exception as error:  # noqa: BLE001 - no model for the language, not to be fetched, no sentence splitter, no memory
            log.warning("No alignment: %s", error, extra={"action": "not_aligned"})
            return [_spread(segment) for segment in heard], (
                f"The words could not be aligned in '{language}' ({type(error).__name__}), so their times are spread evenly "
                "over their segments. STENO_ALIGN_MODELS registers an alignment model."
            )
        return aligned["segments"], None

    def _aligner(self, language: str) -> tuple[Any, Any]:
        import whisperx

        if language not in self._aligners:
            while len(self._aligners) >= _ALIGNERS_KEPT:
                self._aligners.pop(next(iter(self._aligners)))
            name = self._settings.align_models_by_language.get(language)
            self._aligners[language] = whisperx.load_align_model(language, self._device, model_name=name)
        return self._aligners[language]


def load(model: str, settings: Settings) -> WhisperX:
    import torch
    import whisperx

    device = settings.device if settings.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    path = locate(model, settings, fetch=True)
    try:
        pipeline = whisperx.load_model(
            path,
            device,
            compute_type=settings.compute_type,
            threads=settings.threads or usable_cores(),
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelUnavailable(f"Model '{model}' could not be loaded: {error}.") from error
    return WhisperX(pipeline, device, settings)


def _segments(aligned: list[Any]) -> Iterator[Segment]:
    for segment in aligned:
        words = tuple(_words(segment))
        confidence = mean_confidence(words)
        if confidence is None and "avg_logprob" in segment:
            confidence = math.exp(float(segment["avg_logprob"]))
        text = segment["text"].strip()
        yield Segment(0, float(segment["start"]), float(segment["end"]), text, confidence, None, words)


def _spread(segment: Any) -> Any:
    """A segment whose words take up its time by their length; none of them has a score."""
    words, start, letters = segment["text"].split(), segment["start"], len("".join(segment["text"].split()))
    placed = []
    for word in words:
        end = start + (segment["end"] - segment["start"]) * len(word) / letters
        placed.append({"word": word, "start": start, "end": end})
        start = end
    return {**segment, "words": placed}


def _words(segment: Any) -> Iterator[Word]:
    """Aligned words. One that even interpolation left without times stands at the end of the one before it."""
    last = float(segment["start"])
    for word in segment.get("words", ()):
        start = float(word.get("start", last))
        last = float(word.get("end", start))
        score = word.get("score")
        yield Word(word["word"], start, last, None if score is None else float(score))


def locate(model: str, settings: Settings, *, fetch: bool) -> str:
    """Its Whisper models are those of faster-whisper: the same folders, the same cache."""
    return faster_whisper_engine.locate(model, settings, fetch=fetch, engine="whisperx")
