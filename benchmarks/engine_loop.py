"""The floor of transcription: an engine called in a loop, in one process, with nothing around it.

As a process, `python -m benchmarks.engine_loop ENGINE MODEL FILE...`: loads the model, warms it with the first file, and
prints {"seconds": for all files, "words": heard in all}.
"""

import json
import sys
import time
from pathlib import Path

from steno.config import load_settings
from steno.jobs.options import Options
from worker.audio import Audio
from worker.engines import load_engine
from worker.engines.base import Engine
from worker.model_cache import ModelCache


def listen(engine: Engine, options: Options, path: Path) -> int:
    """The number of words heard."""
    return sum(len(segment.words) for segment in engine.transcribe(Audio(path), options, lambda *told: None).segments)


def main() -> None:
    options, settings = Options(sys.argv[1], sys.argv[2]), load_settings()
    files = [Path(name) for name in sys.argv[3:]]
    engine = load_engine(options.engine, options.model, settings, ModelCache(settings))
    listen(engine, options, files[0])
    began = time.monotonic()
    words = sum(listen(engine, options, path) for path in files)
    print(json.dumps({"seconds": time.monotonic() - began, "words": words}))


if __name__ == "__main__":
    main()
