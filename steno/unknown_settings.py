"""Variables of the environment that were meant as settings and are none."""

import logging
import os
import re
from typing import Final

from steno.config import Settings
from steno.spelling import meant

log = logging.getLogger(__name__)

_OF_THE_COMMAND: Final = frozenset({"STENO_SERVER", "STENO_ENGINE", "STENO_URL_AUTHORIZATION"})
"""Read by `steno transcribe` and `steno jobs`, which ask a server."""
_OF_SERVICES: Final = re.compile(r"STENO_(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?=.*|PORT_\d+_\w+=.*|PORT=\w+://.*)")
"""So Kubernetes and Docker tell every container of a service whose name begins with steno."""


def unknown_settings() -> list[str]:
    """A sentence on each, without its value, which may be secret."""
    known = [str(field.validation_alias) for field in Settings.model_fields.values()]
    strange = sorted(
        name
        for name, value in os.environ.items()
        if name.startswith("STENO_")
        and name not in (*known, *_OF_THE_COMMAND)
        and not _OF_SERVICES.fullmatch(f"{name}={value}")
    )
    return [f"{name} is no setting and changes nothing{meant(_likely(name, known), known)}" for name in strange]


def _likely(name: str, known: list[str]) -> str:
    """Without the prefix where that is a setting: those of the specification have none."""
    bare = name.removeprefix("STENO_")
    return bare if bare in known else name


def warn_of_unknown_settings() -> None:
    """A line in the log for each."""
    for sentence in unknown_settings():
        log.warning(sentence, extra={"action": "unknown_setting"})
