import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steno.transcript import Segment, Transcript, Word
from steno.transcript.cues import PAUSE
from steno.transcript.model import faults, joined, tidy
from steno.transcript.subtitle_options import SubtitleOptions
from steno.transcript.writers import WRITERS
from tests.speech import ENGLISH, made, read, said

TIMES = st.floats(min_value=-5, max_value=40, allow_nan=False)
WORDS = st.builds(Word, st.text("abc", min_size=1, max_size=5), TIMES, TIMES, st.none() | st.floats(-0.5, 1.5))


def transcript(*segments: Segment, duration: float = 60.0, text: str | None = None) -> Transcript:
    told = joined(segments) if text is None else text
    return Transcript(told, "en", 0.9, duration, "faster-whisper", "mini", segments)


@given(st.lists(st.lists(WORDS, max_size=6), max_size=6), st.floats(0, 30))
def test_whatever_times_an_engine_gives_the_transcript_keeps_its_promises(
    heard: list[list[Word]], duration: float
) -> None:
    duration, segments, last = round(duration, 3), [], 0.0
    for number, words in enumerate(heard):
        text = " ".join(word.text for word in words) or "x"
        raw = Segment(0, words[0].start if words else 3.0, 2.0, text, 0.5, None, tuple(words))
        segments.append(tidy(raw, id=number, after=last, duration=duration))
        last = segments[-1].end
    made = transcript(*segments, duration=duration)
    assert faults(made) == []
    assert Transcript.from_dict(json.loads(json.dumps(made.to_dict()))) == made


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (transcript(Segment(1, 0, 1, "a")), "id"),
        (transcript(Segment(0, 2, 1, "a")), "lies at"),
        (transcript(Segment(0, 0, 61, "a")), "lies at"),
        (transcript(Segment(0, 0, 2, "a"), Segment(1, 1, 3, "b")), "lies at"),
        (transcript(Segment(0, 0, 2, "a", None, "A"), Segment(1, 1, 3, "b", None, "B")), "lies at"),
        (transcript(*(Segment(n, n, n + 2, "a", None, "CHANNEL_0") for n in range(2))), "lies at"),
        (transcript(*(Segment(n, 1 - n, 2, "a", None, f"CHANNEL_{n}") for n in range(2))), "lies at"),
        (transcript(Segment(0, 0, 2, "a", None, "CHANNEL_0", (Word("a", 0, 2, None, "CHANNEL_1"),))), "'a' is of"),
        (transcript(Segment(0, 0, 2, "a b", words=(Word("a", 0, 1),))), "unlike"),
        (transcript(Segment(0, 0, 2, "a b", words=(Word("a", 0, 1.5), Word("b", 1, 2)))), "'b' lies at"),
        (transcript(Segment(0, 0, 1, "a"), text="b"), "text differs"),
    ],
)
def test_the_validator_finds_what_is_wrong(broken: Transcript, said: str) -> None:
    assert any(said in fault for fault in faults(broken))


def test_who_is_on_another_channel_may_speak_at_the_same_time() -> None:
    words = tuple(Word(text, start, end, None, "CHANNEL_1") for text, start, end in (("b", 1.0, 1.5), ("c", 1.5, 3.0)))
    at_once = transcript(
        Segment(0, 0.0, 2.0, "a", None, "CHANNEL_0"),
        Segment(1, 1.0, 3.0, "b c", None, "CHANNEL_1", words),
        Segment(2, 2.0, 2.5, "d", None, "CHANNEL_0"),
    )
    assert faults(at_once) == []
    assert Transcript.from_dict(json.loads(json.dumps(at_once.to_dict()))) == at_once


SPOKEN = transcript(
    Segment(0, 0.0, 1.5, "Hello, <you> & me."),
    Segment(1, 3661.0625, 3662.0, "Two\tlines\n\nand --> an arrow"),
    duration=4000.0,
)


def test_srt_has_numbers_and_commas() -> None:
    assert WRITERS["srt"].write(SPOKEN) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello, <you> & me.\n\n"
        "2\n01:01:01,062 --> 01:01:02,592\nTwo lines and -> an arrow\n"
    )


def test_vtt_has_its_head_and_escapes() -> None:
    assert WRITERS["vtt"].write(SPOKEN) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello, &lt;you&gt; &amp; me.\n\n"
        "01:01:01.062 --> 01:01:02.592\nTwo lines and -&gt; an arrow\n"
    )


def test_segments_as_cues_are_the_engines_own() -> None:
    assert WRITERS["srt"].write(SPOKEN, SubtitleOptions(cues="segments")) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello, <you> & me.\n\n"
        "2\n01:01:01,062 --> 01:01:02,000\nTwo lines and -> an arrow\n"
    )


def test_tsv_has_whole_milliseconds_and_one_line_a_segment() -> None:
    assert WRITERS["tsv"].write(SPOKEN).splitlines() == [
        "start\tend\ttext",
        "0\t1500\tHello, <you> & me.",
        "3661062\t3662000\tTwo lines and --> an arrow",
    ]


def test_txt_has_a_line_a_segment_and_json_has_everything() -> None:
    plain = transcript(Segment(0, 0, 1, "One."), Segment(1, 1, 2, "Two."))
    assert WRITERS["txt"].write(plain) == "One.\nTwo.\n"
    assert Transcript.from_dict(json.loads(WRITERS["json"].write(plain))) == plain


def test_silence_can_be_written_in_every_format() -> None:
    silence = transcript()
    written = {name: writer.write(silence) for name, writer in WRITERS.items()}
    assert written["txt"] == written["srt"] == written["md"] == ""
    assert written["vtt"] == "WEBVTT\n"
    assert written["tsv"] == "start\tend\ttext\n"
    assert json.loads(written["json"])["segments"] == []


def test_each_word_is_underlined_while_it_is_said() -> None:
    words = made(said("One is\tenough.", 1.0, 1.4, 2.0, 2.4), duration=9.0)
    assert WRITERS["srt"].write(words, SubtitleOptions(highlight_words=True)) == (
        "1\n00:00:01,000 --> 00:00:01,400\n<u>One</u> is enough.\n\n"
        "2\n00:00:01,400 --> 00:00:01,800\nOne <u>is</u> enough.\n\n"
        "3\n00:00:01,800 --> 00:00:02,000\nOne is enough.\n\n"
        "4\n00:00:02,000 --> 00:00:02,400\nOne is <u>enough.</u>\n"
    )


def test_paragraphs_of_markdown_begin_with_time_and_speaker() -> None:
    words = made(
        said("I said *so*.", 3661.0, 3661.5, 3662.0, 3662.4, speaker="SPEAKER_00"),
        said("Twice.", 3662.5, 3663.0, speaker="SPEAKER_00", id=1),
        said("[*] Oh!", 3663.0, 3663.5, 3664.0, speaker="Bo", id=2),
        said("Well.", 3664.0 + PAUSE, 3667.0, speaker="Bo", id=3),
        duration=4000.0,
    )
    assert WRITERS["md"].write(words) == (
        "[01:01:01] **SPEAKER_00:** I said \\*so\\*. Twice.\n\n"
        "[01:01:03] **Bo:** \\[\\*\\] Oh!\n\n"
        "[01:01:05] **Bo:** Well.\n"
    )
    nameless = WRITERS["md"].write(words, SubtitleOptions(speaker_labels=False))
    assert nameless.startswith("[01:01:01] I said")


def test_a_long_paragraph_of_markdown_ends_with_a_sentence() -> None:
    paragraphs = WRITERS["md"].write(read("en", " ".join([ENGLISH] * 4), 150.0)).strip().split("\n\n")
    assert len(paragraphs) >= 3
    assert all(paragraph.endswith(".") and len(paragraph) < 1200 for paragraph in paragraphs)
