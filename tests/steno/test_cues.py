"""Subtitles: every word once, readable, broken where a reader would breathe."""

import re
from dataclasses import replace
from io import BytesIO
from itertools import pairwise

import av
import pytest
from av.subtitles.subtitle import AssSubtitle
from hypothesis import given
from hypothesis import strategies as st

from steno.transcript import Segment, Transcript, Word
from steno.transcript.cues import GAP, LONGEST, PAUSE, SHORTEST, Cue, Subtitles, subtitles
from steno.transcript.model import joined, tidy
from steno.transcript.subtitle_options import SubtitleOptions
from steno.transcript.units import columns, written
from steno.transcript.writers import WRITERS

ENGLISH = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the "
    "epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness, it was the "
    "spring of hope, it was the winter of despair, we had everything before us, we had nothing before us. In short, the period "
    "was so far like the present period that some of its noisiest authorities insisted on its being received, for good or for "
    "evil, in the superlative degree of comparison only."
)
GERMAN = (
    "Als Gregor Samsa eines Morgens aus unruhigen Träumen erwachte, fand er sich in seinem Bett zu einem ungeheueren "
    "Ungeziefer verwandelt. Er lag auf seinem panzerartig harten Rücken und sah, wenn er den Kopf ein wenig hob, seinen "
    "gewölbten, braunen, von bogenförmigen Versteifungen geteilten Bauch, auf dessen Höhe sich die Bettdecke, zum gänzlichen "
    "Niedergleiten bereit, kaum noch erhalten konnte."
)
FRENCH = (
    "Longtemps, je me suis couché de bonne heure. Parfois, à peine ma bougie éteinte, mes yeux se fermaient si vite que je "
    "n'avais pas le temps de me dire : « Je m'endors. » Et, une demi-heure après, la pensée qu'il était temps de chercher le "
    "sommeil m'éveillait."
)
JAPANESE = (
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所でニャーニャー泣いていた事だけは"
    "記憶している。吾輩はここで始めて人間というものを見た。"
)
CHINESE = (
    "我冒着严寒，回到相隔二千余里，别了二十余年的故乡去。"
    "时候既然是深冬；渐近故乡时，天气又阴晦了，冷风吹进船舱中，呜呜的响。"
)
TEXTS = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH, "ja": JAPANESE, "zh": CHINESE}


def read(language: str, text: str, seconds: float, duration: float | None = None) -> Transcript:
    """Read at an even pace, in one segment without words."""
    return made(Segment(0, 0.0, seconds, text), language=language, duration=duration or seconds)


def made(*segments: Segment, language: str | None = "en", duration: float) -> Transcript:
    return Transcript(joined(segments), language, None, duration, "whisperx", "small", segments)


def said(text: str, *times: float, speaker: str | None = None, id: int = 0) -> Segment:
    """A segment of words, each from one of these moments to the next but for a tenth of a second at most."""
    words = text.split()
    ends = [min(start + 0.4, then) for start, then in pairwise(times)]
    told = tuple(Word(word, start, end, None, speaker) for word, start, end in zip(words, times, ends, strict=False))
    assert len(told) == len(words)
    return Segment(id, told[0].start, told[-1].end, text, None, speaker, told)


def cues_of(transcript: Transcript, **options: object) -> list[Cue]:
    return list(subtitles(transcript, SubtitleOptions(**options)).cues)  # type: ignore[arg-type]


def texts(transcript: Transcript, **options: object) -> list[str]:
    return [cue.text for cue in cues_of(transcript, **options)]


def bare(text: str) -> str:
    return "".join(text.split())


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


LATIN = st.text("abcdeéß-", min_size=1, max_size=14).map(lambda word: word.strip("-") or "a")
MARKED = st.builds(str.__add__, LATIN, st.sampled_from(["", "", "", ".", ",", "?!", "…"]))
HAN = st.sampled_from("吾輩猫名前無見当記憶人間すてとかニャー。、")
TEXT_WORD = st.one_of(MARKED, MARKED, HAN)
LENGTH = st.sampled_from([0.0, 0.08, 0.2, 0.4, 1.0, 9.0])
SILENCE = st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.5, 1.2, 3.0])
SPEAKER = st.sampled_from([None, "SPEAKER_00", "Anna"])


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Words of several scripts at any pace, some of no length, some segments without words."""
    segments, now = [], 0.0
    for number in range(draw(st.integers(0, 6))):
        words, begun, speaker = [], now, draw(SPEAKER)
        for text in draw(st.lists(TEXT_WORD, min_size=1, max_size=24)):
            start = now + draw(SILENCE)
            now = start + draw(LENGTH)
            words.append(Word(text, start, now, None, draw(st.sampled_from([speaker, speaker, speaker, "Bo"]))))
        spaces = [" " if draw(st.integers(0, 9)) or word.text.isascii() else "" for word in words]
        text = "".join(space + word.text for space, word in zip(spaces, words, strict=True)).strip()
        with_times = tuple(words) if draw(st.integers(0, 4)) else ()
        segments.append(
            tidy(Segment(number, begun, now, text, None, speaker, with_times), id=number, after=begun, duration=now)
        )
    return made(*segments, language=draw(st.sampled_from(["en", "ja", None])), duration=round(now + 1.0, 3))


OPTIONS = st.builds(
    SubtitleOptions,
    max_line_width=st.sampled_from([10, 16, 42, 90]),
    max_lines=st.integers(1, 4),
    max_characters_per_second=st.sampled_from([5.0, 17.0, 100.0]),
)


@given(transcripts(), OPTIONS)
def test_whatever_is_said_every_word_is_shown_once_and_the_cues_are_in_order(
    transcript: Transcript, options: SubtitleOptions
) -> None:
    told = subtitles(transcript, options)
    assert bare("".join(cue.text for cue in told.cues)) == bare(transcript.text)
    _in_order(told, transcript.duration)
    for cue in told.cues:
        assert 1 <= len(cue.lines) <= options.max_lines
        for line in cue.lines:
            assert columns(written(line)) <= options.max_line_width or _is_one_word(written(line))


@given(transcripts(), OPTIONS)
def test_names_change_neither_words_nor_order(transcript: Transcript, options: SubtitleOptions) -> None:
    told = subtitles(transcript, options, labels=True)
    pieces = [[piece for line in cue.lines for piece in line][cue.labeled :] for cue in told.cues]
    assert all(pieces), "a name without words"
    assert bare("".join(written(each) for each in pieces)) == bare(transcript.text)
    assert all(len(cue.lines) <= options.max_lines for cue in told.cues)
    _in_order(told, transcript.duration)


def _in_order(told: Subtitles, duration: float) -> None:
    for cue in told.cues:
        assert 0.0 <= cue.start < cue.end <= duration
    for cue, then in pairwise(told.cues):
        assert cue.end <= then.start


def _is_one_word(line: str) -> bool:
    """A word of letters or one character, but for what begins no line."""
    return re.fullmatch("[a-zéß]*|.", re.sub("[ ャー。、…,.?!-]", "", line)) is not None


@pytest.mark.parametrize(("format", "known_as"), [("srt", "srt"), ("vtt", "webvtt")])
@pytest.mark.parametrize("highlighted", [False, True])
@given(transcript=transcripts(), options=OPTIONS)
def test_ffmpeg_reads_every_cue(
    format: str, known_as: str, highlighted: bool, transcript: Transcript, options: SubtitleOptions
) -> None:
    options = replace(options, highlight_words=highlighted)
    text = WRITERS[format].write(transcript, options)
    shown = read_by_ffmpeg(text, known_as)
    spans = re.findall(r"^(\S+) --> (\S+)$", text, re.MULTILINE)
    assert [(start, end) for start, end, _ in shown] == [
        (milliseconds(start), milliseconds(end)) for start, end in spans
    ]
    if not highlighted:
        cues = subtitles(transcript, options, labels=format == "srt").cues
        assert [said for _, _, said in shown] == [cue.text for cue in cues]


def read_by_ffmpeg(text: str, known_as: str) -> list[tuple[int, int, str]]:
    """Start and end in milliseconds, and the text without markup, of each cue that FFmpeg's parser and decoder find."""
    if "-->" not in text:
        return []  # FFmpeg takes a file without cues for no file of that kind
    found = []
    with av.open(BytesIO(text.encode()), "r", format=known_as) as container:
        for packet in container.demux(container.streams.subtitles[0]):
            if packet.size and packet.pts is not None and packet.duration is not None:
                (subtitle,) = packet.decode()
                assert isinstance(subtitle, AssSubtitle)
                plain = re.sub(rb"\{[^}]*\}", b"", subtitle.dialogue).decode()
                found.append((packet.pts, packet.pts + packet.duration, plain))
    return found


def milliseconds(clock: str) -> int:
    hours, minutes, seconds = clock.replace(",", ".").split(":")
    return round(1000 * (3600 * int(hours) + 60 * int(minutes) + float(seconds)))


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
