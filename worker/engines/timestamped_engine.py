"""whisper-timestamped: openai-whisper with word times and confidences from its cross-attention. AGPL-3.0, kept apart.

Its own VAD is switched off (a string given to it goes through eval); whether anybody speaks at all is asked of the voice
detector in faster-whisper's wheel, so that silence makes no words.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from steno.config import Settings
from steno.jobs.errors import ModelUnavailable
from steno.jobs.options import Options
from steno.transcript import Segment, Word
from worker.audio import Audio
from worker.engines.base import Hearing, Report

_INCONSISTENT: Final = "inconsistent number of segments"
_NAIVE: Final = (
    "The engine lost count of its segments and listened again the naive way; times may be a little less exact."
)


class Timestamped:
    """One openai-whisper model. Holds the whole recording in memory."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def transcribe(self, audio: Audio, options: Options, report: Report) -> Hearing:
        from faster_whisper.vad import get_speech_timestamps

        samples = audio.array()
        if not get_speech_timestamps(samples):
            return Hearing(options.language, None, iter(()))
        warnings: tuple[str, ...] = ()
        try:
            heard = self._listen(samples, options.language, report)
        except AssertionError as error:
            if _INCONSISTENT not in str(error):
                raise
            heard, warnings = self._listen(samples, options.language, report, naive_approach=True), (_NAIVE,)
        language: str = heard["language"]
        probability = heard.get("language_probs", {}).get(language) if options.language is None else None
        return Hearing(
            language, None if probability is None else float(probability), map(_segment, heard["segments"]), warnings
        )

    def _listen(self, samples: Any, language: str | None, report: Report, **more: Any) -> dict[str, Any]:
        import whisper_timestamped

        with _progress(report):
            heard: dict[str, Any] = whisper_timestamped.transcribe(
                self._model, samples, language=language, vad=False, verbose=False, **more
            )
        return heard


@contextmanager
def _progress(report: Report) -> Iterator[None]:
    """Hear of each window through the progress bar that openai-whisper would draw: it has no callback."""

    class Bar:
        def __init__(self, *, total: int, **looks: Any) -> None:
            self._total, self._done = total, 0

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def update(self, frames: int) -> None:
            self._done += frames
            report("transcribing", min(1.0, self._done / self._total) if self._total else 1.0)

    drawing: Any = import_module("whisper.transcribe").tqdm
    original = drawing.tqdm
    drawing.tqdm = Bar
    try:
        yield
    finally:
        drawing.tqdm = original


def load(model: str, settings: Settings) -> Timestamped:
    """A registered .pt file or folder, or one of openai-whisper's names, fetched the first time."""
    import whisper_timestamped

    device = None if settings.device == "auto" else settings.device
    try:
        return Timestamped(whisper_timestamped.load_model(locate(model, settings, fetch=True), device=device))
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelUnavailable(
            f"Model '{model}' could not be loaded or fetched ({type(error).__name__}: {error}). Give the worker network "
            "access once, or register a local .pt file with STENO_LOCAL_MODELS."
        ) from error


def locate(model: str, settings: Settings, *, fetch: bool) -> str:
    """A registered file, or the name that openai-whisper fetches by itself. Raises ModelUnavailable."""
    import whisper

    registered = settings.local_models_of("timestamped").get(model)
    if registered is not None:
        if not registered.exists():
            raise ModelUnavailable(f"Model '{model}' is registered at {registered}, but nothing is there.")
        return str(registered)
    cached = Path.home() / ".cache" / "whisper" / Path(whisper._MODELS[model]).name
    if not fetch and not cached.is_file():
        raise ModelUnavailable(f"Model '{model}' is not on this machine.")
    return model


def _segment(heard: dict[str, Any]) -> Segment:
    words = tuple(
        Word(word["text"].strip(), float(word["start"]), float(word["end"]), float(word["confidence"]))
        for word in heard.get("words", ())
    )
    confidence = heard.get("confidence")
    return Segment(
        0,
        float(heard["start"]),
        float(heard["end"]),
        heard["text"].strip(),
        None if confidence is None else float(confidence),
        None,
        words,
    )
