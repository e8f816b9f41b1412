"""A door's form: how its fields become an engine, its options, and the way the job is treated."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from api.errors import InvalidField, wrong_field, wrong_fields
from api.kinds import Taken
from api.models import HandlingRequest, TranscribeRequest, UrlRequest
from steno.config import Settings
from steno.jobs.options import Contradiction, OptionRefused, Options, resolve
from steno.jobs.record import Handling
from steno.outbound import UrlRefused
from steno.spelling import meant
from steno.webhooks.deliveries import check_callback

Fields = Mapping[str, Sequence[str]]
"""What came beside the file: every value of each field, in order."""
_FIELDS: Final = ("file", *UrlRequest.model_fields, *TranscribeRequest.model_fields, *HandlingRequest.model_fields)
"""Of the native form."""
_LONGEST_NAME: Final = 100
"""Of a field that there is not, as it is shown."""


@dataclass(frozen=True)
class Form:
    """What an upload needs to know of its door. `asked` raises InvalidField and ModelNotFound, naming the door's own fields.

    Once the field `first` has come, a wrong field is refused before the file is received, unless a later one may mend it. A
    field that is `refused`, by name, is so as soon as it begins, with that message. `file` is the field that carries the file;
    one that comes in another is refused, or passed over where `others_pass`. How a file is taken for audio, `taken` says: see
    api/kinds.py. Where it `takes_urls`, a URL may come instead of the file: see api/urls.py.
    """

    asked: Callable[[Settings, Fields], tuple[Options, Handling]]
    first: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)
    file: str = "file"
    others_pass: bool = False
    taken: Taken = "by_name"
    takes_urls: bool = False


def last_values(fields: Fields) -> dict[str, Any]:
    """One value a field, the last; but labels add up. An empty one is as one that is absent."""
    given = {name: values[-1] for name, values in fields.items() if values[-1]}
    if "labels" in fields:
        given["labels"] = ",".join(fields["labels"])
    return given


def asked_for(settings: Settings, given: Mapping[str, Any]) -> tuple[Options, Handling]:
    """What the native fields ask for: the one check that every door's requests go through. Raises InvalidField."""
    try:
        asked = TranscribeRequest.model_validate(given)
        handling = HandlingRequest.model_validate(given).handling()
        if handling.callback_url is not None:
            check_callback(settings, handling.callback_url)
        return resolve(settings, **asked.model_dump(exclude_none=True)), handling
    except ValidationError as error:
        raise invalid(error) from error
    except UrlRefused as error:
        raise wrong_field("callback_url", str(error)) from error
    except OptionRefused as error:
        refused = InvalidField(str(error), [{"field": error.field, "message": str(error)}])
        refused.is_tentative = isinstance(error, Contradiction)
        raise refused from error


def invalid(error: ValidationError) -> InvalidField:
    """The fields at fault, each with the first thing that is wrong with it."""
    first: dict[str, Any] = {}
    for fault in error.errors():
        first.setdefault(str(fault["loc"][0]), fault)
    return wrong_fields((name, _sentence(fault)) for name, fault in first.items())


def _sentence(fault: Mapping[str, Any]) -> str:
    """With the entry at fault, where the field holds many."""
    name, *within = fault["loc"]
    message = str(fault["msg"]).removeprefix("Value error, ")
    if not within or not (name == "metadata" or isinstance(within[0], int)):
        return message
    entry = within[0] if name == "metadata" else fault["input"]
    return f"{json.dumps(str(entry)[:_LONGEST_NAME])}: {message}"


def _asked_natively(settings: Settings, fields: Fields) -> tuple[Options, Handling]:
    """A field that there is not is refused: a recording that `keep_audio` spelt wrongly should not keep would be kept."""
    unknown = [name[:_LONGEST_NAME] for name in fields if name not in _FIELDS]
    if unknown:
        raise wrong_fields((name, f"There is no such field{meant(name, _FIELDS)}") for name in unknown)
    return asked_for(settings, last_values(fields))


NATIVE: Final = Form(_asked_natively, "engine", takes_urls=True)
