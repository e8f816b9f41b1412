"""Transcripts to write subtitles of: long sentences of known books, and words at chosen moments."""

from itertools import pairwise

from steno.transcript import Segment, Transcript, Word
from steno.transcript.model import joined

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


def bare(text: str) -> str:
    return "".join(text.split())
