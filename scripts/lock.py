"""Write requirements.lock: the exact versions that a fresh environment resolves to. Names and versions only."""

import subprocess
import sys
import tempfile
from pathlib import Path

# The last pocketsphinx with a wheel for Python 3.12 is 5.0.4; 3.14 has none and does without the engine.
SPECIAL = {
    "pocketsphinx": "pocketsphinx==5.0.4 ; python_version == '3.12'\npocketsphinx=={version} ; python_version != '3.12'"
}
HEAD = "# Versions that work together, written by `make lock`. Used as constraints: pip install -c requirements.lock steno\n"


def main() -> None:
    root = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory(prefix="steno-lock-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = f"{folder}/bin/python"
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-e", ".[dev,s3]"]
        subprocess.run(install, cwd=root, check=True)
        freeze = [python, "-m", "pip", "freeze", "--exclude-editable"]
        frozen = subprocess.run(freeze, check=True, capture_output=True, text=True).stdout
    lines = []
    for line in frozen.splitlines():
        name, _, version = line.partition("==")
        lines.append(SPECIAL.get(name.lower(), "{name}=={version}").format(name=name, version=version))
    (root / "requirements.lock").write_text(HEAD + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
