"""How the commands speak: results on standard output, everything else on standard error, and one way to fail."""

from typing import NoReturn

import typer
from rich.console import Console

from steno.config import Settings, SettingsError, load_settings
from steno.controls import steers

out = Console()
err = Console(stderr=True)


def fail(message: object, code: int = 1) -> NoReturn:
    """End the command with a sentence: 1 if it did not work, 2 if it was called wrongly."""
    complain(message)
    raise typer.Exit(code)


def complain(message: object) -> None:
    """A sentence on what went wrong, as it is: names of files may hold what looks like markup."""
    err.print(harmless(str(message)), style="red", highlight=False, soft_wrap=True, markup=False)


def say(line: object) -> None:
    """A line of a result, as it is but for what would steer the terminal: others may have written some of it."""
    out.print(harmless(str(line)), highlight=False, soft_wrap=True, markup=False)


def harmless(text: str) -> str:
    """A text that somebody else wrote, without the control characters by which it could steer the terminal; lines stay."""
    return "".join("\ufffd" if steers(character) and character != "\n" else character for character in text)


def settings() -> Settings:
    """The environment's settings, or the end of the command."""
    try:
        return load_settings()
    except SettingsError as error:
        fail(error, 2)
