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
_OF_SERVICES: Final = re.compile(r"STENO_(\w+_)?(SERVICE_HOST|SERVICE_PORT|PORT)(_\w+)?")
"""So Kubernetes and Docker tell every container of a service whose name begins with steno."""


def unknown_settings() -> list[str]:
    """A sentence on each, without its value, which may be secret."""
    known = [str(field.validation_alias) for field in Settings.model_fields.values()]
    strange = sorted(
        name
        for name in os.environ
        if name.startswith("STENO_") and not (name in _OF_THE_COMMAND or name in known or _OF_SERVICES.fullmatch(name))
    )
    return [f"{name} is no setting and changes nothing{meant(name, known)}" for name in strange]


def warn_of_unknown_settings() -> None:
    """A line in the log for each."""
    for sentence in unknown_settings():
        log.warning(sentence, extra={"action": "unknown_setting"})
