"""A multipart/form-data body as it arrives: parsed by python-multipart, never held, never copied.

The parser cuts each chunk from the network into events; file content stays a view into that chunk until it is written.
Format: RFC 7578.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from api.errors import FileTooLarge, InvalidField, MalformedUpload

_MAX_PARTS: Final = 100
_MAX_FIELD_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class PartBegin:
    """A new part. `filename` is None for a plain field."""

    name: str
    filename: str | None


@dataclass(frozen=True)
class PartData:
    data: memoryview


@dataclass(frozen=True)
class PartEnd:
    pass


Event = PartBegin | PartData | PartEnd


class _Events:
    """The parser's callbacks, gathered as events of the chunk being parsed."""

    def __init__(self) -> None:
        self.ready: list[Event] = []
        self.ended = False
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._parts = 0
        self._field_bytes: int | None = None

    def on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise MalformedUpload(f"The form has more than {_MAX_PARTS} fields.")
        self._disposition = self._header_name = self._header_value = b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise MalformedUpload("A part of the form has no name.")
        filename = options.get(b"filename")
        self._field_bytes = 0 if filename is None else None
        self.ready.append(PartBegin(_text(options[b"name"]), None if filename is None else _text(filename)))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field_bytes is not None:
            self._field_bytes += end - start
            if self._field_bytes > _MAX_FIELD_BYTES:
                raise InvalidField(f"A field of the form is longer than {_MAX_FIELD_BYTES} bytes.")
        self.ready.append(PartData(memoryview(data)[start:end]))

    def on_part_end(self) -> None:
        self.ready.append(PartEnd())

    def on_end(self) -> None:
        self.ended = True

    def take(self) -> list[Event]:
        ready, self.ready = self.ready, []
        return ready


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


async def multipart_events(request: Request, most_bytes: int) -> AsyncIterator[list[Event]]:
    """The events of a request's form, those of one network chunk at a time.

    Raises MalformedUpload, InvalidField, FileTooLarge for a body over `most_bytes`, and starlette's ClientDisconnect.
    """
    events = _Events()
    parser = _parser(request, events)
    async for chunk in request.stream():
        most_bytes -= len(chunk)
        if most_bytes < 0:
            raise FileTooLarge("The form and its file are together too large for this server.")
        too_long = None
        try:
            parser.write(chunk)
        except FormParserError as error:
            raise MalformedUpload(f"The multipart body is malformed: {error}.") from error
        except InvalidField as error:
            too_long = error  # after what came before it: there may be a better reason to refuse this form
        yield events.take()
        if too_long is not None:
            raise too_long
    if not events.ended:
        raise MalformedUpload("The multipart body is empty or ends before its closing boundary; send the form again.")


def _parser(request: Request, events: _Events) -> MultipartParser:
    content_type, options = parse_options_header(request.headers.get("content-type"))
    if content_type != b"multipart/form-data":
        raise InvalidField(
            "Send a multipart/form-data form with a file.",
            [{"field": "file", "message": "Field required"}],
        )
    if not options.get(b"boundary"):
        raise MalformedUpload("The Content-Type names no boundary.")
    callbacks = {name: getattr(events, name) for name in dir(events) if name.startswith("on_")}
    try:
        return MultipartParser(options[b"boundary"], callbacks)  # type: ignore[arg-type]
    except FormParserError as error:
        raise MalformedUpload(f"The boundary is malformed: {error}.") from error


__all__ = ["ClientDisconnect", "Event", "PartBegin", "PartData", "PartEnd", "multipart_events"]
