"""The `steno` command, run as a user runs it."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import DATA
from steno import __version__, doctor
from steno.config import Settings
from steno.redis_server import free_port
from steno.serve import Stack
from tests.receivers import receiving, says


def steno(*arguments: str | Path, **more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "steno.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **more}, timeout=90)


def test_it_prints_the_transcript_alone_on_standard_output(stack: Stack, truth: dict[str, Any]) -> None:
    run = steno("transcribe", DATA / "exact-fr-4.mp3", "--server", stack.url)
    assert run.returncode == 0, run.stderr
    assert re.findall(r"\w+", run.stdout.lower()) == [word["word"] for word in truth["exact-fr-4.mp3"]["words"]]
    assert run.stderr.splitlines()[0] == "exact-fr-4.mp3: uploading"
    assert run.stderr.splitlines()[-1] == "exact-fr-4.mp3: finished"


@pytest.mark.parametrize(
    ("format", "sign"),
    [("srt", "-->"), ("vtt", "WEBVTT"), ("tsv", "start\tend\ttext"), ("json", '"words"'), ("md", "[00:00:00] ")],
)
def test_it_writes_every_format(stack: Stack, format: str, sign: str) -> None:
    run = steno("transcribe", DATA / "exact-fr-5.flac", "--format", format, "--server", stack.url)
    assert run.returncode == 0
    assert sign in run.stdout


def test_a_url_is_fetched_by_the_server(stack: Stack, truth: dict[str, Any], tmp_path: Path) -> None:
    body, secret = (DATA / "exact-fr-4.mp3").read_bytes(), "Bearer of secrets"
    with receiving(says(200, body=body)) as host, receiving(says(404)) as gone:
        urls = [host.at("/exact-fr-4.mp3?token=a"), gone.at("/talk.mp3?token=a")]
        save = ("--output-dir", tmp_path, "--server", stack.url)
        run = steno("transcribe", *urls, *save, STENO_URL_AUTHORIZATION=secret)
    heard = (tmp_path / "exact-fr-4.txt").read_text().lower()
    assert re.findall(r"\w+", heard) == [word["word"] for word in truth["exact-fr-4.mp3"]["words"]]
    assert run.stderr.splitlines()[0] == "exact-fr-4.mp3: fetching"
    assert "talk.mp3: 127.0.0.1 answered 404 Not Found" in run.stderr
    assert (run.returncode, host.heard[0].headers["authorization"]) == (1, secret)
    assert "token" not in run.stderr


def test_subtitles_are_made_as_asked(stack: Stack) -> None:
    ask = ("transcribe", DATA / "exact-en-1.wav", "--format", "srt", "--server", stack.url)
    usual = steno(*ask).stdout.splitlines()
    assert usual[2] == "Nine black six bird open."
    run = steno(
        *ask, "--max-line-width", "12", "--max-lines", "1", "--max-characters-per-second", "5", "--highlight-words"
    )
    lines = [line for line in run.stdout.splitlines() if line and "-->" not in line and not line.isdigit()]
    assert max(len(re.sub("</?u>", "", line)) for line in lines) <= 12
    assert "<u>Nine</u> black" in lines
    assert "exact-en-1.wav: Faster than 5 characters a second: " in run.stderr


def test_it_saves_several_files_and_fails_if_one_fails(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF" + bytes(100))
    files = [DATA / "exact-fr-5.flac", tmp_path / "bad.wav", DATA / "exact-de-6.wav", tmp_path / "none.wav"]
    run = steno("transcribe", *files, "--format", "srt", "--output-dir", tmp_path / "out", "--server", stack.url)
    assert run.returncode == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["exact-de-6.srt", "exact-fr-5.srt"]
    assert "no audio that can be decoded" in run.stderr
    assert "There is no such file" in run.stderr
    assert "Traceback" not in run.stderr


def test_transcripts_are_never_saved_over_one_another(stack: Stack, tmp_path: Path) -> None:
    for name in ("a/talk.flac", "a/talk.wav", "b/talk.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((DATA / "exact-fr-5.flac").read_bytes())
    save = ("--output-dir", tmp_path / "out", "--server", stack.url)
    run = steno("transcribe", tmp_path / "a/talk.wav", tmp_path / "b/talk.wav", *save)
    assert run.returncode == 2
    assert "Several files would be saved as talk.wav.txt" in run.stderr
    assert steno("transcribe", tmp_path / "a/talk.flac", tmp_path / "a/talk.wav", *save).returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["talk.flac.txt", "talk.wav.txt"]


def test_it_waits_through_an_outage_of_the_api(stack: Stack) -> None:
    human = DATA.parent.parent / "examples" / "two-cities-20s.flac"
    command = [sys.executable, "-m", "steno.cli", "transcribe", str(human), "--engine", "pocketsphinx"]
    with subprocess.Popen(
        [*command, "--server", stack.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr
        assert any("decoding" in line or "transcribing" in line for line in run.stderr)
        api = stack.children[-1].process
        assert api
        api.kill()
        api.wait()
        stack.revive()
        assert "best of times" in run.communicate(timeout=60)[0]
    assert run.returncode == 0


def test_it_prints_several_under_their_names(stack: Stack) -> None:
    run = steno("transcribe", DATA / "exact-fr-5.flac", DATA / "exact-de-6.wav", "--server", stack.url)
    assert re.findall(r"^== (.*) ==$", run.stdout, re.MULTILINE) == ["exact-fr-5.flac", "exact-de-6.wav"]


def test_json_gives_the_whole_status(stack: Stack) -> None:
    run = steno("transcribe", DATA / "exact-fr-5.flac", "--json", "--language", "fr", "--server", stack.url)
    status = json.loads(run.stdout)
    assert status["status"] == "finished"
    assert status["result"]["segments"][0]["words"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--engine", "whisperx"), "pip install 'steno[whisperx]'"),
        (("--engine", "whisperz"), "engine"),
        (("--model", "/etc/passwd"), "has no model"),
        (("--language", "klingon"), "klingon"),
        (("--diarize",), "cannot honour diarize=true; whisperx can"),
        (("--batch-size", "4"), "cannot honour batch_size=4"),
        (("--task", "sing"), "task"),
        (("--format", "docx"), "There is no format"),
        (("--format", "srt", "--max-lines", "11"), "max-lines"),
        (("--max-line-width", "40"), "Format 'txt' does not take max_line_width"),
        (("--format", "srt", "--cues", "words"), "There are no cues 'words'"),
        (("--format", "vtt", "--cues", "segments", "--max-lines", "1"), "With cues=segments, max_lines would change"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(stack: Stack, arguments: tuple[str, ...], said: str) -> None:
    run = steno("transcribe", DATA / "exact-fr-5.flac", "--server", stack.url, *arguments)
    assert run.returncode != 0
    assert said in run.stderr
    assert run.stdout == ""
    assert "Traceback" not in run.stderr


def test_the_options_of_an_engine_are_flags(stack: Stack) -> None:
    options = (
        "--task",
        "transcribe",
        "--prompt",
        "Quatre",
        "--beam-size",
        "2",
        "--no-vad",
        "--suppress-numerals",
        "--no-words",
    )
    run = steno("transcribe", DATA / "exact-fr-4.mp3", "--json", *options, "--server", stack.url)
    result = json.loads(run.stdout)["result"]
    assert result["task"] == "transcribe"
    assert result["segments"]
    assert all(segment["words"] == [] for segment in result["segments"])


def test_models_are_listed_with_where_they_are(model_dir: Path) -> None:
    models = {"STENO_LOCAL_MODELS": f"faster-whisper:mini={model_dir},faster-whisper:gone=/nowhere", "COLUMNS": "300"}
    run = steno("models", "--json", **models)
    rows = {(row["engine"], row["model"]): row for row in map(json.loads, run.stdout.splitlines())}
    assert rows["faster-whisper", "mini"]["path"] == str(model_dir)
    assert rows["faster-whisper", "mini"]["size"] > 1_000_000
    assert "/nowhere" in rows["faster-whisper", "gone"]["problem"]
    assert rows["pocketsphinx", "en-us"]["problem"] is None
    assert "large-v3" in {model for _, model in rows}
    table = steno("models", **models)
    assert str(model_dir) in table.stdout
    assert "could be fetched" in table.stdout
    assert "large-v3" not in table.stdout
    assert "large-v3" in steno("models", "--all", **models).stdout


def test_a_model_is_checked_by_loading_it(model_dir: Path, tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    models = {"STENO_LOCAL_MODELS": f"faster-whisper:mini={model_dir},faster-whisper:broken={tmp_path}"}
    run = steno("models", "check", "faster-whisper", "mini", **models)
    assert run.returncode == 0, run.stderr
    assert "faster-whisper mini works" in run.stdout
    run = steno("models", "check", "faster-whisper", "broken", **models)
    assert run.returncode == 1
    assert "could not be loaded" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (("pull", "faster-whisper", "tiny"), "steno models pull faster-whisper tiny", 1),
        (("pull", "whisperx", "tiny"), "pip install 'steno[whisperx]'", 1),
        (("pull", "faster-whisper", "gigantic"), "has no model 'gigantic'", 2),
        (("check", "whisperz", "tiny"), "no engine 'whisperz'", 2),
        (("pull", "faster-whisper", "tiny", "--language", "de"), "Only whisperx", 2),
    ],
)
def test_what_cannot_be_done_about_a_model_is_said(arguments: tuple[str, ...], said: str, code: int) -> None:
    run = steno("models", *arguments, HF_HUB_OFFLINE="1")
    assert run.returncode == code
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_no_server_is_said_with_what_to_do() -> None:
    run = steno("transcribe", DATA / "exact-fr-5.flac", "--server", f"http://127.0.0.1:{free_port()}")
    assert run.returncode == 1
    assert "steno serve" in run.stderr


def test_the_doctor_finds_this_machine_well(model_dir: Path, tmp_path: Path) -> None:
    models = {"STENO_LOCAL_MODELS": f"faster-whisper:mini={model_dir}", "STENO_DEFAULT_MODEL": "mini"}
    run = steno("doctor", "--json", **models)
    findings = {finding["subject"]: finding for finding in json.loads(run.stdout)["findings"]}
    assert run.returncode == 0
    assert {name: findings[name]["state"] for name in ("redis", "storage", "faster-whisper", "pocketsphinx")} == {
        "redis": "ok", "storage": "ok", "faster-whisper": "ok", "pocketsphinx": "ok",
    }  # fmt: skip
    assert findings["whisperx"]["state"] == "note"
    assert "AGPL-3.0" in findings["timestamped"]["detail"]
    assert findings["gpu"]["state"] == "ok"
    assert findings["models"]["state"] in ("ok", "note")
    assert "faster-whisper" in steno("doctor", **models).stdout


def test_the_doctor_names_what_is_broken_and_what_to_do() -> None:
    run = steno("doctor", "--json", REDIS_PORT=str(free_port()))
    redis = next(f for f in json.loads(run.stdout)["findings"] if f["subject"] == "redis")
    assert run.returncode == 1
    assert redis["state"] == "fail"
    assert "unset REDIS_HOST" in redis["advice"]


def test_the_doctor_shows_no_password_and_finds_the_disk_too_full_where_ready_does() -> None:
    run = steno("doctor", "--json", STENO_REDIS_URL="redis://:sesame@127.0.0.1:1/", STENO_MIN_FREE_MB=str(1 << 40))
    found = {finding["subject"]: finding for finding in json.loads(run.stdout)["findings"]}
    assert "redis://:***@127.0.0.1:1/ does not answer" in found["redis"]["detail"]
    assert "sesame" not in run.stdout + run.stderr
    assert (found["storage"]["state"], "STENO_MIN_FREE_MB" in found["storage"]["advice"]) == ("fail", True)


def test_the_doctor_says_what_may_not_be_looked_at(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def exists(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", exists)
    found = {finding.subject: finding for finding in (doctor._folder(settings), doctor._hub())}
    assert (found["storage"].state, found["models"].state) == ("fail", "note")
    for finding in found.values():
        assert "Permission denied" in finding.detail
        assert "run as the user that Steno runs as" in finding.advice


def test_the_doctor_names_a_setting_spelt_wrongly() -> None:
    run = steno("doctor", "--json", STENO_RETENTION_DAY="1", STENO_SERVER="http://127.0.0.1:8000")
    notes = [f["detail"] for f in json.loads(run.stdout)["findings"] if f["subject"] == "settings"]
    assert notes == ["STENO_RETENTION_DAY is no setting and changes nothing; did you mean 'STENO_RETENTION_DAYS'?"]


def test_version_and_help() -> None:
    assert steno("--version").stdout.strip() == f"steno {__version__}"
    said = steno("--help").stdout
    for command in ("serve", "worker", "api", "transcribe", "models", "doctor"):
        assert command in said


def test_jobs_are_listed_shown_and_deleted(stack: Stack, tmp_path: Path) -> None:
    on = ("--server", stack.url)
    status = json.loads(
        steno("transcribe", DATA / "exact-fr-5.flac", "--json", "--label", "mine", "--priority", "high", *on).stdout
    )
    job_id = status["job_id"]
    shown = steno("jobs", "list", "--label", "mine", *on)
    assert (shown.returncode, job_id in shown.stdout, "exact-fr-5.flac" in shown.stdout) == (0, True, True)
    assert json.loads(steno("jobs", "show", job_id, *on).stdout)["priority"] == "high"
    refused = steno("jobs", "cancel", job_id, *on)
    assert (refused.returncode, "nothing to cancel" in refused.stderr) == (1, True)
    assert steno("jobs", "retry", *on).returncode == 2
    again = steno("transcribe", DATA / "exact-fr-5.flac", "--json", "--reuse", *on)
    assert json.loads(again.stdout)["reused_from"] == job_id
    assert steno("jobs", "delete", job_id, *on).stdout == f"{job_id} deleted\n"
    assert steno("jobs", "list", "--label", "mine", *on).stdout == "No such jobs.\n"
    assert steno("jobs", "show", job_id, *on).returncode == 1


def test_a_name_that_would_steer_the_terminal_is_shown_without_that(stack: Stack) -> None:
    name = "\x1b[2J\x9b31mmine\ntwo.flac"
    form = {"engine": "faster-whisper", "labels": "steering"}
    body = (DATA / "exact-fr-5.flac").read_bytes()
    sent = httpx.post(f"{stack.url}/transcribe", data=form, files={"file": (name, body)}, timeout=60)
    for command in (("list", "--label", "steering"), ("show", sent.json()["job_id"])):
        shown = steno("jobs", *command, "--server", stack.url).stdout
        assert "mine" in shown
        assert not set(shown) & {"\x1b", "\x9b"}


def test_a_failed_job_is_in_the_list_with_its_reason_and_can_be_retried(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF" + bytes(100))
    on = ("--server", stack.url)
    assert steno("transcribe", tmp_path / "bad.wav", *on).returncode == 1
    assert "no audio that can be decoded" in " ".join(steno("jobs", "list", "--status", "failed", *on).stdout.split())
    assert "queued again" in steno("jobs", "retry", "--failed", *on).stdout
