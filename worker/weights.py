"""Where a model's weights are: registered by the operator, in a hub's cache on this machine, or fetched into it."""

import ast
import contextlib
import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from steno.config import Settings
from steno.jobs.errors import EngineFailed, ModelUnavailable, kind_of

_CT2_FILES: Final = ("model.bin", "config.json", "tokenizer.json")
"""Without tokenizer.json faster-whisper asks a hub for it, for half a minute; so say at once that the folder lacks it."""
_FETCHED_FILES: Final = ("model.bin", "config.json")
"""Releases of the hub's library before 1.0 take a folder that was fetched half for the whole."""
_PORTS: Final = {"https": 443, "socks4": 1080, "socks5": 1080, "socks5h": 1080}
_ANSWER_SECONDS: Final = 0.7
"""How long a hub's machine may take to accept a connection before this counts as a machine without a network."""


@contextlib.contextmanager
def loading(model: str) -> Iterator[None]:
    """What a library raises while it loads the model, as the JobError that it is: ModelUnavailable, or what may pass on a GPU."""
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        kind = kind_of(error) if isinstance(error, RuntimeError) else EngineFailed
        raise (ModelUnavailable if kind is EngineFailed else kind)(
            f"Model '{model}' could not be loaded: {error}."
        ) from error


def ctranslate2_folder(engine: str, model: str, settings: Settings, *, fetch: bool) -> Path:
    """The CTranslate2 folder of a Whisper model; with `fetch`, brought from its hub if need be. Raises ModelUnavailable."""
    registered = settings.local_models_of(engine).get(model)
    if registered is not None:
        if missing := [name for name in _CT2_FILES if not (registered / name).is_file()]:
            raise ModelUnavailable(
                f"Model '{model}' is registered at {registered}, but {', '.join(missing)} is not there; "
                "correct STENO_LOCAL_MODELS or copy the whole CTranslate2 folder."
            )
        return registered
    from faster_whisper import download_model

    cause: Exception | None = None
    try:
        here = Path(download_model(model, local_files_only=True))
        if all((here / name).is_file() for name in _FETCHED_FILES):
            return here
    except Exception as error:  # noqa: BLE001 - each release of the hub's library has errors of its own
        cause = error
    _require_fetch(engine, model, hub_address(), cause, fetch=fetch)
    try:
        return Path(download_model(model))
    except Exception as error:
        raise unavailable(engine, model, str(error)) from error


def openai_file(engine: str, model: str, settings: Settings, *, fetch: bool) -> Path:
    """The .pt file of an openai-whisper model; with `fetch`, downloaded if need be. Raises ModelUnavailable."""
    registered = settings.local_models_of(engine).get(model)
    if registered is not None:
        if not registered.is_file():
            raise ModelUnavailable(
                f"Model '{model}' is registered at {registered}, but no such file is there; correct STENO_LOCAL_MODELS."
            )
        return registered
    address = _openai_addresses()[model]
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "whisper"
    cached = folder / Path(urlsplit(address).path).name
    if cached.is_file():
        return cached
    _require_fetch(engine, model, address, None, fetch=fetch)
    import whisper

    try:
        whisper._download(address, str(folder), False)  # the library's own, which checks the file's sum
    except Exception as error:
        raise unavailable(engine, model, str(error)) from error
    return cached


def unavailable(engine: str, model: str, why: str) -> ModelUnavailable:
    """The error of a model that is not here and cannot be had, with the command that would fix it."""
    return ModelUnavailable(
        f"Model '{model}' is not on this machine and could not be fetched ({why.splitlines()[0] if why else 'no reason given'}). "
        f"Run `steno models pull {engine} {model}` where this worker runs once it has a network, or register a local copy "
        "with STENO_LOCAL_MODELS."
    )


def hub_address() -> str:
    """Where the models' hub is: HF_ENDPOINT, or its usual place."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def is_reachable(address: str) -> bool:
    """Whether the machine behind a URL, or the proxy that leads there, accepts a connection within a moment."""
    way = urlsplit(_proxy(address) or address)
    found: list[bool] = []

    def knock() -> None:
        try:
            door = way.hostname or "", way.port or _PORTS.get(way.scheme, 80)
            socket.create_connection(door, _ANSWER_SECONDS).close()
            found.append(True)
        except OSError:
            pass
        except ValueError:  # no number for a port: what that means is for the library to say
            found.append(True)

    thread = threading.Thread(target=knock, daemon=True)  # looking up a name can take minutes and cannot be hurried
    thread.start()
    thread.join(_ANSWER_SECONDS)
    return bool(found)


def _proxy(address: str) -> str | None:
    """The proxy through which the libraries would go there: by its own variable or all_proxy, with or without a scheme."""
    parts, proxies = urlsplit(address), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.hostname or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def version(path: Path) -> str:
    """What the weights are, exactly: the hub's commit, or else the first 16 digits of their SHA-256 (`sha256sum`)."""
    if path.parent.name == "snapshots":
        return path.name
    file = path if path.is_file() else path / "model.bin"
    with file.open("rb") as weights:
        return f"sha256:{hashlib.file_digest(weights, 'sha256').hexdigest()[:16]}"


def size(path: Path) -> int:
    """Bytes of the file or folder."""
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


def _require_fetch(engine: str, model: str, address: str, cause: Exception | None, *, fetch: bool) -> None:
    """Raise ModelUnavailable at once where fetching is not wanted or cannot work: the libraries try for half a minute."""
    from huggingface_hub import constants

    if not fetch:
        raise ModelUnavailable(f"Model '{model}' is not on this machine.") from cause
    if constants.HF_HUB_OFFLINE:
        raise unavailable(engine, model, "HF_HUB_OFFLINE is set") from cause
    if not is_reachable(address):
        raise unavailable(engine, model, f"no network: {urlsplit(address).hostname} does not answer") from cause


@cache
def _openai_addresses() -> dict[str, str]:
    """openai-whisper's table of models, read from its source: importing the library takes seconds, and most of them torch's."""
    spec = find_spec("whisper")
    source = Path(spec.origin).read_text() if spec and spec.origin else ""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_MODELS":
            table: dict[str, str] = ast.literal_eval(node.value)
            return table
    raise ModelUnavailable("This version of openai-whisper has no table of models; register a local .pt file.")
