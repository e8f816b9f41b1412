"""`steno transcribe`: what it does with each file, and how it shows it: bars on a terminal, plain lines elsewhere."""

import json
import os
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from steno import option_flags as flags
from steno.client import Client
from steno.client_errors import Away, ClientError
from steno.terminal import complain, err, fail
from steno.transcript.subtitle_options import BOUNDS, Cues, SubtitleOptionRefused
from steno.transcript.writers import WRITERS, options_for

DEFAULT_SERVER = "http://127.0.0.1:8000"

_SLOW_SECONDS = 2.0
_NAME_WIDTH = 32
_NEVER_DONE = 1.0001  # a task that reached its total would stop its clock


class Show:
    """The progress of one file on the error stream, so that the transcript alone is on standard output."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._told = ("", 0)
        self._stage_began = time.monotonic()
        self._stage = ""
        self._bar: Progress | None = None
        if console.is_terminal:
            short = name if len(name) <= _NAME_WIDTH else f"{name[: _NAME_WIDTH - 4]}…{name[-3:]}"
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=20),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                TextColumn(short, markup=False),
            )
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task("", total=_NEVER_DONE)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def tell(self, stage: str, share: float) -> None:
        """A stage, and the share of it that is done, 0 to 1. Plain lines come with a new stage, and every tenth of a slow one."""
        if stage != self._stage:
            self._stage, self._stage_began = stage, time.monotonic()
        slow = time.monotonic() - self._stage_began > _SLOW_SECONDS
        tenth = int(share * 10) if slow else 0
        if self._bar:
            self._bar.update(self._task, description=f"{stage:<12}", completed=share)
        elif (stage, tenth) != self._told:
            line = f"{self._name}: {stage}" + (f" {int(share * 100)} %" if tenth else "")
            self._console.print(line, highlight=False, soft_wrap=True, markup=False)
            self._told = stage, tenth

    def say(self, sentence: str) -> None:
        """A line of its own, above the bar where there is one."""
        self._console.print(f"{self._name}: {sentence}", highlight=False, soft_wrap=True, markup=False)
        self._told = "", 0


@dataclass(frozen=True)
class Wanted:
    """The format of the transcript, and the options of subtitles; None where not asked for."""

    format: str
    options: dict[str, Any]


def _is_url(recording: str) -> bool:
    return recording.lower().startswith(("http://", "https://"))


def _name(recording: str) -> str:
    """Of a file or a URL, without what a URL may hold behind a `?`."""
    path = re.split("[?#]", recording, maxsplit=1)[0].rstrip("/") if _is_url(recording) else recording
    return Path(path).name


def _submit(client: Client, recording: str, fields: dict[str, str], show: Show) -> str:
    if _is_url(recording):
        show.tell("fetching", 0.0)
        return client.submit_url(recording, fields, os.environ.get("STENO_URL_AUTHORIZATION"))
    path = Path(recording)
    if not path.is_file():
        raise ClientError("There is no such file." if not path.exists() else "It is not a file.")
    size = path.stat().st_size
    show.tell("uploading", 0.0)
    return client.submit(path, fields, lambda sent: show.tell("uploading", sent / size if size else 1.0), show.say)


def transcribe_one(
    client: Client, recording: str, fields: dict[str, str], wanted: Wanted, show: Show
) -> tuple[dict[str, Any], str]:
    """The final status and the transcript's text, of a file or a URL. Raises ClientError if there is none."""
    job_id = _submit(client, recording, fields, show)

    def told(status: dict[str, Any]) -> None:
        show.tell(status["message"] or status["stage"] or status["status"], status["progress"])

    try:
        status = client.wait(job_id, told)
        if status["status"] == "finished":
            text, warnings = client.transcript(job_id, wanted.format, **wanted.options)
            if warnings:
                err.print(
                    f"{_name(recording)}: {warnings}", style="yellow", highlight=False, soft_wrap=True, markup=False
                )
            return status, text
    except (Away, KeyboardInterrupt) as error:
        raise ClientError(
            f"{str(error) or 'Interrupted.'} The job goes on without you; fetch it when it is done: "
            f"curl {client.server}/jobs/{job_id}/transcript.{wanted.format}"
        ) from error
    if status["status"] == "canceled":
        raise ClientError(f"Somebody canceled the job; `steno jobs retry {job_id}` queues it again.")
    raise ClientError(f"{status['error']} (job {job_id}, {status['error_code']})")


def transcribe(
    recordings: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Recordings to transcribe: files, or URLs for the server to fetch, with the Authorization header in "
            "STENO_URL_AUTHORIZATION if they need one.",
        ),
    ],
    engine: flags.Engine = "faster-whisper",
    language: flags.Language = None,
    model: flags.Model = None,
    format: flags.Format = "txt",
    output_dir: flags.OutputDir = None,
    server: Annotated[str, typer.Option(envvar="STENO_SERVER", help="Where Steno runs.")] = DEFAULT_SERVER,
    as_json: flags.AsJson = False,
    task: flags.Task = None,
    prompt: flags.Prompt = None,
    hotwords: flags.Hotwords = None,
    temperature: flags.Temperature = None,
    beam_size: flags.BeamSize = None,
    batch_size: flags.BatchSize = None,
    vad: flags.Vad = None,
    diarize: flags.Diarize = False,
    min_speakers: flags.MinSpeakers = None,
    max_speakers: flags.MaxSpeakers = None,
    no_words: flags.NoWords = False,
    disfluencies: flags.Disfluencies = False,
    suppress_numerals: flags.SuppressNumerals = False,
    channels: flags.Channels = None,
    priority: flags.Priority = None,
    labels: flags.Labels = None,
    reuse: flags.Reuse = False,
    max_line_width: flags.MaxLineWidth = None,
    max_lines: flags.MaxLines = None,
    max_characters_per_second: flags.MaxSpeed = None,
    highlight_words: flags.HighlightWords = False,
    no_speaker_labels: flags.NoSpeakerLabels = False,
    cues: flags.Cues = None,
) -> None:
    """Upload recordings, wait, and print or save their transcripts. Exits with 0 only if every one succeeded."""
    asked = dict(locals())
    wanted = Wanted("txt", {}) if as_json else _wanted(asked)
    targets = _targets([Path(_name(each)) for each in recordings], "json" if as_json else format, output_dir)
    raise typer.Exit(1 if _transcribe_all(server, recordings, targets, _fields(asked), wanted, as_json) else 0)


def _wanted(asked: dict[str, Any]) -> Wanted:
    """How the transcript shall be written. What cannot be is said before anything is uploaded."""
    format, cues = asked["format"], asked["cues"]
    if format not in WRITERS:
        fail(f"There is no format '{format}'; choose one of {', '.join(WRITERS)}.", 2)
    if cues not in (None, *get_args(Cues)):
        fail(f"There are no cues '{cues}'; choose one of {', '.join(get_args(Cues))}.", 2)
    options = {
        "highlight_words": asked["highlight_words"] or None,
        "speaker_labels": False if asked["no_speaker_labels"] else None,
        **{name: asked[name] for name in (*BOUNDS, "cues")},
    }
    try:
        options_for(format, **options)
    except SubtitleOptionRefused as error:
        fail(error, 2)
    return Wanted(format, options)


_SWITCHES = ("diarize", "disfluencies", "suppress_numerals", "reuse")
_TEXTS = (
    "engine", "language", "model", "task", "prompt", "hotwords", "temperature", "beam_size", "batch_size", "vad",
    "min_speakers", "max_speakers", "channels", "priority",
)  # fmt: skip


def _fields(asked: dict[str, Any]) -> dict[str, str]:
    """The form's fields: what was asked for, written as the server reads it."""
    given = {name: asked[name] for name in _TEXTS} | {name: asked[name] or None for name in _SWITCHES}
    given |= {"word_timestamps": False if asked["no_words"] else None, "labels": ",".join(asked["labels"] or ())}
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
        if value not in (None, "")
    }


def _transcribe_all(
    server: str,
    recordings: list[str],
    targets: list[Path | None],
    fields: dict[str, str],
    wanted: Wanted,
    as_json: bool,
) -> int:
    """How many failed; each in a sentence of its own. `as_json` hands over the job's whole status."""
    try:
        client, failed = Client(server), 0
    except ClientError as error:
        fail(error, 2)
    for recording, target in zip(recordings, targets, strict=True):
        try:
            with Show(err, _name(recording)) as show:
                status, text = transcribe_one(client, recording, fields, wanted, show)
            text = json.dumps(status) + "\n" if as_json else text
            _hand_over(_name(recording), text, target, titled=len(recordings) > 1 and not as_json)
        except ClientError as error:
            failed += 1
            complain(f"{_name(recording) if _is_url(recording) else recording}: {error}")
            if isinstance(error.__cause__, KeyboardInterrupt):
                break
    client.close()
    return failed


def _targets(files: list[Path], suffix: str, output_dir: Path | None) -> list[Path | None]:
    """Where each transcript is saved, None to print it. Files that differ in their extension only keep it."""
    if output_dir is None:
        return [None] * len(files)
    stems = Counter(path.stem for path in files)
    names = [f"{path.stem if stems[path.stem] == 1 else path.name}.{suffix}" for path in files]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        fail(f"Several files would be saved as {', '.join(twice)}; transcribe them one folder at a time.", 2)
    return [output_dir / name for name in names]


def _hand_over(name: str, text: str, target: Path | None, *, titled: bool) -> None:
    """Save the text, or print it: under the file's name where there are several."""
    try:
        if target is None:
            sys.stdout.write((f"== {name} ==\n" if titled else "") + text)
            sys.stdout.flush()
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except (OSError, AttributeError) as error:  # a full disk, or a standard output that is closed
        raise ClientError(f"Cannot hand over the transcript: {error}.") from error
    err.print(f"Saved {target}", highlight=False, soft_wrap=True)
