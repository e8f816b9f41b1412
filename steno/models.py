"""`steno models`: which models are on this machine, fetching them ahead of time, and checking that they load."""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from steno import interpreters, terminal
from steno.config import Settings
from steno.engines import ENGINES, installed_engines
from steno.terminal import complain, err, fail, out

app = typer.Typer(no_args_is_help=False, help="List the models on this machine; `pull` fetches one, `check` loads one.")
_GB: Final = 1e9

EngineArgument = Annotated[str, typer.Argument(metavar="ENGINE", help=f"One of {', '.join(ENGINES)}.")]
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="One of the engine's models, by name.")]


@app.callback(invoke_without_command=True)
def list_models(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also those that are not on this machine.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line, of every model.")] = False,
) -> None:
    """List the models on this machine; `pull` fetches one, `check` loads one."""
    if context.invoked_subcommand:
        return
    rows = list(_rows(terminal.settings()))
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    shown = [row for row in rows if every or row["registered"] or row["problem"] is None]
    if shown:
        out.print(_table(shown))
    missing = len(rows) - len(shown)
    if missing:
        out.print(
            f"{missing} more could be fetched (--all lists them): steno models pull ENGINE MODEL",
            style="dim",
            soft_wrap=True,
        )


@app.command()
def pull(
    engine: EngineArgument,
    model: ModelArgument,
    language: Annotated[
        list[str] | None, typer.Option(help="Also whisperx's alignment model of this language; may be repeated.")
    ] = None,
    diarization: Annotated[bool, typer.Option("--diarization", help="Also whisperx's diarization models.")] = False,
) -> None:
    """Fetch a model now, so that no job has to."""
    if (language or diarization) and engine != "whisperx":
        fail("Only whisperx has alignment and diarization models of its own.", 2)
    more = [part for code in language or () for part in ("--language", code)]
    err.print(f"Looking for {engine} {model} ...", style="dim")
    row = _answer(engine, "pull", engine, model, *more, *(["--diarization"] if diarization else []))
    out.print(f"{engine} {model} is at {row['path']} ({row['size'] / _GB:.2f} GB)", soft_wrap=True, highlight=False)


@app.command()
def check(engine: EngineArgument, model: ModelArgument) -> None:
    """Load a model and let it listen to a second of silence: whether it works, how long loading takes, what it weighs."""
    row = _answer(engine, "check", engine, model)
    out.print(
        f"{engine} {model} works: loaded in {row['load_seconds']:.1f} s (libraries included), "
        f"{row['memory'] / 2**20:.0f} MB, version {row['version']}",
        soft_wrap=True,
        highlight=False,
    )


def _answer(engine: str, *arguments: str) -> dict[str, Any]:
    settings = terminal.settings()
    if engine not in ENGINES:
        fail(f"There is no engine '{engine}'; choose one of {', '.join(ENGINES)}.", 2)
    known = ENGINES[engine]
    if not known.is_installed(settings.pythons.get(engine)):
        fail(f"Engine '{engine}' is not installed; {known.install}.")
    model = arguments[2]
    if model not in settings.models_of(engine):
        fail(f"Engine '{engine}' has no model '{model}'; choose one of {', '.join(settings.models_of(engine))}.", 2)
    try:
        return interpreters.ask(settings, engine, *arguments)[-1]
    except interpreters.NoAnswer as error:
        fail(error)


def _rows(settings: Settings) -> Iterator[dict[str, Any]]:
    for engine in installed_engines(settings.pythons):
        try:
            yield from interpreters.ask(settings, engine, "list", engine)
        except interpreters.NoAnswer as error:
            complain(f"{engine}: {error}")


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("engine", "model", "size", "where"):
        table.add_column(column, overflow="fold", justify="right" if column == "size" else "left")
    for row in rows:
        size = "" if row["size"] is None else f"{row['size'] / _GB:.2f} GB"
        where = row["path"] or (f"[red]{escape(row['problem'])}[/red]" if row["registered"] else "[dim]not here[/dim]")
        table.add_row(row["engine"], row["model"], size, where)
    return table
