"""Is a model on this machine? `python -m worker.models ENGINE MODEL [--fetch]` prints where, or says why not."""

import argparse
import sys
from importlib import import_module

from steno.config import Settings, SettingsError, load_settings
from steno.engines import ENGINES
from steno.jobs.errors import JobError


def locate(engine: str, model: str, settings: Settings, *, fetch: bool) -> str:
    """Where the model's files are; with `fetch`, after getting them from the hub. Raises ModelUnavailable."""
    place: str = import_module(ENGINES[engine].module).locate(model, settings, fetch=fetch)
    return place


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m worker.models", description=__doc__)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("model")
    parser.add_argument("--fetch", action="store_true", help="get it from the hub if it is not here")
    asked = parser.parse_args()
    try:
        print(locate(asked.engine, asked.model, load_settings(), fetch=asked.fetch))
    except (JobError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
