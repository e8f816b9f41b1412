"""Channels as one conversation: every word once, in the order of its channel, and turns where there are turns."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from steno.transcript import Segment, Word
from steno.transcript.merge import PAUSE, merged
from steno.transcript.model import faults, tidy
from steno.transcript.spread import with_words
from tests.speech import CHINESE, JAPANESE, bare, made, said

DURATION = 60.0
TEXT = st.sampled_from(["so", "then", "well-", "known,", "yes.", "no?", "«", "»", "好", "。", "と", "[*]", "Dr."])
GAP = st.sampled_from([0.0, 0.0, 0.1, 0.4, PAUSE, 3.0])
LENGTH = st.sampled_from([0.0, 0.2, 0.4])
SPOKEN = st.tuples(TEXT, GAP, LENGTH, st.sampled_from(["", " "]))


def heard(channel: list[tuple[list[tuple[str, float, float, str]], bool]]) -> list[Segment]:
    """What an engine hears on a channel: words of any script, some of no length, some segments without words. The confidence
    of words tells the segment they are of."""
    segments: list[Segment] = []
    now = 0.0
    for number, (spoken, with_times) in enumerate(channel):
        words: list[Word] = []
        for text, gap, length, _ in spoken:
            words.append(Word(text, now + gap, now + gap + length, number / 100))
            now = words[-1].end
        text = "".join(space + word for word, _, _, space in spoken).strip()
        raw = Segment(0, words[0].start, now, text, 0.5, None, tuple(words) if with_times else ())
        segments.append(tidy(raw, id=number, after=0.0, duration=DURATION))
    return segments


CHANNEL = st.lists(
    st.tuples(st.lists(SPOKEN, min_size=1, max_size=6), st.sampled_from([True, True, False])), max_size=3
)
CHANNELS = st.lists(CHANNEL.map(heard), max_size=3).map(
    lambda channels: {f"CHANNEL_{number}": segments for number, segments in enumerate(channels)}
)
Channels = dict[str | None, list[Segment]]


def words_of(segments: list[Segment], name: str | None = None) -> list[Word]:
    """The words of one channel's segments, or of all, without the name."""
    told = (segment for segment in segments if name is None or segment.speaker == name)
    return [replace(word, speaker=None) for segment in told for word in segment.words]


@given(CHANNELS)
def test_no_word_is_lost_doubled_moved_or_given_to_another(channels: Channels) -> None:
    told = merged(channels)
    for name, segments in channels.items():
        mine = [segment for segment in told if segment.speaker == name]
        assert words_of(told, name) == words_of(segments)
        assert bare("".join(segment.text for segment in mine)) == bare("".join(segment.text for segment in segments))
        wordless = [(segment.start, segment.end, segment.text) for segment in segments if not segment.words]
        assert [(each.start, each.end, each.text) for each in mine if not each.words] == wordless
        assert all(word.speaker == name for segment in mine for word in segment.words)
    assert {segment.speaker for segment in told} <= set(channels)


@given(CHANNELS)
def test_whatever_is_said_at_once_the_conversation_keeps_the_promises_of_a_transcript(
    channels: Channels,
) -> None:
    told = merged(channels)
    assert faults(made(*told, duration=DURATION)) == []
    assert [segment.id for segment in told] == list(range(len(told)))
    assert all(one.start <= other.start for one, other in pairwise(told))
    assert merged(channels) == told


@given(CHANNEL.map(heard))
def test_a_channel_alone_stays_as_it_was_heard(segments: list[Segment]) -> None:
    assert merged({None: segments}) == segments


@given(CHANNELS)
def test_a_segment_is_cut_only_where_another_begins_to_speak(channels: Channels) -> None:
    for one, other in pairwise(merged(channels)):
        if one.speaker == other.speaker and one.words and other.words:
            assert one.words[-1].confidence != other.words[0].confidence


def texts(*segments: Segment) -> list[tuple[str | None, str]]:
    return [(segment.speaker, segment.text) for segment in segments]


def test_a_long_segment_is_cut_where_the_other_answers() -> None:
    asks = said("Have you seen it? Good. And you liked it?", 0.0, 0.4, 0.8, 1.2, 4.0, 6.0, 6.3, 6.6, 6.9, 7.2)
    answers = said("Yes, twice. Very much.", 2.0, 2.5, 8.0, 8.5, 9.0)
    assert texts(*merged({"A": [asks], "B": [answers]})) == [
        ("A", "Have you seen it?"),
        ("B", "Yes, twice."),
        ("A", "Good. And you liked it?"),
        ("B", "Very much."),
    ]


def test_a_word_thrown_in_does_not_cut_a_sentence() -> None:
    tells = said("So we drove all the way to the sea. It was cold.", *(number * 0.4 for number in range(13)))
    hums = said("Mhm.", 1.5, 1.9)
    assert texts(*merged({"A": [tells], "B": [hums]})) == [
        ("A", "So we drove all the way to the sea."),
        ("B", "Mhm."),
        ("A", "It was cold."),
    ]


def test_without_punctuation_a_pause_is_where_another_may_speak() -> None:
    tells = said("we drove to the sea it was cold", 0.0, 0.3, 0.6, 0.9, 1.2, 1.6 + PAUSE, 2.5, 2.8, 3.1)
    at_once, between = said("mhm", 0.7, 1.0), said("oh", 1.7, 1.9)
    assert texts(*merged({"A": [tells], "B": [at_once, between]})) == [
        ("A", "we drove to the sea"),
        ("B", "mhm"),
        ("B", "oh"),
        ("A", "it was cold"),
    ]
    hasty = said("we drove to the sea it was cold", 0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1, 2.4)
    assert texts(*merged({"A": [hasty], "B": [between]})) == [("A", hasty.text), ("B", "oh")]


def test_two_long_speeches_at_once_alternate_by_sentence() -> None:
    one = said("One two. Three four. Five six.", 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
    other = said("Un deux. Trois quatre. Cinq six.", 0.2, 0.7, 1.2, 1.7, 2.2, 2.7, 3.2)
    told = merged({"A": [one], "B": [other]})
    assert texts(*told) == [
        ("A", "One two."), ("B", "Un deux."), ("A", "Three four."), ("B", "Trois quatre."), ("A", "Five six."),
        ("B", "Cinq six."),
    ]  # fmt: skip
    assert told[1].start < told[0].end


def test_who_begins_at_the_same_moment_speaks_in_the_order_of_channels() -> None:
    told = merged({"CHANNEL_0": [said("One.", 1.0, 1.5)], "CHANNEL_1": [said("Un.", 1.0, 1.2)]})
    assert texts(*told) == [("CHANNEL_0", "One."), ("CHANNEL_1", "Un.")]


def test_parts_read_as_the_language_is_written() -> None:
    french = "Ça va ? « Oui. » C'est-à-dire : bien."
    for text, parts in (
        (JAPANESE, [f"{sentence}。" for sentence in JAPANESE.split("。")[:-1]]),
        (CHINESE, [f"{sentence}。" for sentence in CHINESE.split("。")[:-1]]),
        (french, ["Ça va ?", "« Oui. »", "C'est-à-dire : bien."]),
    ):
        segment = with_words(Segment(0, 0.0, 20.0, text), "fr" if text == french else "ja")
        hums = [said("mhm", number, number + 0.1) for number in range(1, 20)]
        assert [part.text for part in merged({"A": [segment], "B": hums}) if part.speaker == "A"] == parts


def test_a_segment_that_cannot_be_cut_stays_whole() -> None:
    wordless = Segment(0, 0.0, 9.0, "One. Two. Three.", 0.5)
    unlike = replace(said("One. Two.", 10.0, 12.0, 14.0), text="1. 2.")
    between = [said("Yes.", 4.0, 4.4), said("No.", 11.0, 11.4)]
    told = merged({"A": [wordless, unlike], "B": between})
    assert texts(*told) == [("A", "One. Two. Three."), ("B", "Yes."), ("A", "1. 2."), ("B", "No.")]
    assert told[0] == replace(wordless, speaker="A")


def test_a_part_has_the_confidence_of_its_words() -> None:
    words = (Word("Yes.", 0.0, 1.0, 0.9), Word("No.", 4.0, 5.0, 0.5))
    unsure = (Word("Yes.", 0.0, 1.0), Word("No.", 4.0, 5.0))
    between = [said("So?", 2.0, 2.4)]
    for spoken, confidences in ((words, [0.9, 0.5]), (unsure, [0.7, 0.7])):
        told = merged({"A": [Segment(0, 0.0, 5.0, "Yes. No.", 0.7, None, spoken)], "B": between})
        assert [part.confidence for part in told if part.speaker == "A"] == confidences
