"""Hotwords, within what a Whisper model can hold."""

from typing import Any, Final

MOST_TOKENS: Final = 112
"""A quarter of what Whisper's decoder holds. Half is what was said before, or the prompt; the rest is for what is heard now.
The libraries let hotwords take half, too, which leaves no room at all: then the model raises an error."""


def fitting(hotwords: str | None, model: Any) -> tuple[str | None, tuple[str, ...]]:
    """As many of the hotwords as there is room for, by the tokenizer of faster-whisper's model; a warning if that is not all."""
    if hotwords is None:
        return None, ()
    hotwords = hotwords.strip()
    tokenizer = model.hf_tokenizer
    tokens = tokenizer.encode(f" {hotwords}", add_special_tokens=False).ids
    if len(tokens) <= MOST_TOKENS:
        return hotwords, ()
    kept = tokenizer.decode(tokens[:MOST_TOKENS]).strip().rstrip("\N{REPLACEMENT CHARACTER}")
    if not hotwords[len(kept) :][:1].isspace():
        kept = (kept.rpartition(" ")[0] or kept).rstrip(" ,")
    return kept, (
        f"The model takes {MOST_TOKENS} tokens of hotwords, so only the first {len(kept)} characters were used.",
    )
