"""The shape of the project: arrows point one way, imports are light, files are small."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from api.models import EngineName
from steno.engines import ENGINES

ROOT = Path(__file__).parent.parent
FORBIDDEN = {"steno": {"api", "worker", "fastapi"}, "api": {"worker"}, "worker": {"api", "fastapi"}}
HEAVY = [
    "torch",
    "whisperx",
    "whisper_timestamped",
    "faster_whisper",
    "ctranslate2",
    "pocketsphinx",
    "av",
    "numpy",
    "worker",
]


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in (ROOT / folder).rglob("*.py")]


def imported(path: Path) -> set[str]:
    """The top-level names that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_arrows_point_one_way(package: str) -> None:
    for path in sources(package):
        if "tests" not in path.parts:
            assert not imported(path) & FORBIDDEN[package], path


def test_rq_is_named_in_jobs_and_worker_only() -> None:
    allowed = {ROOT / "steno" / "jobs", ROOT / "worker"}
    for path in sources("api", "steno"):
        if "tests" not in path.parts and not allowed & set(path.parents):
            assert "rq" not in imported(path), path


@pytest.mark.parametrize("module", ["api.main", "steno.cli", "steno.jobs.submit", "worker.main"])
def test_importing_loads_no_engine(module: str) -> None:
    script = (
        f"import sys, {module}; print([m for m in sys.argv[1:] if m in sys.modules and m != {module!r}.split('.')[0]])"
    )
    run = subprocess.run([sys.executable, "-c", script, *HEAVY], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_importing_the_api_touches_neither_disk_nor_network(tmp_path: Path) -> None:
    environment = {"UPLOAD_DIR": str(tmp_path / "uploads"), "REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}
    subprocess.run([sys.executable, "-c", "import api.main"], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


def test_the_schema_knows_exactly_the_engines_there_are() -> None:
    assert get_args(EngineName) == tuple(ENGINES)


def test_files_and_functions_are_small() -> None:
    for path in sources("api", "steno", "worker", "tests", "benchmarks", "chaos", "scripts"):
        text = path.read_text()
        assert text.count("\n") <= 400, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and path.name != "test_api.py":
                assert (node.end_lineno or 0) - node.lineno < 45, f"{path}: {node.name}"


def test_every_package_says_what_comes_in_and_goes_out() -> None:
    for path in sources("api", "steno", "worker", "benchmarks", "chaos"):
        if path.name == "__init__.py" and "tests" not in path.parts:
            assert ast.get_docstring(ast.parse(path.read_text())), path


def test_no_address_of_a_registry_and_no_path_of_a_machine_is_written_down() -> None:
    for path in (ROOT / "requirements.lock", ROOT / "pyproject.toml", ROOT / "Makefile"):
        assert "://" not in path.read_text(), path
