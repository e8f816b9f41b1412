"""The container files name what there is: settings, files, extras, commands, volumes. Needs no container engine."""

import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pytest
import typer.main
import yaml  # type: ignore[import-untyped]  # comes with pre-commit and uvicorn[standard]
from uvicorn.importer import import_from_string
from uvicorn.main import main as uvicorn_command

from api.main import app
from deploy.dependencies import ENGINE_EXTRAS, wanted
from steno.cli import app as cli
from steno.config import Settings
from steno.engines import ENGINES

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
PAGE = ROOT / "docs" / "containers.md"
PYPROJECT = (ROOT / "pyproject.toml").read_text()
PROJECT = tomllib.loads(PYPROJECT)
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
BUILT: dict[str, Any] = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
WORKERS = {name: service for name, service in BUILT.items() if name != "api"}
SETTINGS = {str(field.validation_alias): field for field in Settings.model_fields.values()}


class Step(NamedTuple):
    """One instruction of the Dockerfile."""

    stage: str
    word: str
    rest: str


def steps() -> Iterator[Step]:
    lines = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    stage = ""
    for line in lines.replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            stage = rest.split()[-1]
        if word:
            yield Step(stage, word, rest.strip())


STEPS = list(steps())
PARENTS = {step.stage: step.rest.split()[0] for step in STEPS if step.word == "FROM"}


def said(stage: str, word: str) -> list[str]:
    """What a stage says with this instruction, those it is built upon included, the first of them first."""
    before = said(PARENTS[stage], word) if stage in PARENTS else []
    return before + [step.rest for step in STEPS if step.stage == stage and step.word == word]


def sources(stage: str) -> set[str]:
    """What this stage alone copies out of the checkout."""
    copies = [step.rest.split() for step in STEPS if step[:2] == (stage, "COPY")]
    return {source for copy in copies if not copy[0].startswith("--from=") for source in copy[:-1]}


def environment(stage: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for line in said(stage, "ENV") for pair in line.split())


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """The named volumes of a service, by where they are mounted."""
    return {place: name for name, place in (volume.split(":") for volume in service["volumes"])}


def volume_over(path: str, service: dict[str, Any]) -> str | None:
    folders = [PurePosixPath(path), *PurePosixPath(path).parents]
    return next((name for place, name in mounts(service).items() if PurePosixPath(place) in folders), None)


@pytest.mark.parametrize("path", [*sorted(DEPLOY.glob("*")), PAGE], ids=lambda path: path.name)
def test_every_setting_named_is_one(path: Path) -> None:
    if path.is_file():
        assert set(re.findall(r"\bSTENO_[A-Z_]+\b", path.read_text())) <= SETTINGS.keys()


def test_the_settings_proposed_are_valid_and_leave_the_volumes_alone() -> None:
    proposed = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", (DEPLOY / "settings.env").read_text(), re.MULTILINE))
    ours = {name: value for name, value in proposed.items() if not name.startswith("HF_")}
    assert ours.keys() <= SETTINGS.keys()
    assert not ours.keys() & {"UPLOAD_DIR", "REDIS_HOST", "REDIS_PORT"}
    Settings(**ours)


def test_what_is_copied_exists_and_is_let_into_the_build() -> None:
    let_in = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = {source for stage in PARENTS for source in sources(stage)}
    assert copied == let_in
    for source in copied:
        assert (ROOT / source).exists(), source


def test_the_wheel_is_built_from_everything_that_it_packs() -> None:
    packages = {name.partition(".")[0] for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    project = PROJECT["project"]
    assert sources("wheel") == packages | {"pyproject.toml", project["readme"], *project["license-files"]}


def test_every_stage_and_target_named_exists() -> None:
    named = {service["build"]["target"] for service in BUILT.values()}
    named |= {name for step in STEPS for name in re.findall(r"from=(\w+)", step.rest)}
    assert named <= PARENTS.keys()
    assert set(PARENTS.values()) - PARENTS.keys() == {"python:3.11-slim"}, (
        "the lock files were made with another Python"
    )
    for service in BUILT.values():
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_engines_to_choose_from_are_those_with_an_extra() -> None:
    extras = {extra for engine in ENGINES.values() for extra in re.findall(r"steno\[(\w+)\]", engine.install)}
    assert set(ENGINE_EXTRAS) == extras
    assert extras <= PROJECT["project"]["optional-dependencies"].keys()


@pytest.mark.parametrize("engines", ["", "whisperx", "timestamped", "whisperx,timestamped"])
def test_dependencies_are_those_asked_for(engines: str) -> None:
    constraints, *lines = wanted(PYPROJECT, engines)
    assert (ROOT / constraints.removeprefix("-c ")).is_file()
    assert set(PROJECT["project"]["dependencies"]) <= set(lines)
    for extra, package in (("whisperx", "whisperx=="), ("timestamped", "whisper-timestamped==")):
        assert any(line.startswith(package) for line in lines) == (extra in engines.split(","))


@pytest.mark.parametrize("engines", ["faster-whisper", "whisperx, timestamped", "dev", ","])
def test_other_engines_are_refused(engines: str) -> None:
    with pytest.raises(ValueError, match="ENGINES is empty or names some of whisperx,timestamped"):
        wanted(PYPROJECT, engines)


def test_a_refusal_ends_the_build_with_a_sentence() -> None:
    command = [sys.executable, str(DEPLOY / "dependencies.py"), "dev"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stdout == ""
    assert "Traceback" not in run.stderr


def test_agpl_is_only_in_an_image_that_asks_for_it() -> None:
    defaults = [step.rest for step in STEPS if step.word == "ARG"]
    defaults += [service["build"].get("args", {}).get("ENGINES", "") for service in BUILT.values()]
    assert 'ENGINES=""' in defaults
    assert not any("timestamped" in default for default in defaults)


def test_cuda_libraries_are_locked_and_where_the_loader_looks() -> None:
    install = next(step.rest for step in STEPS if step[:2] == ("gpu-libraries", "RUN"))
    locked = (ROOT / "requirements-engines.lock").read_text()
    parts = re.findall(r"nvidia-(\w+)-cu12", install)
    for part in parts:
        assert f"\nnvidia-{part}-cu12==" in locked
    paths = environment("worker-gpu")["LD_LIBRARY_PATH"].split(":")
    assert paths == [f"/opt/nvidia/{part}/lib" for part in parts]


@pytest.mark.parametrize("name", BUILT)
def test_containers_start_commands_that_exist_and_as_nobody_special(name: str) -> None:
    target = BUILT[name]["build"]["target"]
    program, *arguments = json.loads(said(target, "CMD")[-1])
    if program == "uvicorn":
        context = uvicorn_command.make_context("uvicorn", arguments)
        assert import_from_string(context.params["app"]) is app
        port = context.params["port"]
        assert said(target, "EXPOSE") == [str(port)]
        assert BUILT[name]["ports"][0].endswith(f":{port}")
    else:
        assert program in PROJECT["project"]["scripts"]
        assert (program, *arguments) == ("steno", "worker")
        assert "worker" in typer.main.get_group(cli).commands
    assert said(target, "USER") == ["1000:1000"]
    assert said(target, "STOPSIGNAL") == ["SIGTERM"]


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_tells_a_healthy_api_from_another(status: int, code: int) -> None:
    class Stub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path in app.openapi()["paths"] else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    [check] = said("api", "HEALTHCHECK")
    python, flag, code_text = json.loads(check[check.index("[") :])
    assert python == "python"
    assert " 8000," in code_text
    with HTTPServer(("127.0.0.1", 0), Stub) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        probe = code_text.replace(" 8000,", f" {server.server_port},")
        assert subprocess.run([sys.executable, flag, probe], check=False).returncode == code
        thread.join()


def test_no_library_reports_to_its_maker() -> None:
    for service in BUILT.values():
        told = environment(service["build"]["target"])
        assert (told["PYANNOTE_METRICS_ENABLED"], told["ORT_DISABLE_TELEMETRY"]) == ("0", "1")


def test_services_share_the_recordings_and_workers_the_models() -> None:
    recordings = {volume_over(environment(s["build"]["target"])["UPLOAD_DIR"], s) for s in BUILT.values()}
    assert len(recordings) == 1
    caches = ("HOME", "HF_HOME", "XDG_CACHE_HOME", "TORCH_HOME")
    models = {volume_over(environment(s["build"]["target"])[name], s) for s in WORKERS.values() for name in caches}
    assert len(models) == 1
    used = {name for service in COMPOSE["services"].values() for name in mounts(service).values()}
    assert used == COMPOSE["volumes"].keys()
    assert None not in recordings | models


def test_the_queue_survives_a_restart() -> None:
    for service in BUILT.values():
        queue = COMPOSE["services"][environment(service["build"]["target"])["REDIS_HOST"]]
        assert mounts(queue)["/data"]
        assert queue["command"][:3] == ["valkey-server", "--appendonly", "yes"]
        assert "ports" not in queue, "it has no password"


def test_workers_have_time_to_give_their_job_back() -> None:
    for service in WORKERS.values():
        assert int(service["stop_grace_period"].removesuffix("s")) > SETTINGS["STENO_SHUTDOWN_GRACE"].default + 5


def test_the_page_names_services_and_commands_that_exist() -> None:
    page = PAGE.read_text()
    services = re.findall(r"--scale ([\w-]+)=|run --rm ([\w-]+)|logs -f ([\w-]+)|^ +build ([\w-]+)", page)
    named = {name for found in services for name in found if name}
    assert named
    assert named <= COMPOSE["services"].keys()
    commands = typer.main.get_group(cli).commands
    for service, command, sub in re.findall(r"run --rm ([\w-]+) steno (\w+)(?: (pull|check|list))?", page):
        assert service in WORKERS
        assert command in commands
        assert not sub or sub in getattr(commands[command], "commands", {})
