"""The docs say what the code does."""

import re
from pathlib import Path

import pytest

from api.main import create_app
from conftest import MakeSettings
from scripts.write_docs import pages
from steno.engines import ENGINES
from steno.transcript.writers import WRITERS

ROOT = Path(__file__).parent.parent


def test_the_tables_are_those_of_the_code() -> None:
    for path, text in pages().items():
        assert path.read_text() == text, f"{path.name} is out of date: make docs"


def test_the_readme_names_the_two_commands_every_route_engine_and_format(make_settings: MakeSettings) -> None:
    readme = (ROOT / "README.md").read_text()
    for command in ("make demo", "make test"):
        assert command in readme
    for route in create_app(make_settings()).openapi()["paths"]:
        assert any(f"`{method} {route}`" in readme for method in ("POST", "GET", "PATCH", "DELETE")), route
    for name in (*ENGINES, *WRITERS):
        assert name in readme


@pytest.mark.parametrize(
    "page", ["README.md", "ARCHITECTURE.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_and_named_files_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), target
    for named in re.findall(r"`((?:api|steno|worker|tests|docs|scripts|benchmarks|examples)/[\w./-]*)`", text):
        assert (ROOT / named).exists(), named


def test_every_make_target_named_in_the_docs_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in (ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").glob("*.md")):
        assert set(re.findall(r"`make ([a-z-]+)", page.read_text())) <= targets, page
