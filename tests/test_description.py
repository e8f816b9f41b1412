"""Schemathesis, which no one here wrote, holds the whole service to its own description: all of its checks, no 5xx."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from conftest import DATA
from steno.serve import Stack
from tests.stacks import running_stack
from tests.test_end_to_end import finished, upload

ROOT = Path(__file__).parent.parent
CONFIG = """
request-timeout = 60

# Of what is refused here, a JSON schema cannot say it: an option that the engine has not, a file that is no audio.
[[operations]]
include-name = [
    "POST /transcribe", "POST /v1/audio/transcriptions", "POST /v1/audio/translations", "POST /asr", "POST /detect-language",
]
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "403", "404", "409", "422"]

# Options of subtitles, for a format that is none.
[[operations]]
include-path-regex = "/transcript"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "406", "409", "422"]

# tus: 412 without its version, 413, and metadata in base64, of which a schema cannot say what is in it.
[[operations]]
include-path-regex = "^/uploads"
checks.missing_required_header.expected-statuses = ["400", "404", "412", "415", "422"]
checks.negative_data_rejection.expected-statuses = ["400", "404", "405", "409", "410", "412", "413", "415", "422", "423"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "403", "404", "409", "410", "413", "415", "422", "423"]

[parameters]
"path.job_id" = {{ dictionary = "jobs", probability = 0.7 }}
"path.id" = {{ dictionary = "models", probability = 0.7 }}
"path.format" = {{ dictionary = "formats", probability = 0.7 }}
"body.engine" = {{ dictionary = "engines", probability = 0.7 }}
"body.model" = {{ dictionary = "models", probability = 0.7 }}

[dictionaries]
jobs.values = {jobs}
models.values = ["tiny"]
formats.values = ["srt", "json", "md"]
engines.values = ["faster-whisper"]
"""
"""The ids of jobs and the names of models are this service's own; schemathesis cannot guess them."""


@pytest.fixture(scope="module")
def small_stack(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service of its own, since schemathesis deletes what it finds; streams and held requests are short."""
    environment = {
        "STENO_LOCAL_MODELS": f"faster-whisper:tiny={model_dir}",
        "STENO_MODELS": "tiny",  # every model that it learns of is on this machine
        "STENO_DEFAULT_MODEL": "tiny",
        "STENO_EVENTS_LIFE": "1",
    }
    with running_stack(tmp_path_factory.mktemp("described"), environment) as made:
        yield made


def jobs_to_steer(url: str) -> list[str]:
    """Finished ones, and one that failed."""
    with httpx.Client(base_url=url, timeout=60) as http:
        jobs = [upload(http, DATA / "en-3.mp3") for _ in range(4)]
        noise = {"file": ("noise.mp3", b"no sound at all")}
        jobs.append(str(http.post("/transcribe", files=noise, data={"engine": "pocketsphinx"}).json()["job_id"]))
        assert {finished(http, job_id)["status"] for job_id in jobs} == {"finished", "failed"}
        return jobs


@pytest.mark.timeout(900)
def test_every_answer_is_as_described(small_stack: Stack, tmp_path: Path) -> None:
    jobs = jobs_to_steer(small_stack.url)
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.format(jobs=jobs))
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run"),
        *(f"{small_stack.url}/openapi.json", "--checks", "all", "--max-examples", "8", "--generation-deterministic"),
        *("--no-color", "--continue-on-failure"),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.description_hooks", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    listed = httpx.get(f"{small_stack.url}/jobs", params={"limit": 200}, timeout=60).json()["jobs"]
    assert {job["job_id"] for job in listed} - set(jobs)  # some of what it sent was taken
