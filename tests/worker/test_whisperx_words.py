"""What becomes of WhisperX's segments; the library itself is not needed for that."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.whisperx_words import mark_estimated, segments, spread, with_margin

LETTERS = set("abcdefghijklmnopqrstuvwxyz'|")


def word(text: str, start: float | None = None, end: float | None = None, score: float | None = None) -> dict[str, Any]:
    told = {"word": text, "start": start, "end": end, "score": score}
    return {name: value for name, value in told.items() if value is not None}


def test_each_segment_is_shown_with_a_little_more_sound_but_none_of_its_neighbours() -> None:
    heard = [
        {"start": 0.05, "end": 2.0},
        {"start": 2.1, "end": 4.0},
        {"start": 4.0, "end": 5.0},
        {"start": 6.0, "end": 9.98},
    ]
    moved = with_margin(heard, samples=10 * 16_000)
    assert [(round(one["start"], 3), round(one["end"], 3)) for one in moved] == [
        (0.0, 2.05), (2.05, 4.0), (4.0, 5.1), (5.9, 10.0),
    ]  # fmt: skip


def test_a_segment_that_ends_after_the_recording_is_cut_there() -> None:
    assert with_margin([{"start": 1.0, "end": 5.3}], samples=5 * 16_000) == [{"start": 0.9, "end": 5.0}]


@given(st.lists(st.floats(0, 60), max_size=12), st.floats(0, 70))
def test_margins_never_cross_and_never_leave_the_recording(times: list[float], duration: float) -> None:
    times = sorted(time for time in times if time <= duration)
    heard = [{"start": start, "end": end} for start, end in zip(times[::2], times[1::2], strict=False)]
    samples = int(duration * 16_000)
    edges = [edge for one in with_margin(heard, samples) for edge in (one["start"], one["end"])]
    assert all(a <= b + 1e-9 for a, b in pairwise(edges))
    assert all(0 <= edge <= samples / 16_000 + 1e-9 for edge in edges)


def test_a_word_that_begins_or_ends_with_what_the_aligner_does_not_know_is_flagged() -> None:
    texts = ["Open", "42", "$5", "5th", "a1", "it's", "grün", "über", "…"]
    made = mark_estimated({"words": [word(text, 1, 2, 0.5) for text in texts]}, LETTERS, "en")
    assert [one["word"] for one in made["words"] if one["estimated"]] == ["42", "$5", "5th", "a1", "über", "…"]


def test_a_segment_that_could_not_be_aligned_is_spread() -> None:
    segment = {"start": 1.0, "end": 3.0, "text": " ten words", "words": []}
    assert [(one["word"], one["start"], one["end"]) for one in mark_estimated(segment, LETTERS, "en")["words"]] == [
        ("ten", 1.0, 1.75), ("words", 1.75, 3.0),
    ]  # fmt: skip


def test_languages_without_spaces_are_spread_by_their_signs() -> None:
    made = spread({"start": 0.0, "end": 3.0, "text": "你 好吗"}, "zh")
    assert [(one["word"], one["start"], one["end"]) for one in made["words"]] == [
        ("你", 0.0, 1.0), ("好", 1.0, 2.0), ("吗", 2.0, 3.0),
    ]  # fmt: skip
    assert all(one["estimated"] for one in made["words"])


def test_no_word_is_without_a_time() -> None:
    words = [word("one", 1.0, 1.5, 0.9), word("two"), word("three", float("nan"), 2.5), word("four", 2.5, 3.0, 0.7)]
    (made,) = segments([{"start": 1.0, "end": 3.0, "text": " one two three four", "words": words}], True)
    assert [(one.start, one.end) for one in made.words] == [(1.0, 1.5), (1.5, 1.5), (1.5, 2.5), (2.5, 3.0)]
    assert made.confidence == pytest.approx(0.8)


def test_confidence_without_words_is_the_probability_of_the_tokens() -> None:
    (made,) = segments([{"start": 0.0, "end": 1.0, "text": "a", "avg_logprob": -0.5, "speaker": "SPEAKER_01"}], True)
    assert made.confidence == pytest.approx(0.6065, abs=1e-4)
    assert (made.words, made.speaker) == ((), "SPEAKER_01")
