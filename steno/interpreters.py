"""Asking the interpreters that run engines what they have: `python -m worker.models`, in a process of its own."""

import json
import os
import subprocess
import sys
from typing import Any, Final

from steno.config import Settings, usable_cores

CALM: Final = {
    "OMP_NUM_THREADS": str(usable_cores()),
    # A thread that waits spins for microseconds, then sleeps. For 10 minutes of audio through whisperx on two cores: 19 s
    # so, 31 s if it sleeps at once (OMP_WAIT_POLICY=passive); with both cores busy otherwise 36 s so, 103 s by the
    # libraries' own way.
    "GOMP_SPINCOUNT": "10000",
    "KMP_BLOCKTIME": "1",
    "PYANNOTE_METRICS_ENABLED": "0",  # its telemetry is on by default
    "ORT_DISABLE_TELEMETRY": "1",  # and so is that of the runtime that the voice detectors use
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONWARNINGS": "ignore",  # what libraries tell their developers, pages of it, is no news to an operator
}
"""What the libraries of the engines are told, unless the operator says otherwise."""


class NoAnswer(Exception):
    """What was asked could not be done; the message says why, in a sentence."""


def ask(settings: Settings, engine: str, *arguments: str) -> list[dict[str, Any]]:
    """What `worker.models` answers with these arguments under the engine's interpreter. Raises NoAnswer."""
    command = [settings.pythons.get(engine, sys.executable), "-m", "worker.models", *arguments]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False, env={**CALM, **os.environ})
    except OSError as error:
        raise NoAnswer(f"The interpreter of '{engine}' cannot be run: {error}.") from error
    if run.returncode != 0:
        raise NoAnswer(run.stderr.strip().rpartition("\n")[2] or f"{command[0]} ended with exit code {run.returncode}.")
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


def has_model(settings: Settings, engine: str, model: str) -> bool:
    """Whether a model can be used without fetching anything. Raises NoAnswer."""
    return any(row["model"] == model and row["problem"] is None for row in ask(settings, engine, "list", engine))
