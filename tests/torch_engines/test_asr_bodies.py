"""The bodies of /asr beside those that the libraries' own writers make of the same transcript: equal to the byte."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.asr.bodies import BODIES
from conftest import DATA, MODEL
from steno.jobs.options import Options
from steno.transcript import Segment, Transcript, Word
from tests.hearing import hear
from worker.audio import Audio
from worker.model_cache import ModelCache

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]

STRANGE = Transcript(
    "",
    "de",
    None,
    7300.0,
    "timestamped",
    MODEL,
    (
        Segment(0, 0.0, 59.9996, "Straße --> links\tund rechts."),
        Segment(1, 0.0005, 3600.0, "„Ja.“ & <nie>"),
        Segment(2, 7261.0425, 366_000.0, "你好。"),
    ),
)
"""Hours, halves of a millisecond, and signs that could break a format."""


def made(writers: Any, output: str, result: dict[str, Any], **options: Any) -> str:
    """What a library's own writer makes of a result."""
    file = io.StringIO()
    writers.get_writer(output, "").write_result(result, file, options)
    return file.getvalue()


@pytest.fixture(scope="module")
def heard(cache: ModelCache) -> Transcript:
    """A real recording, in segments as the engine gives them."""
    return hear(cache, DATA / "exact-en-1.wav", Options("timestamped", MODEL, word_timestamps=False))


@pytest.mark.parametrize("output", ["txt", "srt", "vtt", "tsv"])
def test_text_is_that_of_openai_whisper(heard: Transcript, output: str) -> None:
    import whisper.utils

    for transcript in (heard, STRANGE, replace(STRANGE, segments=())):
        segments = [{"start": s.start, "end": s.end, "text": f" {s.text}"} for s in transcript.segments]
        assert BODIES[output](transcript) == made(whisper.utils, output, {"segments": segments})


@pytest.mark.parametrize("words", [False, True])
def test_json_has_the_keys_of_openai_whisper_in_its_order(cache: ModelCache, models: Path, words: bool) -> None:
    import whisper

    model = whisper.load_model(str(models / "mini.pt"), device="cpu")
    result = model.transcribe(Audio(DATA / "exact-en-1.wav").array(), word_timestamps=words, fp16=False)
    theirs = json.loads(made(whisper.utils, "json", result))
    ours = json.loads(
        BODIES["json"](hear(cache, DATA / "exact-en-1.wav", Options("timestamped", MODEL, word_timestamps=words)))
    )
    assert (list(ours), ours["text"]) == (list(theirs), theirs["text"])
    assert [list(segment) for segment in ours["segments"]] == [list(segment) for segment in theirs["segments"]]
    assert [segment["text"] for segment in ours["segments"]] == [segment["text"] for segment in theirs["segments"]]
    for mine, their in zip(ours["segments"], theirs["segments"], strict=True):
        told = [[list(word) for word in segment.get("words", ())] for segment in (mine, their)]
        assert told[0] == told[1]
    assert BODIES["json"](STRANGE) == made(whisper.utils, "json", json.loads(BODIES["json"](STRANGE)))


@pytest.mark.parametrize("output", ["txt", "srt", "vtt", "tsv"])
def test_speakers_are_written_as_whisperx_writes_them(output: str) -> None:
    import whisperx.utils

    texts = [("Guten Tag.", "SPEAKER_00"), ("Ja, bitte?", "SPEAKER_01"), ("Wer?", "SPEAKER_01"), ("Niemand.", None)]
    segments = []
    for number, (text, speaker) in enumerate(texts):
        spoken = text.split()
        words = tuple(
            Word(w, 3600.0 * number + n, 3600.0 * number + n + 0.5, 0.5, speaker) for n, w in enumerate(spoken)
        )
        segments.append(Segment(number, words[0].start, words[-1].end, text, 0.5, speaker, words))
    theirs = [
        {
            "start": s.start,
            "end": s.end,
            "text": f" {s.text}",
            "words": [{"word": w.text, "start": w.start, "end": w.end} for w in s.words],
            **({"speaker": s.speaker} if s.speaker else {}),
        }
        for s in segments
    ]
    result = {"segments": theirs, "language": "de"}
    transcript = replace(STRANGE, segments=tuple(segments))
    options = {"max_line_width": None, "max_line_count": None, "highlight_words": False}
    assert BODIES[output](transcript) == made(whisperx.utils, output, result, **options)
