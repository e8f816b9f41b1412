"""Settings that are lists: how their text is read, and what an entry may be."""

from collections.abc import Container

from steno.engines import ENGINES


def split(value: object) -> object:
    """A comma-separated variable becomes a list; anything else is left to the field's own type."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def registered(entry: str) -> tuple[str, str, str]:
    """Engine, name and path of engine:name=path; what is missing is empty."""
    engine, _, rest = entry.partition(":")
    name, _, path = rest.partition("=")
    return engine, name, path


def all_models() -> tuple[str, ...]:
    """The names of Whisper's models, of whatever engine."""
    return tuple(dict.fromkeys(name for engine in ENGINES.values() if engine.is_whisper for name in engine.models))


def pairs(value: tuple[str, ...], keys: Container[str], shape: str) -> tuple[str, ...]:
    """The entries, if each is key=something with one of the keys. Raises ValueError that tells the shape."""
    for entry in value:
        key, equals, rest = entry.partition("=")
        if not (equals and rest and key in keys):
            raise ValueError(f"'{entry}' is not {shape}")
    return value
