"""How well a text may be broken between two units: what subtitling guides ask for, as costs from 0 (good) to 8 (bad)."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from steno.transcript.units import Unit

SENTENCE: Final = 0.0
CLAUSE: Final = 1.0
_BREATH: Final = 0.3
"""Seconds of silence that tell of a clause's end where punctuation does not."""
_BEFORE_LINK: Final = 2.0
_ANYWHERE: Final = 4.0
_AFTER_SHORT: Final = 6.0
"""After "the", "of", "der", "un": a short word mostly leads to the next one."""
_STRAY: Final = 2.0
"""For a word that is cut off from the clause that it begins or ends."""

_SHORT: Final = 3
_LINKS: Final = {
    "en": re.compile(
        "and|but|or|because|that|which|who|when|where|while|if|than|with|from|for|into|about", re.IGNORECASE
    ),
    "de": re.compile("und|aber|oder|weil|dass|wenn|als|denn|sondern|mit|von|für|nach|auf|bei", re.IGNORECASE),
    "fr": re.compile("et|mais|ou|parce|que|qui|quand|donc|car|avec|pour|dans|sur", re.IGNORECASE),
    "es": re.compile("y|pero|o|porque|que|quien|cuando|donde|con|para|por|desde", re.IGNORECASE),
}
"""Words before which a line breaks well: the commonest conjunctions and prepositions of a few languages."""
_ENDS_SENTENCE: Final = re.compile(r"[.!?…。．！？｡؟।]+[\s\"'”’»)\]」』）]*$")
_ENDS_CLAUSE: Final = re.compile(r"[,;:–—،、，；：][\s\"'”’»)\]」』）]*$")
_ABBREVIATED: Final = re.compile(r"(\b\d{1,2}|\b[^\W\d]|\b(mr|mrs|ms|dr|st|prof|bzw|ca|vs|nr))\.$", re.IGNORECASE)
"""A full stop after a number ("am 3. Mai"), a letter or a title ends no sentence."""
_KANA: Final = re.compile("[\u3040-\u309f]")


def ends_sentence(unit: Unit) -> bool:
    """Whether a sentence ends with it, as far as punctuation tells."""
    return bool(_ENDS_SENTENCE.search(unit.text)) and not _ABBREVIATED.search(unit.text)


def costs(units: Sequence[Unit], language: str | None) -> list[float]:
    """Of a break after each unit but the last, for the reader. Cutting off the first or last word of a clause costs more."""
    plain = [_cost(before, after, language) for before, after in pairwise(units)]
    around = [_ANYWHERE, *plain, _ANYWHERE]
    return [
        cost + _STRAY if cost > CLAUSE and min(around[place], around[place + 2]) <= CLAUSE else cost
        for place, cost in enumerate(plain)
    ]


def _cost(before: Unit, after: Unit, language: str | None) -> float:
    if before.is_label:
        return _AFTER_SHORT
    if ends_sentence(before):
        return SENTENCE
    if _ENDS_CLAUSE.search(before.text):
        return CLAUSE
    if after.start - before.end >= _BREATH:
        return CLAUSE
    if not after.space:
        return _without_space(before.text, after.text)
    links = _LINKS.get(language or "")
    if links and links.fullmatch(after.text):
        return _BEFORE_LINK
    return _AFTER_SHORT if len(before.text) <= _SHORT else _ANYWHERE


def _without_space(before: str, after: str) -> float:
    """Japanese: a phrase mostly ends in hiragana (a particle, an ending), and the next begins with another script."""
    phrase_ends = _KANA.match(before[-1]) and not _KANA.match(after[0])
    return _BEFORE_LINK if phrase_ends else _ANYWHERE
