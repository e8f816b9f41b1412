"""Subtitles are readable: broken where a reader would breathe, shown as long as they need."""

import re

import pytest

from steno.transcript import Segment, Transcript, Word
from steno.transcript.cues import GAP, LONGEST, PAUSE, SHORTEST, Cue, subtitles
from steno.transcript.merge import merged
from steno.transcript.subtitle_options import SubtitleOptions
from steno.transcript.units import columns
from tests.speech import CHINESE, ENGLISH, TEXTS, bare, made, read, said


def cues_of(transcript: Transcript, **options: object) -> list[Cue]:
    return list(subtitles(transcript, SubtitleOptions(**options)).cues)  # type: ignore[arg-type]


def texts(transcript: Transcript, **options: object) -> list[str]:
    return [cue.text for cue in cues_of(transcript, **options)]


@pytest.mark.parametrize("language", TEXTS)
def test_long_sentences_are_readable(language: str) -> None:
    text = TEXTS[language]
    told = subtitles(read(language, text, columns(text) / 13), SubtitleOptions())
    assert told.warnings == ()
    assert bare("".join(cue.text for cue in told.cues)) == bare(text)
    for cue in told.cues:
        lines = cue.text.split("\n")
        assert len(lines) <= 2
        assert all(columns(line) <= 42 for line in lines)
        assert columns(cue.text) / (cue.end - cue.start) <= 17.1
        assert SHORTEST - 0.001 <= cue.end - cue.start <= LONGEST
        if len(lines) == 2 and " " in cue.text:
            assert all(" " in line for line in lines), "a word alone on its line"
        for line in lines:
            assert not re.match("[,.;:!?»。、，；：」ー]", line)
            assert not re.search("[«「]$", line)
    assert told.cues[0].start == 0.0
    assert abs(told.cues[-1].end - columns(text) / 13) < 0.01


@pytest.mark.parametrize(("language", "share"), [("en", 0.8), ("de", 0.8), ("fr", 0.8), ("zh", 0.9), ("ja", 0.9)])
def test_cues_end_where_a_sentence_or_a_clause_does(language: str, share: float) -> None:
    text = TEXTS[language]
    ends = [cue.text[-1] for cue in cues_of(read(language, text, columns(text) / 13))]
    assert sum(end in ".,!?;:»。，；" for end in ends) / len(ends) >= share


def test_a_sentence_is_broken_before_its_conjunction_and_not_after_a_short_word() -> None:
    assert texts(read("en", "The dog that had slept all day because of the heat barked.", 5.0)) == [
        "The dog that had slept all day\nbecause of the heat barked."
    ]
    assert texts(read("de", "Der alte Hund hatte gegessen und schlief am Ofen ein.", 5.0)) == [
        "Der alte Hund hatte gegessen\nund schlief am Ofen ein."
    ]


def test_without_punctuation_a_breath_tells_where_a_clause_ends() -> None:
    times = [0.0, 0.3, 0.6, 0.9, 1.2, 2.0, 2.3, 2.6, 2.9, 3.2, 3.5]
    spoken = said("now we went on to the sea again at last", *times)
    assert texts(made(spoken, duration=9.0), max_line_width=30) == ["now we went on to\nthe sea again at last"]


def test_japanese_is_broken_between_phrases() -> None:
    assert texts(read("ja", "吾輩はここで始めて人間というものを見たのであるが後で聞くと", 8.0), max_line_width=32)[
        0
    ] == ("吾輩はここで始めて\n人間というものを")


def test_what_fits_on_one_line_stays_on_one() -> None:
    assert texts(read("en", "Nobody, I think, knows what to say.", 3.0)) == ["Nobody, I think, knows what to say."]


def test_two_lines_are_about_equally_long() -> None:
    (text,) = texts(read("en", "Mountains everywhere rising higher towards heaven", 4.0))
    assert text == "Mountains everywhere rising\nhigher towards heaven"


def test_a_single_word_is_not_left_on_a_line_of_its_own() -> None:
    (text,) = texts(read("en", "Nobody here remembers anything whatever, mister.", 4.0), max_line_width=40)
    assert [len(line.split()) for line in text.split("\n")] == [3, 3]


def test_a_number_or_a_title_with_a_full_stop_ends_no_sentence() -> None:
    assert len(texts(read("de", "Am 3. Oktober kam er an.", 2.4))) == 1
    assert len(texts(read("en", "Then Dr. Smith came. Nobody had called for him.", 4.0))) == 2


def test_times_are_those_of_the_words() -> None:
    transcript = made(said("One thing is certain. Another is not.", *(1, 1.5, 2, 2.5, 4, 4.5, 5, 6)), duration=9.0)
    assert [(cue.start, cue.end) for cue in cues_of(transcript)] == [(1.0, 2.9), (4.0, 5.4)]


def test_a_cue_stays_on_in_the_silence_after_it_until_it_can_be_read() -> None:
    hasty = made(
        said("Incomprehensibilities notwithstanding.", 1.0, 1.3, 1.6), said("Yes.", 8.0, 8.4, id=1), duration=9.0
    )
    first, last = cues_of(hasty)
    assert first.end == pytest.approx(1.0 + len("Incomprehensibilities notwithstanding.") / 17, abs=0.001)
    assert last.end == pytest.approx(8.0 + SHORTEST, abs=0.001)


def test_it_stays_on_no_longer_than_to_the_next_one() -> None:
    words = made(
        said("Incomprehensibilities notwithstanding.", 1.0, 1.3, 1.6, speaker="A"),
        said("Yes, indeed, my dear friend.", 2.0, 2.4, 2.8, 3.2, 3.6, 4.0, speaker="B", id=1),
        duration=9.0,
    )
    told = subtitles(words, SubtitleOptions())
    assert told.cues[0].end == pytest.approx(2.0 - GAP, abs=0.001)
    assert told.warnings == (
        "Faster than 17 characters a second: 1 of 2 cues, the fastest at 41. So is the speech, and too little silence follows.",
    )


def test_the_recordings_end_is_the_last_cues_end() -> None:
    told = subtitles(made(said("Incomprehensibilities.", 1.0, 1.3), duration=1.4), SubtitleOptions())
    assert told.cues[0].end == 1.4
    assert [warning.partition(":")[0] for warning in told.warnings] == [
        "Faster than 17 characters a second",
        "Shown for less than 0.83 seconds",
    ]


def test_a_pause_and_another_speaker_end_a_cue() -> None:
    words = made(
        said("so I said", 1.0, 1.5, 2.0, 2.4, speaker="A"),
        said("nothing", 2.4 + PAUSE, 5.0, speaker="A", id=1),
        said("why", 5.0, 6.0, speaker="B", id=2),
        duration=9.0,
    )
    assert [(cue.speaker, cue.text) for cue in cues_of(words)] == [("A", "so I said"), ("A", "nothing"), ("B", "why")]
    named = [cue.text for cue in subtitles(words, SubtitleOptions(), labels=True).cues]
    assert named == ["A: so I said", "nothing", "B: why"]


def test_segments_as_cues_have_their_own_times_and_one_line() -> None:
    words = made(
        Segment(0, 0.5, 9.0, f"{ENGLISH}", None, "A"), said("Yes.", 9.5, 9.7, speaker="A", id=1),
        said("No.", 9.8, 9.9, speaker="B", id=2), duration=12.0,
    )  # fmt: skip
    told = subtitles(words, SubtitleOptions(cues="segments"), labels=True)
    assert [(cue.start, cue.end, cue.text) for cue in told.cues] == [
        (0.5, 9.0, f"A: {ENGLISH}"),
        (9.5, 9.7, "Yes."),
        (9.8, 9.9, "B: No."),
    ]
    assert texts(words, cues="segments") == [ENGLISH, "Yes.", "No."]


def test_a_word_is_never_split_even_if_it_is_wider_than_the_line() -> None:
    word = "Donaudampfschifffahrtsgesellschaft"
    told = subtitles(read("de", f"Die {word} ist alt.", 6.0), SubtitleOptions(max_line_width=12))
    assert word in "\n".join(cue.text for cue in told.cues).split("\n")
    assert told.warnings == ("Wider than 12 characters: 1 lines. So is a word, and words are not split.",)


def test_parts_of_a_word_stay_together() -> None:
    parts = ("well", "-known", "don", "'t", "50", "%", "vrai", "?", "«", "Oui", "»")
    words = tuple(Word(part, number, number + 0.5) for number, part in enumerate(parts))
    segment = Segment(0, 0.0, 10.5, "well-known don't 50 % vrai ? « Oui »", words=words)
    lines = "\n".join(texts(made(segment, duration=12.0), max_line_width=10)).split("\n")
    assert lines == ["well-known", "don't 50 %", "vrai ?", "« Oui »"]


def test_a_language_that_was_not_told_is_broken_by_its_script() -> None:
    for language in (None, "en"):
        lines = "\n".join(texts(read("zh", CHINESE, 20.0), max_line_width=20)).split("\n")
        assert max(map(columns, lines)) <= 20
        assert bare("".join(lines)) == CHINESE
        assert language != "zh"


def test_a_space_that_is_written_stays_and_none_is_added() -> None:
    transcript = made(Segment(0, 0.0, 2.0, "東京 大阪。"), Segment(1, 2.0, 3.0, "京都"), language="ja", duration=4.0)
    assert [cue.text for cue in cues_of(transcript, max_characters_per_second=9)] == ["東京 大阪。", "京都"]
    unpunctuated = made(Segment(0, 0.0, 2.0, "東京 大阪"), Segment(1, 2.0, 3.0, "京都"), language="ja", duration=4.0)
    assert texts(unpunctuated) == ["東京 大阪京都"]


def test_a_translation_is_broken_as_english() -> None:
    text = "He sat down and he wept because nobody came."
    segment = Segment(0, 0.0, 4.0, text)
    transcript = Transcript(text, "ja", None, 5.0, "whisperx", "small", (segment,), task="translate")
    assert texts(transcript) == ["He sat down and he wept\nbecause nobody came."]


def test_a_word_thrown_in_is_shown_beside_the_sentence_it_falls_into() -> None:
    tells = said(
        "So we drove on and on along the coast until there was nothing before us but the sea and the evening sky.",
        *(number * 0.4 for number in range(23)),
    )
    words = made(*merged({"CHANNEL_0": [tells], "CHANNEL_1": [said("Mhm.", 2.6, 3.0)]}), duration=12.0)
    told = subtitles(words, SubtitleOptions(), labels=True)
    assert [(cue.start, cue.end, cue.text) for cue in told.cues] == [
        (0.0, 6.0, "CHANNEL_0: So we drove on and on along the\ncoast until there was nothing before us"),
        (2.6, 3.482, "CHANNEL_1: Mhm."),
        (6.0, 8.8, "CHANNEL_0: but the sea\nand the evening sky."),
    ]
    whole = subtitles(words, SubtitleOptions(cues="segments")).cues
    assert [(cue.start, cue.end, cue.speaker) for cue in whole] == [(0.0, 8.8, "CHANNEL_0"), (2.6, 3.0, "CHANNEL_1")]
