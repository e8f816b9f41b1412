"""What Steno is measured against when it transcribes: the libraries themselves, called as plainly as they can be.

Each function loads its models and returns what hears one recording and tells the number of words. To be imported under the
interpreter that has the library. Models come from Steno's settings, recordings are decoded as Steno decodes them, so that
the rivals differ in nothing but what is around the library.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from steno.config import load_settings, usable_cores
from steno.jobs.options import Options
from worker.audio import Audio

Listen = Callable[[Path], int]

_MODEL: Final = "mini"
_BATCH_SIZE: Final = 8
"""What both WhisperX's command and faster-whisper's batches take unless told otherwise."""


def steno_engine() -> Listen:
    """Steno's own engine of faster-whisper, with no process and no service around it."""
    from worker.engines import load_engine
    from worker.model_cache import ModelCache

    options, settings = Options("faster-whisper", _MODEL), load_settings()
    engine = load_engine(options.engine, options.model, settings, ModelCache(settings))

    def listen(path: Path) -> int:
        heard = engine.transcribe(Audio(path), options, lambda *told: None)
        return sum(len(segment.words) for segment in heard.segments)

    return listen


def faster_whisper() -> Listen:
    """With the voice detector and word times, as Steno calls it."""
    model = _faster_whisper_model("faster-whisper")

    def listen(path: Path) -> int:
        segments, _ = model.transcribe(Audio(path).array(), vad_filter=True, word_timestamps=True)
        return sum(len(segment.words) for segment in segments)

    return listen


def faster_whisper_batched() -> Listen:
    """Its own pipeline in batches, with its own voice detector and word times: what WhisperX competes with."""
    from faster_whisper import BatchedInferencePipeline

    pipeline = BatchedInferencePipeline(_faster_whisper_model("whisperx"))

    def listen(path: Path) -> int:
        segments, _ = pipeline.transcribe(Audio(path).array(), batch_size=_BATCH_SIZE, word_timestamps=True)
        return sum(len(segment.words) for segment in segments)

    return listen


def whisperx() -> Listen:
    """Text, language included, then alignment, as Steno calls it; one alignment model a language, loaded when first needed."""
    from whisperx.alignment import align, load_align_model
    from whisperx.asr import load_model

    from worker.engines.whisperx_words import with_margin

    pipeline = load_model(str(_path("whisperx")), "cpu", threads=usable_cores())
    names = load_settings().align_models_by_language
    aligners: dict[str, Any] = {}

    def listen(path: Path) -> int:
        samples = Audio(path).array()
        heard = pipeline.transcribe(samples, batch_size=_BATCH_SIZE)
        language = heard["language"]
        if language not in aligners:
            aligners[language] = load_align_model(language, "cpu", model_name=names[language], model_cache_only=True)
        segments = with_margin(heard["segments"], samples.shape[0])
        aligned = align(segments, *aligners[language], samples, "cpu")
        return len(aligned["word_segments"])

    return listen


def whisper_timestamped() -> Listen:
    """As Steno calls it, the look for speech before it included: where there is none, the library makes words up."""
    from faster_whisper.vad import get_speech_timestamps

    transcribe = _whisper_timestamped()

    def listen(path: Path) -> int:
        samples = Audio(path).array()
        return transcribe(samples) if get_speech_timestamps(samples) else 0

    return listen


def whisper_timestamped_forgetful() -> Listen:
    """Nothing but the library; see forgetful_horse.py for what it must not remember."""
    transcribe = _whisper_timestamped(condition_on_previous_text=False)
    return lambda path: transcribe(Audio(path).array())


def _whisper_timestamped(**asked: bool) -> Callable[[Any], int]:
    import whisper_timestamped as library

    model = library.load_model(str(_path("timestamped")), device="cpu")

    def transcribe(samples: Any) -> int:
        heard = library.transcribe(model, samples, verbose=None, vad=False, **asked)
        return sum(len(segment.get("words", ())) for segment in heard["segments"])

    return transcribe


def _faster_whisper_model(engine: str) -> Any:
    from faster_whisper import WhisperModel

    return WhisperModel(str(_path(engine)), device="cpu", cpu_threads=usable_cores())


def _path(engine: str) -> Path:
    return load_settings().local_models_of(engine)[_MODEL]
