"""The bodies of /asr, to the byte: written down here by hand, as openai-whisper's and WhisperX's writers write them."""

import json
from dataclasses import replace

import pytest

from api.asr.bodies import BODIES, detected
from api.tests.desk import HEARD
from steno.transcript import Segment, Transcript, Word

LONG = Transcript(
    "",
    "de",
    0.75,
    7300.0,
    "whisperx",
    "small",
    (
        Segment(0, 0.0, 59.9996, "Straße --> links\tund rechts.", 0.5, "SPEAKER_00"),
        Segment(1, 3599.5, 3600.0, "„Ja.“", None, None),
        Segment(2, 7261.042, 7262.5, "Nein & <nie>.", 0.0, "SPEAKER_01"),
    ),
)
"""An hour and more, speakers, and signs that could break a format."""

TXT = """\
[SPEAKER_00]: Straße --> links\tund rechts.
„Ja.“
[SPEAKER_01]: Nein & <nie>.
"""
SRT = """\
1
00:00:00,000 --> 00:01:00,000
[SPEAKER_00]: Straße -> links\tund rechts.

2
00:59:59,500 --> 01:00:00,000
„Ja.“

3
02:01:01,042 --> 02:01:02,500
[SPEAKER_01]: Nein & <nie>.

"""
VTT = """\
WEBVTT

00:00.000 --> 01:00.000
[SPEAKER_00]: Straße -> links\tund rechts.

59:59.500 --> 01:00:00.000
„Ja.“

02:01:01.042 --> 02:01:02.500
[SPEAKER_01]: Nein & <nie>.

"""
TSV = """\
start\tend\ttext
0\t60000\tStraße --> links und rechts.
3599500\t3600000\t„Ja.“
7261042\t7262500\tNein & <nie>.
"""


@pytest.mark.parametrize(("output", "body"), [("txt", TXT), ("srt", SRT), ("vtt", VTT), ("tsv", TSV)])
def test_text_is_as_the_writers_write_it(output: str, body: str) -> None:
    assert BODIES[output](LONG) == body


JSON = (
    '{"text": " Good morning. Tea & <cake>?", "segments": ['
    '{"id": 0, "seek": 50, "start": 0.5, "end": 1.25, "text": " Good morning.", "tokens": [], "temperature": 0.0, '
    '"avg_logprob": -0.1054, "compression_ratio": 0.636, "no_speech_prob": 0.0, "words": ['
    '{"word": " Good", "start": 0.5, "end": 0.75, "probability": 0.9}, {"word": " morning.", "start": 0.75, "end": 1.25}]}, '
    '{"id": 1, "seek": 200, "start": 2.0, "end": 3.5, "text": " Tea & <cake>?", "tokens": [], "temperature": 0.0, '
    '"avg_logprob": 0.0, "compression_ratio": 0.636, "no_speech_prob": 0.0, "words": ['
    '{"word": " Tea", "start": 2.0, "end": 2.5}, {"word": " &", "start": 2.5, "end": 3.0}, '
    '{"word": " <cake>?", "start": 3, "end": 3.5}]}], "language": "en"}'
)


def test_json_has_whispers_keys_in_its_order_and_a_text() -> None:
    assert BODIES["json"](HEARD) == JSON


def test_json_without_words_has_no_key_for_them_and_speakers_where_they_are_known() -> None:
    told = json.loads(BODIES["json"](LONG))
    assert [segment.get("speaker") for segment in told["segments"]] == ["SPEAKER_00", None, "SPEAKER_01"]
    assert not any("words" in segment for segment in told["segments"])
    assert BODIES["json"](LONG).isascii()
    assert "".join(segment["text"] for segment in told["segments"]) == told["text"]
    words = (Word("Ja.", 1.0, 2.0, 0.5, "SPEAKER_00"),)
    (segment,) = json.loads(BODIES["json"](replace(LONG, segments=(Segment(0, 1.0, 2.0, "Ja.", words=words),))))[
        "segments"
    ]
    assert segment["words"] == [{"word": " Ja.", "start": 1.0, "end": 2.0, "probability": 0.5, "speaker": "SPEAKER_00"}]


def test_scripts_without_spaces_get_none() -> None:
    segments = (
        Segment(0, 0.0, 1.0, "你好。", words=(Word("你", 0.0, 0.5), Word("好。", 0.5, 1.0))),
        Segment(1, 1.0, 2.0, "再见。"),
    )
    told = json.loads(BODIES["json"](replace(LONG, language="zh", segments=segments)))
    assert told["text"] == "你好。再见。"
    assert "".join(word["word"] for word in told["segments"][0]["words"]).strip() == "你好。"


@pytest.mark.parametrize(
    ("output", "body"),
    [
        ("txt", ""),
        ("srt", ""),
        ("vtt", "WEBVTT\n\n"),
        ("tsv", "start\tend\ttext\n"),
        ("json", '{"text": "", "segments": [], "language": null}'),
    ],
)
def test_silence_has_a_body_too(output: str, body: str) -> None:
    assert BODIES[output](replace(LONG, language=None, segments=())) == body


@pytest.mark.parametrize(
    ("language", "probability", "told"),
    [
        ("de", 0.75, ("german", "de", 0.75)),
        ("haw", 0.0, ("hawaiian", "haw", 0.0)),
        ("en", None, ("english", "en", 1.0)),
        (None, None, ("unknown", "und", 0.0)),
    ],
)
def test_the_language_has_name_code_and_confidence(
    language: str | None, probability: float | None, told: tuple[str, str, float]
) -> None:
    body = detected(replace(LONG, language=language, language_probability=probability))
    assert tuple(body.values()) == told
    assert list(body) == ["detected_language", "language_code", "confidence"]
