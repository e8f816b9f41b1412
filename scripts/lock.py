"""Write the lock files: the exact versions that fresh environments resolve to. Names and versions only."""

import subprocess
import sys
import tempfile
from pathlib import Path

# The last pocketsphinx with a wheel for Python 3.12 is 5.0.4; 3.14 has none and does without the engine.
SPECIAL = {
    "pocketsphinx": "pocketsphinx==5.0.4 ; python_version == '3.12'\npocketsphinx=={version} ; python_version != '3.12'"
}
LOCKS = {
    "requirements.lock": "dev,s3",
    "requirements-engines.lock": "whisperx,timestamped,dev",  # takes minutes: torch with its CUDA libraries
}
HEAD = "# Versions that work together, written by `make lock`. Used as constraints: pip install -c {name} steno\n"


def frozen(root: Path, extras: str) -> list[str]:
    """What pip resolves for Steno with these extras, in an environment of its own."""
    with tempfile.TemporaryDirectory(prefix="steno-lock-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = f"{folder}/bin/python"
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-e", f".[{extras}]"]
        subprocess.run(install, cwd=root, check=True)
        freeze = [python, "-m", "pip", "freeze", "--exclude-editable"]
        return subprocess.run(freeze, check=True, capture_output=True, text=True).stdout.splitlines()


def locked(lines: list[str]) -> str:
    """The lines of a lock file."""
    pins = (line.partition("==") for line in lines)
    return "".join(
        SPECIAL.get(name.lower(), "{name}=={version}").format(name=name, version=version) + "\n"
        for name, _, version in pins
    )


def main() -> None:
    root = Path(__file__).parent.parent
    for name, extras in LOCKS.items():
        (root / name).write_text(HEAD.format(name=name) + locked(frozen(root, extras)))


if __name__ == "__main__":
    main()
