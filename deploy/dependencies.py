"""What pip installs before Steno itself, as a requirements file: `python dependencies.py ENGINES`, beside pyproject.toml.

Apart from the source, so that an image keeps its layer of dependencies when only the source changes.
"""

import sys
import tomllib
from pathlib import Path
from typing import Final

ENGINE_EXTRAS: Final = ("whisperx", "timestamped")


def wanted(pyproject: str, engines: str) -> list[str]:
    """The lines, for engines separated by commas; empty for the light ones. Raises ValueError."""
    project = tomllib.loads(pyproject)["project"]
    extras = engines.split(",") if engines else []
    if unknown := [name for name in extras if name not in ENGINE_EXTRAS]:
        raise ValueError(
            f"ENGINES is empty or names some of {','.join(ENGINE_EXTRAS)}, without spaces; not {','.join(unknown)!r}. "
            "faster-whisper and pocketsphinx are always there."
        )
    lock = "requirements-engines.lock" if extras else "requirements.lock"
    more = [line for name in extras for line in project["optional-dependencies"][name]]
    return [f"-c {lock}", *project["dependencies"], *more]


if __name__ == "__main__":
    try:
        print("\n".join(wanted(Path("pyproject.toml").read_text(), sys.argv[1])))
    except ValueError as error:
        sys.exit(str(error))
