"""`make demo`: start the whole service, send it a recording of a human voice over HTTP, print what it heard, stop.

The recording is the first 20 seconds of a reading of "A Tale of Two Cities" from the MIT-licensed moonshine-voice wheel.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from steno import interpreters
from steno.config import load_settings
from steno.redis_server import free_port
from steno.serve import ServeError, Stack, running

ROOT = Path(__file__).parent.parent
RECORDING = ROOT / "examples" / "two-cities-20s.flac"
FETCHED_MODEL = "base"  # 145 MB: the smallest multilingual model that people are happy with
BETTER = "steno transcribe FILE --engine faster-whisper --model large-v3-turbo"

say = Console(highlight=False, soft_wrap=True).print


def choose() -> tuple[str, str, str]:
    """Engine, model, and why: real Whisper if its weights are here or can be had, otherwise the one in the wheel."""
    settings = load_settings()
    for model in (settings.default_model, FETCHED_MODEL):
        if interpreters.has_model(settings, "faster-whisper", model):
            return "faster-whisper", model, f"its model '{model}' is on this machine"
    say(f"Looking for Whisper's model '{FETCHED_MODEL}' (145 MB, once) ...")
    try:
        interpreters.ask(settings, "faster-whisper", "pull", "faster-whisper", FETCHED_MODEL)
    except interpreters.NoAnswer:
        why = "Whisper's weights are not here and cannot be fetched; pocketsphinx brings its own"
        return "pocketsphinx", "en-us", why
    return "faster-whisper", FETCHED_MODEL, f"its model '{FETCHED_MODEL}' could be fetched"


def show(stack: Stack, engine: str, model: str, why: str) -> int:
    """Send the recording as any user would, with the `steno` command, and say what comes next."""
    say(f"Steno serves at {stack.url}. Sending {RECORDING.relative_to(ROOT)} (20 s of a human voice) ...\n")
    command = [sys.executable, "-m", "steno.cli", "transcribe", str(RECORDING), "--format", "vtt"]
    failed = subprocess.call([*command, "--engine", engine, "--model", model, "--server", stack.url])
    if failed:
        return failed
    say(f"\n[bold]Heard by {engine}[/bold], because {why}.")
    if engine == "pocketsphinx":
        say(f"It is small and for trying things out. Real accuracy, on a machine with a network:\n    {BETTER}")
    else:
        say(f"A larger model hears better: {BETTER}")
    say("\nKeep the service up:      .venv/bin/steno serve")
    say(f"Send it your own file:    .venv/bin/steno transcribe FILE --engine {engine}")
    say(f"    or with curl:         curl -F file=@FILE -F engine={engine} http://127.0.0.1:8000/transcribe")
    say("Read and try its API at:  http://127.0.0.1:8000/docs")
    return 0


def main() -> int:
    engine, model, why = choose()
    os.environ.pop("UPLOAD_DIR", None)
    with tempfile.TemporaryDirectory(prefix="steno-demo-") as folder:
        stack = Stack(load_settings(), Path(folder), "127.0.0.1", free_port())
        started = time.monotonic()
        try:
            with running(stack):
                say(f"The stack (Redis, a worker, the API) was ready in {time.monotonic() - started:.1f} s.")
                return show(stack, engine, model, why)
        except ServeError as error:
            say(f"[red]{error}[/red]")
            return 1


if __name__ == "__main__":
    sys.exit(main())
