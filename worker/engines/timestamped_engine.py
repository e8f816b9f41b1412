"""whisper-timestamped: openai-whisper with word times and confidences from its cross-attention. AGPL-3.0, kept apart.

Its own VAD is never named to it (a string given to it goes through eval); what it is given is the list of stretches in which
the voice detector in faster-whisper's wheel hears speech, or nothing. Either way, where that hears none, there are no words.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from steno.config import Settings
from steno.engines import ENGINES
from steno.jobs.options import Options
from steno.transcript import Segment, Word
from worker import hardware, weights
from worker.audio import SAMPLE_RATE, Audio
from worker.engines.base import Hearing, Report
from worker.model_cache import ModelCache

log = logging.getLogger(__name__)

_NAME: Final = "timestamped"
_DISFLUENCY: Final = "[*]"
"""The word that the library writes for a hesitation, a filler or a false start."""
_WAYS: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    ({}, ""),
    (
        {"naive_approach": True},
        "The engine lost track of its segments and listened again the naive way; times may be a little less exact.",
    ),
    (
        {"condition_on_previous_text": False},
        "The engine lost track of its segments and listened again, each half minute without what was said before it.",
    ),
)
"""How to listen: the library's own way, then two that get by where that fails ("inconsistent number of segments", "no warping
path": the tokens decoded and the attention seen do not match), each with the sentence for the transcript's warnings."""


class Timestamped:
    """One openai-whisper model. Holds the whole recording in memory."""

    def __init__(self, model: Any, version: str) -> None:
        self._model = model
        self.version = version

    def transcribe(self, audio: Audio, options: Options, report: Report) -> Hearing:
        samples = audio.array()
        asked = _asked(options)
        if options.vad is not False:
            from faster_whisper.vad import get_speech_timestamps

            speech = get_speech_timestamps(samples)
            if not speech:
                return Hearing(options.language, None, iter(()))
            if options.language_only:  # it is detected by the first half minute, which in films is music
                samples = samples[speech[0]["start"] :]
            if options.vad:
                asked["vad"] = [(one["start"] / SAMPLE_RATE, one["end"] / SAMPLE_RATE) for one in speech]
        heard, warnings = self._listen(samples, asked, report)
        language: str = heard["language"]
        probability = heard.get("language_probs", {}).get(language) if options.language is None else None
        return Hearing(
            language,
            None if probability is None else float(probability),
            (_segment(one, options.word_timestamps) for one in heard["segments"]),
            warnings,
        )

    def _listen(self, samples: Any, asked: dict[str, Any], report: Report) -> tuple[dict[str, Any], tuple[str, ...]]:
        """What the library hears, and a sentence if it took another way than the first. Raises the first way's error."""
        import whisper_timestamped

        lost: Exception | None = None
        for way, sentence in _WAYS:
            try:
                with _progress(report):
                    heard: dict[str, Any] = whisper_timestamped.transcribe(
                        self._model, samples, verbose=None, **asked, **way
                    )
                return heard, (sentence,) if sentence else ()
            except (AssertionError, ValueError) as error:
                log.warning("Lost track: %s", type(error).__name__, extra={"action": "listened_again"})
                lost = lost or error
        assert lost is not None
        raise lost


def _asked(options: Options) -> dict[str, Any]:
    """The options as the library's arguments; what nobody asked for is left to the library."""
    given = {
        "language": options.language,
        "initial_prompt": options.prompt,
        "temperature": options.temperature,
        "beam_size": options.beam_size,
    }
    return {
        "task": options.task,
        "vad": False,
        "detect_disfluencies": options.disfluencies,
        **{name: value for name, value in given.items() if value is not None},
    }


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


def load(model: str, settings: Settings, cache: ModelCache) -> Timestamped:
    """A registered .pt file, or one of openai-whisper's models, fetched the first time."""
    find, load_from = partial(locate, model, settings, fetch=True), partial(_loaded, model, settings)
    loaded, version = cache.get_located((_NAME, model), find, load_from, ENGINES[_NAME].imports)
    return Timestamped(loaded, version)


def locate(model: str, settings: Settings, *, fetch: bool) -> Path:
    """The model's .pt file. Raises ModelUnavailable with what to do."""
    return weights.openai_file(_NAME, model, settings, fetch=fetch)


def _loaded(model: str, settings: Settings, path: Path) -> tuple[Any, str]:
    import whisper_timestamped

    # By its own name a model brings the table of attention heads that follow the words in time; a file alone has none.
    local = model in settings.local_models_of(_NAME)
    source, folder = (str(path), None) if local else (model, str(path.parent))
    with weights.loading(model):
        loaded = whisper_timestamped.load_model(source, device=hardware.torch_device(settings), download_root=folder)
    return loaded, weights.version(path)


def _segment(heard: dict[str, Any], with_words: bool) -> Segment:
    """A segment of the library's. Its words may hold marks that its text lacks ("[*]", a disfluency): the text follows them."""
    words = tuple(
        Word(word["text"].strip(), float(word["start"]), float(word["end"]), float(word["confidence"]))
        for word in heard.get("words", ())
        if word["text"].strip()
    )
    text = heard["text"].strip()
    if any(word.text == _DISFLUENCY for word in words):
        text = " ".join(word.text for word in words)
    confidence = heard.get("confidence")
    return Segment(
        0,
        float(heard["start"]),
        float(heard["end"]),
        text,
        None if confidence is None else float(confidence),
        None,
        words if with_words else (),
    )
