"""Whatever was heard: every word is shown once, in order, within the lines, and FFmpeg reads what is written."""

import re
from dataclasses import replace
from io import BytesIO
from itertools import pairwise

import av
import pytest
from av.subtitles.subtitle import AssSubtitle
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from steno.transcript import Segment, Transcript, Word
from steno.transcript.cues import Subtitles, subtitles
from steno.transcript.merge import merged
from steno.transcript.model import channel_name, tidy
from steno.transcript.subtitle_options import SubtitleOptions
from steno.transcript.units import columns, written
from steno.transcript.writers import WRITERS
from tests.speech import bare, made

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


@st.composite
def conversations(draw: st.DrawFn) -> Transcript:
    """Two or three channels on which people talk at the same time."""
    channels = [draw(transcripts()) for _ in range(draw(st.integers(2, 3)))]
    segments = merged({channel_name(number): channel.segments for number, channel in enumerate(channels)})
    return made(*segments, language=None, duration=max(channel.duration for channel in channels))


few = settings(max_examples=40)


@few
@given(conversations(), OPTIONS)
def test_people_who_talk_at_once_are_each_shown_in_order_and_named(
    transcript: Transcript, options: SubtitleOptions
) -> None:
    told = subtitles(transcript, options, labels=True)
    for name in {segment.speaker for segment in transcript.segments}:
        own = Subtitles(tuple(cue for cue in told.cues if cue.speaker == name))
        _in_order(own, transcript.duration)
        pieces = [[piece for line in cue.lines for piece in line][cue.labeled :] for cue in own.cues]
        said = "".join(segment.text for segment in transcript.segments if segment.speaker == name)
        assert bare("".join(written(each) for each in pieces)) == bare(said)
    assert all(len(cue.lines) <= options.max_lines for cue in told.cues)
    assert [cue.start for cue in told.cues] == sorted(cue.start for cue in told.cues)
    for before, cue in pairwise(told.cues):
        assert cue.labeled or cue.speaker == before.speaker


def _in_order(told: Subtitles, duration: float) -> None:
    for cue in told.cues:
        assert 0.0 <= cue.start < cue.end <= duration
    for cue, then in pairwise(told.cues):
        assert cue.end <= then.start


def _is_one_word(line: str) -> bool:
    """A word of letters or one character, but for what begins no line."""
    return re.fullmatch("[a-zéß]*|.", re.sub("[ ャー。、…,.?!-]", "", line)) is not None


READ_AS = pytest.mark.parametrize(("format", "known_as"), [("srt", "srt"), ("vtt", "webvtt")])


@READ_AS
@pytest.mark.parametrize("highlighted", [False, True])
@given(transcript=transcripts(), options=OPTIONS)
def test_ffmpeg_reads_every_cue(
    format: str, known_as: str, highlighted: bool, transcript: Transcript, options: SubtitleOptions
) -> None:
    _is_read(format, known_as, transcript, replace(options, highlight_words=highlighted))


@few
@READ_AS
@pytest.mark.parametrize("highlighted", [False, True])
@given(transcript=conversations(), options=OPTIONS)
def test_ffmpeg_reads_every_cue_of_people_who_talk_at_once(
    format: str, known_as: str, highlighted: bool, transcript: Transcript, options: SubtitleOptions
) -> None:
    _is_read(format, known_as, transcript, replace(options, highlight_words=highlighted))


def _is_read(format: str, known_as: str, transcript: Transcript, options: SubtitleOptions) -> None:
    text = WRITERS[format].write(transcript, options)
    blocks = re.findall(r"^(.* --> .*)\n((?:.+\n)+)", text, re.MULTILINE)
    assume(len(set(blocks)) == len(blocks))  # FFmpeg shows once what two say in the same words at the same time
    shown = read_by_ffmpeg(text, known_as)
    spans = re.findall(r"^(\S+) --> (\S+)$", text, re.MULTILINE)
    assert [(start, end) for start, end, _ in shown] == [
        (milliseconds(start), milliseconds(end)) for start, end in spans
    ]
    assert spans == sorted(spans, key=lambda span: milliseconds(span[0]))
    if not options.highlight_words:
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
