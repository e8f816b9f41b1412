"""WhisperX: Whisper in batches over voice activity, then forced alignment of every word with the language's own model, then,
if asked, who spoke it."""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from steno.config import Settings, usable_cores
from steno.engines import ENGINES
from steno.jobs.errors import ModelUnavailable
from steno.jobs.options import Options
from worker import hardware, weights
from worker.audio import Audio
from worker.engines.base import Hearing, Report
from worker.engines.hotwords import fitting
from worker.engines.whisperx_words import mark_estimated, segments, spread, with_margin
from worker.model_cache import ModelCache

log = logging.getLogger(__name__)

_NAME: Final = "whisperx"
_LIBRARY: Final = ENGINES[_NAME].imports
_BATCH_SIZE: Final = 8
"""Stretches of up to 30 s heard at once where a job does not say: what WhisperX's own command takes."""


class WhisperX:
    """One Whisper pipeline; alignment and diarization models as jobs need them. Holds the whole recording in memory."""

    def __init__(self, pipeline: Any, version: str, settings: Settings, cache: ModelCache) -> None:
        self._pipeline = pipeline
        self.version = version
        self._settings = settings
        self._cache = cache
        self._device = hardware.torch_device(settings)

    def transcribe(self, audio: Audio, options: Options, report: Report) -> Hearing:
        samples = audio.array()
        if options.language_only:  # it is detected by the first half minute, which in films is music
            from faster_whisper.vad import get_speech_timestamps

            speech = get_speech_timestamps(samples)
            samples = samples[speech[0]["start"] :] if speech else samples
        language, probability = options.language, None
        if language is None:
            language, probability = self._detect(samples)
        hotwords, warnings = fitting(options.hotwords, self._pipeline.model)
        heard = self._listen(samples, language, replace(options, hotwords=hotwords), report)
        if not heard:
            return Hearing(options.language, None, iter(()), warnings)
        told = [*warnings]
        if options.word_timestamps or options.diarize:
            heard = self._timed(heard, language, options.task, samples, report, told)
        if options.diarize:
            self._tell_apart(heard, samples, options, report, told)
        return Hearing(language, probability, segments(heard, options.word_timestamps), tuple(told))

    def _listen(self, samples: Any, language: str, options: Options, report: Report) -> list[Any]:
        """Text by stretches of speech. The pipeline changes itself as it works, so each job sets all of it anew."""
        pipeline = self._pipeline
        given = {"initial_prompt": options.prompt, "hotwords": options.hotwords, "beam_size": options.beam_size}
        asked = {name: value for name, value in given.items() if value is not None}
        untouched, pipeline.tokenizer = pipeline.options, None
        pipeline.options = replace(untouched, **asked)
        pipeline.suppress_numerals = options.suppress_numerals
        try:
            heard: list[Any] = pipeline.transcribe(
                samples,
                batch_size=options.batch_size or _BATCH_SIZE,
                language=language,
                task=options.task,
                progress_callback=lambda percent: report("transcribing", percent / 100),
            )["segments"]
        finally:
            pipeline.options = untouched
        return heard

    def _detect(self, samples: Any) -> tuple[str, float | None]:
        """As WhisperX's own detect_language, which keeps the probability to itself."""
        from whisperx.asr import N_SAMPLES, log_mel_spectrogram

        model = self._pipeline.model
        if not model.model.is_multilingual:
            return "en", None
        mels = model.feat_kwargs.get("feature_size") or 80
        features = log_mel_spectrogram(samples[:N_SAMPLES], n_mels=mels, padding=max(0, N_SAMPLES - samples.shape[0]))
        token, probability = model.model.detect_language(model.encode(features))[0][0]
        return token[2:-2], float(probability)

    def _timed(
        self, heard: list[Any], language: str, task: str, samples: Any, report: Report, told: list[str]
    ) -> list[Any]:
        """Segments with aligned words; where that cannot be done, with words spread evenly and a sentence why in `told`."""
        if task == "translate":
            told.append(
                "A translation cannot be aligned with the words spoken; its words are spread evenly over each segment."
            )
            return [spread(segment, "en") for segment in heard]
        try:
            return self._aligned(heard, language, samples, report)
        except Exception as error:
            log.warning("No alignment: %s", type(error).__name__, exc_info=error, extra={"action": "not_aligned"})
            told.append(
                f"The words could not be aligned in '{language}' ({type(error).__name__}), so their times are spread evenly "
                "over their segments. STENO_ALIGN_MODELS registers an alignment model."
            )
            return [spread(segment, language) for segment in heard]

    def _aligned(self, heard: list[Any], language: str, samples: Any, report: Report) -> list[Any]:
        from whisperx.alignment import align

        name = self._settings.align_models_by_language.get(language)
        key = ("align", language, name or "")
        model, about = self._cache.get(key, lambda: _load_aligner(language, name, self._device), imports=_LIBRARY)
        report("aligning", 0.0)
        found: list[Any] = align(
            with_margin(heard, samples.shape[0]),
            model,
            about,
            samples,
            self._device,
            progress_callback=lambda percent: report("aligning", percent / 100),
        )["segments"]
        return [mark_estimated(segment, about["dictionary"], language) for segment in found]

    def _tell_apart(self, timed: list[Any], samples: Any, options: Options, report: Report, told: list[str]) -> None:
        """Name the speaker of every word; where that cannot be done, the words stay without one and `told` says why."""
        from whisperx.diarize import assign_word_speakers

        name = self._settings.diarization_model
        try:
            key = ("diarize", name or "")
            pipeline = self._cache.get(key, lambda: _load_diarizer(name, self._device), imports=_LIBRARY)
            report("diarizing", 0.0)
            turns = pipeline(
                samples,
                min_speakers=options.min_speakers,
                max_speakers=options.max_speakers,
                progress_callback=lambda percent: report("diarizing", percent / 100),
            )
            assign_word_speakers(turns, {"segments": timed}, fill_nearest=True)
        except Exception as error:
            log.warning("No diarization: %s", type(error).__name__, exc_info=error, extra={"action": "not_diarized"})
            told.append(
                f"The speakers could not be told apart ({type(error).__name__}). The model is gated on its hub: accept its "
                "terms there and set HF_TOKEN on the worker, or set STENO_DIARIZATION_MODEL to a local pipeline; see "
                "`steno doctor`."
            )


def load(model: str, settings: Settings, cache: ModelCache) -> WhisperX:
    """A model by its registered name, or one of Whisper's sizes, fetched from its hub the first time."""
    find, load_from = partial(locate, model, settings, fetch=True), partial(_loaded, model, settings)
    loaded, version = cache.get_located((_NAME, model), find, load_from, _LIBRARY)
    return WhisperX(loaded, version, settings, cache)


def locate(model: str, settings: Settings, *, fetch: bool) -> Path:
    """Its Whisper models are those of faster-whisper: the same folders, the same cache. Raises ModelUnavailable."""
    return weights.ctranslate2_folder(_NAME, model, settings, fetch=fetch)


def _loaded(model: str, settings: Settings, path: Path) -> tuple[Any, str]:
    from whisperx.asr import load_model

    _keep_quiet()
    on = hardware.torch_device(settings)
    with weights.loading(model):
        pipeline = load_model(
            str(path),
            on,
            compute_type=hardware.compute_type(settings, on),
            vad_method=settings.whisperx_vad,
            threads=settings.threads or usable_cores(),
        )
    return pipeline, weights.version(path)


def _load_aligner(language: str, name: str | None, on: str) -> tuple[Any, Any]:
    """What is in the cache is not asked of the hub, whose library would try for long on a machine without a network."""
    from whisperx.alignment import load_align_model

    _keep_quiet()
    try:
        found: tuple[Any, Any] = load_align_model(language, on, model_name=name, model_cache_only=True)
    except ValueError:
        if not weights.is_reachable(weights.hub_address()):
            raise
        found = load_align_model(language, on, model_name=name)
    return found


def fetch_aligner(language: str, settings: Settings) -> None:
    """Bring the alignment model of a language, and what splits its sentences, to this machine. Raises ModelUnavailable."""
    import nltk

    name = settings.align_models_by_language.get(language)
    try:
        _load_aligner(language, name, "cpu")
    except Exception as error:
        raise ModelUnavailable(f"The alignment model of '{language}' could not be fetched: {error}.") from error
    try:
        nltk.data.find("tokenizers/punkt_tab")
    except LookupError:
        if not nltk.download("punkt_tab", quiet=True):
            raise ModelUnavailable("NLTK's punkt_tab, which splits sentences, could not be fetched.") from None


def fetch_diarizer(settings: Settings) -> None:
    """Bring the diarization pipeline and its models to this machine. Raises ModelUnavailable."""
    try:
        _load_diarizer(settings.diarization_model, "cpu")
    except Exception as error:
        raise ModelUnavailable(
            f"The diarization models could not be fetched ({error}). They are gated on their hub: accept their terms there "
            "and set HF_TOKEN."
        ) from error


def _load_diarizer(name: str | None, on: str) -> Any:
    from whisperx.diarize import DiarizationPipeline

    _keep_quiet()
    return DiarizationPipeline(name, device=on)


def _keep_quiet() -> None:
    """WhisperX logs the text of segments that it cannot align; Lightning advises, at each load, to upgrade checkpoints.

    Both set their own levels when they are imported, so: after that, and before they do anything.
    """
    from whisperx.log_utils import setup_logging

    setup_logging(level="error")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
