"""The `steno` command."""

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from steno import __version__
from steno.client import Client, ClientError
from steno.config import Settings, SettingsError, load_settings
from steno.doctor import examine
from steno.redis_server import RedisServerError
from steno.serve import ServeError, Stack, running
from steno.transcribe import Show, transcribe_file
from steno.transcript.writers import WRITERS

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
_out = Console()
_err = Console(stderr=True)

DEFAULT_SERVER = "http://127.0.0.1:8000"


def _fail(message: object, code: int = 1) -> NoReturn:
    _err.print(str(message), style="red", highlight=False, soft_wrap=True, markup=False)
    raise typer.Exit(code)


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        _fail(error, 2)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"steno {__version__}")
        raise typer.Exit


@app.callback()
def steno(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Self-hosted transcription: upload a recording, get a job id at once, fetch the transcript with a time on every word."""


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    data_dir: Annotated[Path, typer.Option(help="Folder for recordings, transcripts and the queue.")] = Path(
        "steno-data"
    ),
    workers: Annotated[int, typer.Option(min=1, help="Worker processes; each keeps its own models in memory.")] = 1,
) -> None:
    """Run everything on this machine: Redis, workers and the API. Ctrl-C stops it all."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stack = Stack(_settings(), data_dir, host, port, workers)
    try:
        with running(stack):
            _announce(stack)
            stack.tend()
    except KeyboardInterrupt:
        _err.print("Steno stopped.", style="dim")
    except (ServeError, RedisServerError) as error:
        _fail(error)


def _announce(stack: Stack) -> None:
    _out.print(f"Steno is ready at [bold]{stack.url}[/bold]", soft_wrap=True)
    _out.print(f"  API docs   {stack.url}/docs", soft_wrap=True)
    _out.print(f"  Engines    {', '.join(stack.engines)}", soft_wrap=True)
    _out.print(f"  Data       {stack.data_dir.absolute()}", soft_wrap=True, highlight=False)
    example = f"steno transcribe FILE --engine {stack.engines[0]} --server {stack.url}"
    _out.print(f"  Try        {example}", soft_wrap=True, highlight=False)
    _out.print("  Stop       Ctrl-C")


@app.command()
def worker() -> None:
    """Run one worker for the Redis and the folder that the settings name."""
    os.execv(sys.executable, [sys.executable, "-m", "worker.main"])


@app.command()
def api(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    processes: Annotated[int, typer.Option(min=1, help="API processes that share the port.")] = 1,
) -> None:
    """Run the API for the Redis and the folder that the settings name."""
    listen = ["--host", host, "--port", str(port), "--workers", str(processes)]
    os.execv(sys.executable, [sys.executable, "-m", "uvicorn", "api.main:app", *listen])


@app.command()
def transcribe(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Recordings to transcribe.")],
    engine: Annotated[str, typer.Option(envvar="STENO_ENGINE", help="Engine that listens.")] = "faster-whisper",
    language: Annotated[str | None, typer.Option(help="Language code or name; detected if not given.")] = None,
    model: Annotated[str | None, typer.Option(help="One of the engine's models, by name.")] = None,
    format: Annotated[str, typer.Option(help=f"One of {', '.join(WRITERS)}.")] = "txt",
    output_dir: Annotated[
        Path | None, typer.Option(help="Save as NAME.FORMAT here, over what is there, instead of printing.")
    ] = None,
    server: Annotated[str, typer.Option(envvar="STENO_SERVER", help="Where Steno runs.")] = DEFAULT_SERVER,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the jobs' full status as one JSON object a line.")
    ] = False,
) -> None:
    """Upload recordings, wait, and print or save their transcripts. Exits with 0 only if every one succeeded."""
    if format not in WRITERS:
        _fail(f"There is no format '{format}'; choose one of {', '.join(WRITERS)}.", 2)
    fields = {"engine": engine} | ({"language": language} if language else {}) | ({"model": model} if model else {})
    suffix = "json" if as_json else format
    targets = _targets(files, suffix, output_dir)
    try:
        client, failed = Client(server), 0
    except ClientError as error:
        _fail(error, 2)
    for path, target in zip(files, targets, strict=True):
        try:
            with Show(_err, path.name) as show:
                status, text = transcribe_file(client, path, fields, format, show)
            text = json.dumps(status) + "\n" if as_json else text
            _hand_over(path, text, target, titled=len(files) > 1 and not as_json)
        except ClientError as error:
            failed += 1
            _err.print(f"{path}: {error}", style="red", highlight=False, soft_wrap=True, markup=False)
            if isinstance(error.__cause__, KeyboardInterrupt):
                break
    client.close()
    raise typer.Exit(1 if failed else 0)


def _targets(files: list[Path], suffix: str, output_dir: Path | None) -> list[Path | None]:
    """Where each transcript is saved, None to print it. Files that differ in their extension only keep it."""
    if output_dir is None:
        return [None] * len(files)
    stems = Counter(path.stem for path in files)
    names = [f"{path.stem if stems[path.stem] == 1 else path.name}.{suffix}" for path in files]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        _fail(f"Several files would be saved as {', '.join(twice)}; transcribe them one folder at a time.", 2)
    return [output_dir / name for name in names]


def _hand_over(path: Path, text: str, target: Path | None, *, titled: bool) -> None:
    """Save the text, or print it: under the file's name where there are several."""
    try:
        if target is None:
            sys.stdout.write((f"== {path.name} ==\n" if titled else "") + text)
            sys.stdout.flush()
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except (OSError, AttributeError) as error:  # a full disk, or a standard output that is closed
        raise ClientError(f"Cannot hand over the transcript: {error}.") from error
    _err.print(f"Saved {target}", highlight=False, soft_wrap=True)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as one JSON object.")] = False,
) -> None:
    """Say what works on this machine, and what to do about what does not."""
    findings = examine(_settings())
    broken = any(finding.state == "fail" for finding in findings)
    if as_json:
        print(json.dumps({"ok": not broken, "findings": [vars(finding) for finding in findings]}, indent=2))
    else:
        _out.print(_findings_table(findings))
    raise typer.Exit(1 if broken else 0)


def _findings_table(findings: list[Any]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    marks = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "fail": "[red]FAIL[/red]"}
    for finding in findings:
        advice = f"\n[bold]→[/bold] {finding.advice}" if finding.advice else ""
        table.add_row(marks[finding.state], finding.subject, finding.detail + advice)
    return table


if __name__ == "__main__":
    app()
