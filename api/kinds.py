"""What kind of audio an upload is, by its name or its first bytes, and so under which extension it is stored."""

import struct
from typing import Final, Literal

import filetype

from api.errors import EmptyFile, NotAudio, UnsupportedFormat
from steno.config import Settings

Taken = Literal["by_name", "by_content", "as_samples"]
"""How a door takes a file: by the extension of its name; by its first bytes, where its name says nothing that is accepted here;
or as raw samples, 16 kHz, mono, signed 16-bit little-endian, whatever its name."""

SNIFFED_BYTES: Final = 8192
"""So many of a file's first bytes tell what it is."""
_UNTIL_ITS_END: Final = 0xFFFF_FFFF
"""As a length in WAV: whatever follows. FFmpeg writes and reads it so where it cannot know."""
SAMPLES_EXTENSION: Final = "wav"
SAMPLES_HEAD: Final = struct.pack(
    "<4sI4s4sIHHIIHH4sI",
    *(b"RIFF", _UNTIL_ITS_END, b"WAVE"),
    *(b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16),
    *(b"data", _UNTIL_ITS_END),
)
"""What makes a WAV file of the raw samples that follow."""
_SAME_CONTAINER: Final = {"mp4": "m4a"}
"""Voice recorders write either name on the same thing."""


def extension_of(filename: str, settings: Settings) -> str | None:
    """The extension, in lower case, if it is accepted here."""
    extension = filename.rpartition(".")[2].lower() if "." in filename else ""
    return extension if extension in settings.allowed_formats else None


def extension_by_name(filename: str, settings: Settings) -> str:
    """The extension, in lower case. Raises UnsupportedFormat for one that this server does not accept."""
    extension = extension_of(filename, settings)
    if extension is None:
        raise _unsupported(filename, settings)
    return extension


def extension_by_content(head: bytes | bytearray, filename: str, settings: Settings) -> str:
    """The extension that a file with these first bytes should have. Raises NotAudio, UnsupportedFormat."""
    sniff(head)
    for extension in likely_extensions(head):
        if extension in settings.allowed_formats:
            return extension
    raise _unsupported(filename, settings)


def likely_extensions(head: bytes | bytearray) -> list[str]:
    """The extensions that a file with these first bytes may have; none where they tell nothing."""
    kind = filetype.guess(head)
    found = [] if kind is None else [str(kind.extension)]
    return found + [_SAME_CONTAINER[each] for each in found if each in _SAME_CONTAINER]


def sniff(head: bytes | bytearray) -> None:
    """Look at the first bytes of a recording, some thousands or all. Raises EmptyFile, NotAudio."""
    if not head:
        raise EmptyFile
    kind = filetype.guess(head)
    if kind is not None and not kind.mime.startswith(("audio/", "video/")):
        raise NotAudio(f"The file's content is {kind.mime}, not audio, whatever its name says.")


def _unsupported(filename: str, settings: Settings) -> UnsupportedFormat:
    """Why a file of this name is not taken."""
    extension = filename.rpartition(".")[2].lower() if "." in filename else ""
    accepted = ", ".join(sorted(settings.allowed_formats))
    shown = f"'.{extension[:20]}'" if extension else "(the file's name has no extension)"
    return UnsupportedFormat(f"Unsupported format {shown}; this server accepts {accepted}.")
