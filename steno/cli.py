"""The `steno` command."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from steno import __version__, job_commands, models
from steno.doctor import examine
from steno.redis_server import RedisServerError
from steno.serve import ServeError, Stack, running
from steno.terminal import err, fail, out, settings
from steno.transcribe import transcribe

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(transcribe)
app.add_typer(models.app, name="models")
app.add_typer(job_commands.app, name="jobs")


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
    stack = Stack(settings(), data_dir, host, port, workers)
    try:
        with running(stack):
            _announce(stack)
            stack.tend()
    except KeyboardInterrupt:
        err.print("Steno stopped.", style="dim")
    except (ServeError, RedisServerError) as error:
        fail(error)


def _announce(stack: Stack) -> None:
    out.print(f"Steno is ready at [bold]{stack.url}[/bold]", soft_wrap=True)
    out.print(f"  API docs   {stack.url}/docs", soft_wrap=True)
    out.print(f"  Engines    {', '.join(stack.engines)}", soft_wrap=True)
    out.print(f"  Data       {stack.data_dir.absolute()}", soft_wrap=True, highlight=False)
    if not stack.settings.webhook_secrets:
        secret = stack.webhook_secret_file.absolute()
        out.print(f"  Webhooks   signed with the secret in {secret}", soft_wrap=True, highlight=False)
    example = f"steno transcribe FILE --engine {stack.engines[0]} --server {stack.url}"
    out.print(f"  Try        {example}", soft_wrap=True, highlight=False)
    out.print("  Stop       Ctrl-C")


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
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as one JSON object.")] = False,
) -> None:
    """Say what works on this machine, and what to do about what does not."""
    findings = examine(settings())
    broken = any(finding.state == "fail" for finding in findings)
    if as_json:
        print(json.dumps({"ok": not broken, "findings": [vars(finding) for finding in findings]}, indent=2))
    else:
        out.print(_findings_table(findings))
    raise typer.Exit(1 if broken else 0)


def _findings_table(findings: list[Any]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    marks = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "fail": "[red]FAIL[/red]"}
    for finding in findings:
        advice = f"\n[bold]→[/bold] {escape(finding.advice)}" if finding.advice else ""
        table.add_row(marks[finding.state], finding.subject, escape(finding.detail) + advice)
    return table


if __name__ == "__main__":
    app()
