"""Unpack the small speech models of tests/data, which truly hear its recordings, and say how Steno is told of them.

eval "$(python scripts/small_models.py FOLDER)"      then `steno serve` knows them as the model `mini` of each engine
"""

import lzma
import shlex
import sys
import tarfile
from pathlib import Path
from typing import Final

DATA: Final = Path(__file__).parent.parent / "tests" / "data"
MODEL: Final = "mini"


def unpack(folder: Path) -> Path:
    """Fill the folder with every small model: for CTranslate2, for openai-whisper, and for alignment. Returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("mini-ct2.tar.xz", "aligner.tar.xz"):
        with tarfile.open(DATA / name) as archive:
            archive.extractall(folder, filter="data")
    (folder / "mini.pt").write_bytes(lzma.decompress((DATA / "mini.pt.xz").read_bytes()))
    return folder.absolute()


def settings(folder: Path) -> dict[str, str]:
    """The environment in which Steno uses the models in the folder, and asks no hub for others."""
    models = {"faster-whisper": "mini-ct2", "whisperx": "mini-ct2", "timestamped": "mini.pt"}
    return {
        "STENO_LOCAL_MODELS": ",".join(f"{engine}:{MODEL}={folder / path}" for engine, path in models.items()),
        "STENO_ALIGN_MODELS": ",".join(f"{code}={folder / 'aligner'}" for code in ("en", "fr", "de")),
        "STENO_DEFAULT_MODEL": MODEL,
        "NLTK_DATA": str(folder / "nltk_data"),
        "HF_HUB_OFFLINE": "1",
    }


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name, value in settings(unpack(Path(sys.argv[1]))).items():
        print(f"export {name}={shlex.quote(value)}")
