"""Settings that are lists: how their text is read, and what an entry may be."""

from collections.abc import Container, Mapping
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from types import MappingProxyType

from steno.engines import ENGINES
from steno.languages import LANGUAGES


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


@cache
def registered_models(entries: tuple[str, ...], engine: str) -> Mapping[str, Path]:
    """The paths of an engine's models, by name. Made once: every request asks, and each new `Path` interns its parts."""
    found = ((name, Path(path)) for of, name, path in map(registered, entries) if of == engine)
    return MappingProxyType(dict(found))


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


def extensions(value: frozenset[str]) -> frozenset[str]:
    """File extensions, without dot and in small letters."""
    formats = frozenset(part.lower().lstrip(".") for part in value)
    if not formats or not all(part.isascii() and part.isalnum() for part in formats):
        raise ValueError("give file extensions of letters and digits, such as mp3,wav")
    return formats


def engine_names(value: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [name for name in value if name not in ENGINES]:
        raise ValueError(f"no engine is called {', '.join(unknown)}; there are {', '.join(ENGINES)}")
    return value


def engine_name(value: str | None) -> str | None:
    return value if value is None else engine_names((value,))[0]


def aliases(value: tuple[str, ...]) -> tuple[str, ...]:
    for entry in value:
        alias, _, target = entry.partition("=")
        engine, _, model = target.partition("/")
        if not (alias and model and engine in ENGINES):
            raise ValueError(f"'{entry}' is not alias=engine/model with an engine of {', '.join(ENGINES)}")
    return value


def model_names(value: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [name for name in value if name not in all_models()]:
        raise ValueError(f"no model is called {', '.join(unknown)}; there are {', '.join(all_models())}")
    return value


def model_paths(value: tuple[str, ...]) -> tuple[str, ...]:
    for entry in value:
        engine, name, path = registered(entry)
        if not (name and path and engine in ENGINES):
            raise ValueError(f"'{entry}' is not engine:name=path with an engine of {', '.join(ENGINES)}")
    return value


def language_models(value: tuple[str, ...]) -> tuple[str, ...]:
    return pairs(value, LANGUAGES, "code=model with one of Whisper's language codes")


def engine_pythons(value: tuple[str, ...]) -> tuple[str, ...]:
    return pairs(value, ENGINES, f"engine=path with an engine of {', '.join(ENGINES)}")


def networks(value: object) -> list[IPv4Network | IPv6Network]:
    """Networks from their text in CIDR form, or as they are."""
    entries = split(value)
    found = []
    for entry in entries if isinstance(entries, list | tuple) else [entries]:
        try:
            found.append(ip_network(str(entry)))
        except ValueError as error:
            raise ValueError(f"{error}; give networks such as 10.1.0.0/16 or fd00::/8") from error
    return found
