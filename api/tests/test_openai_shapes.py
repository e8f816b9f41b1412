"""Names of models, fields of forms and bodies of answers under /v1, without a server."""

import json
from typing import Any

import pytest
from openai import BaseModel
from openai.types.audio import (
    Transcription,
    TranscriptionDiarized,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
)

from api.errors import InvalidField, ModelNotFound, NoWorker
from api.names import ALIASES, Names
from api.openai.bodies import diarized, plain, turns, verbose
from api.openai.fields import Reading, TranscriptionFields, TranslationFields, gathered
from api.openai.stream import Deltas
from api.tests.desk import HEARD
from conftest import MakeSettings
from steno.config import SettingsError, load_settings
from steno.jobs.options import Options
from steno.transcript import Segment, Transcript, Word

BOTH_GRANULARITIES = TranscriptionFields(model="small", timestamp_granularities=["word", "segment"])
BOTH = frozenset({"faster-whisper", "pocketsphinx"})


@pytest.mark.parametrize(
    ("offered", "first"),
    [({"whisperx", *BOTH}, "whisperx"), (BOTH, "faster-whisper"), ({"timestamped", "pocketsphinx"}, "timestamped")],
)
def test_the_default_engine_is_the_first_that_is_offered(
    make_settings: MakeSettings, offered: set[str], first: str
) -> None:
    names = Names(make_settings(default_model="small"), frozenset(offered))
    assert names.find("whisper-1") == (first, "small")
    assert names.find("tiny") == (first, "tiny")
    assert names.find("pocketsphinx/en-us") == ("pocketsphinx", "en-us")
    assert set(names.aliases()) == set(ALIASES)


def test_the_operator_chooses_engine_and_aliases(make_settings: MakeSettings) -> None:
    settings = make_settings(
        default_model="small",
        openai_engine="pocketsphinx",
        openai_aliases="whisper-1=faster-whisper/tiny, fast=whisperx/base",
    )
    names = Names(settings, BOTH)
    assert names.find("whisper-1") == ("faster-whisper", "tiny")
    assert names.find("fast") == ("whisperx", "base")
    assert names.find("gpt-4o-transcribe") == ("pocketsphinx", "en-us")
    assert names.find("en-us") == ("pocketsphinx", "en-us")
    with pytest.raises(NoWorker):
        Names(make_settings(), frozenset()).find("tiny")


@pytest.mark.parametrize("aliases", ["whisper-1", "a=b", "a=nothing/small", "=whisperx/small", "a=whisperx/"])
def test_a_wrong_alias_stops_the_start(monkeypatch: pytest.MonkeyPatch, aliases: str) -> None:
    monkeypatch.setenv("STENO_OPENAI_ALIASES", aliases)
    with pytest.raises(SettingsError, match=r"STENO_OPENAI_ALIASES.*alias=engine/model"):
        load_settings()


def test_speakers_are_told_apart_where_an_engine_can(make_settings: MakeSettings) -> None:
    settings = make_settings(default_model="small", openai_engine="faster-whisper")

    def asked(offered: set[str], format: str = "json") -> tuple[str, bool]:
        reading = Reading(Names(settings, frozenset(offered)), TranscriptionFields)
        fields = {"model": ["gpt-4o-transcribe-diarize"], "response_format": [format]}
        options, _ = reading.form.asked(settings, fields)
        return options.engine, options.diarize

    assert asked({"whisperx", *BOTH}) == ("whisperx", True)
    assert asked(set(BOTH)) == ("faster-whisper", False)
    with pytest.raises(InvalidField, match="whisperx can"):
        asked(set(BOTH), "diarized_json")


def test_a_translation_needs_a_model_that_can(make_settings: MakeSettings) -> None:
    settings = make_settings(default_model="small")
    reading = Reading(Names(settings, BOTH), TranslationFields)
    options, _ = reading.form.asked(settings, {"model": ["small"], "language": ["fr"]})
    assert (options.task, options.language) == ("translate", "fr")
    with pytest.raises(InvalidField) as refused:
        reading.form.asked(settings, {"model": ["turbo"]})
    assert [fault["field"] for fault in refused.value.errors or ()] == ["model"]
    with pytest.raises(InvalidField):
        reading.form.asked(settings, {"model": ["small"], "response_format": ["diarized_json"]})
    with pytest.raises(ModelNotFound):
        reading.form.asked(settings, {"model": ["faster-whisper/nothing"]})


def test_fields_are_gathered_however_they_are_spelt() -> None:
    fields = {
        "include[]": ["logprobs"], "include": ["", "logprobs"], "model": ["a", "b"], "prompt": ["x", ""],
        "chunking_strategy[type]": ["server_vad"], "chunking_strategy[threshold]": ["0.2"], "temperature[x]": ["1"], "[": ["?"],
    }  # fmt: skip
    told = gathered(fields)
    assert told["include"] == ["logprobs", "logprobs"]
    assert (told["model"], "prompt" in told) == ("b", False)
    assert told["chunking_strategy"] == {"type": "server_vad", "threshold": "0.2"}


@pytest.mark.parametrize("given", ["sometimes", "{", '{"type": "other"}', '{"type": "server_vad", "threshold": 2}'])
def test_a_wrong_chunking_strategy_is_refused(make_settings: MakeSettings, given: str) -> None:
    reading = Reading(Names(make_settings(default_model="small"), BOTH), TranscriptionFields)
    with pytest.raises(InvalidField) as refused:
        reading.form.asked(make_settings(default_model="small"), {"model": ["small"], "chunking_strategy": [given]})
    assert {fault["field"] for fault in refused.value.errors or ()} == {"chunking_strategy"}


def said(*words: tuple[str, str | None], text: str) -> Segment:
    """A segment that lasts a second a word."""
    made = tuple(Word(word, number, number + 1.0, 0.5, speaker) for number, (word, speaker) in enumerate(words))
    return Segment(0, 0.0, float(len(words)), text, 0.5, "SPEAKER_01", made)


@pytest.mark.parametrize(
    ("segment", "told"),
    [
        (said(("Hi", "S1"), ("there.", "S1"), text="Hi there."), [("SPEAKER_01", 0.0, 2.0, "Hi there.")]),
        (
            said(("Hi.", "S1"), ("Oh,", "S0"), ("hi.", "S0"), ("Hi.", "S1"), text="Hi. Oh, hi. Hi."),
            [("S1", 0.0, 1.0, "Hi."), ("S0", 1.0, 3.0, "Oh, hi."), ("S1", 3.0, 4.0, "Hi.")],
        ),
        (
            said(("7", None), ("days.", "S1"), ("8", None), ("Ja.", "S0"), text="7 days. 8 Ja."),
            [("S1", 0.0, 3.0, "7 days. 8"), ("S0", 3.0, 4.0, "Ja.")],
        ),
        (said(("好", "S1"), ("的", "S0"), text="好的"), [("S1", 0.0, 1.0, "好"), ("S0", 1.0, 2.0, "的")]),
    ],
)
def test_segments_are_cut_where_the_words_change_hands(
    segment: Segment, told: list[tuple[str, float, float, str]]
) -> None:
    transcript = Transcript(segment.text, "en", None, 9.0, "whisperx", "small", (segment,))
    letters = {speaker: chr(ord("A") + n) for n, speaker in enumerate(dict.fromkeys(turn[0] for turn in told))}
    assert [(turn["speaker"], turn["start"], turn["end"], turn["text"]) for turn in turns(transcript)] == [
        (letters[speaker], *rest) for speaker, *rest in told
    ]
    assert diarized(transcript)["duration"] == 9.0


def test_there_are_letters_for_any_number_of_speakers() -> None:
    segments = tuple(Segment(n, n, n + 1.0, "Ah.", None, f"S{n}") for n in range(28))
    told = turns(Transcript("", "en", None, 28.0, "whisperx", "small", segments))
    assert [told[n]["speaker"] for n in (0, 25, 26, 27)] == ["A", "Z", "AA", "AB"]


def test_nothing_heard_is_still_a_whole_answer() -> None:
    silence = Transcript("", None, None, 20.0, "faster-whisper", "small")
    told = verbose(silence, TranscriptionFields(model="small", timestamp_granularities=["word", "segment"]))
    assert (told["language"], told["text"], told["segments"], told["words"]) == ("unknown", "", [], [])


def test_a_segment_without_confidence_has_every_key() -> None:
    segments = verbose(HEARD, TranscriptionFields(model="small", temperature=0.5))["segments"]
    assert [segment["avg_logprob"] for segment in segments] == [-0.1054, 0.0]
    assert [(segment["seek"], segment["temperature"]) for segment in segments] == [(50, 0.5), (200, 0.5)]


@pytest.mark.parametrize(
    ("kind", "body", "beside"),
    [
        (Transcription, plain(HEARD, with_logprobs=True), set()),
        (TranscriptionVerbose, verbose(HEARD, BOTH_GRANULARITIES), {"task"}),
        (TranscriptionDiarized, diarized(HEARD), set()),
        (Translation, plain(HEARD, with_logprobs=False), {"usage"}),
        (TranslationVerbose, verbose(HEARD, TranslationFields(model="small")), {"task", "usage"}),
    ],
)
def test_bodies_are_as_openais_own_description_has_them(kind: type[BaseModel], body: Any, beside: set[str]) -> None:
    """The types of its library are made from that description. `beside` is what we tell in addition."""
    told = kind.model_validate_json(json.dumps(body), strict=True)
    assert set(told.model_extra or {}) == beside
    for part in (*(getattr(told, "segments", None) or ()), *(getattr(told, "words", None) or ())):
        assert not part.model_extra


def test_deltas_say_each_segment_once() -> None:
    deltas = Deltas()
    assert deltas.take(0, 0.0, 1.0, "One.", None) == "One."
    assert deltas.take(0, 0.0, 1.0, "One.", None) is None
    assert deltas.take(1, 1.0, 1.0, "Two.", "SPEAKER_00") == " Two."  # as short as can be, and yet not the same
    assert deltas.take(2, 1.0, 2.0, "", None) is None
    deltas.begin_attempt()
    assert deltas.take(0, 0.0, 0.9, "Won.", None) is None
    assert deltas.take(1, 0.95, 1.5, "Three.", "SPEAKER_01") == " Three."


def test_deltas_leave_what_follows_a_gap_to_the_whole_transcript() -> None:
    told = [(id, float(id), id + 1.0, f"s{id}", None) for id in range(6)]
    deltas = Deltas()
    live = [deltas.take(*told[id]) for id in (0, 1, 4)]  # Redis was away in between
    assert live == ["s0", " s1", None]
    assert [deltas.take(*each) for each in told] == [None, None, " s2", " s3", " s4", " s5"]


def test_deltas_say_once_what_is_said_on_two_channels_at_the_same_time() -> None:
    told = [
        (0, 0.0, 9.0, "A long story.", "CHANNEL_0"), (1, 2.0, 2.4, "Mhm.", "CHANNEL_1"), (2, 4.0, 5.0, "Really?", "CHANNEL_1"),
        (3, 9.0, 10.0, "Yes.", "CHANNEL_0"),
    ]  # fmt: skip
    deltas = Deltas()
    assert [deltas.take(*segment) for segment in told[:2]] == ["A long story.", " Mhm."]
    deltas.begin_attempt()
    assert [deltas.take(*segment) for segment in told] == [None, None, " Really?", " Yes."]


def test_channels_are_speakers_without_an_engine_that_tells_voices_apart(make_settings: MakeSettings) -> None:
    settings = make_settings(default_model="small", openai_engine="faster-whisper")

    def asked(kind: type[TranscriptionFields | TranslationFields], **fields: str) -> Options:
        form = Reading(Names(settings, frozenset({"whisperx", *BOTH})), kind).form
        return form.asked(settings, {name: [value] for name, value in fields.items()})[0]

    told = asked(TranscriptionFields, model="small", response_format="diarized_json", channels="separate")
    assert (told.engine, told.channels, told.diarize) == ("faster-whisper", "separate", False)
    told = asked(TranscriptionFields, model="gpt-4o-transcribe-diarize", channels="separate")
    assert (told.engine, told.channels, told.diarize) == ("whisperx", "separate", False)
    assert asked(TranscriptionFields, model="gpt-4o-transcribe-diarize", channels="mix").diarize
    assert asked(TranslationFields, model="small", channels="separate").channels == "separate"
    with pytest.raises(InvalidField) as refused:
        asked(TranscriptionFields, model="small", channels="both")
    assert [fault["field"] for fault in refused.value.errors or ()] == ["channels"]
