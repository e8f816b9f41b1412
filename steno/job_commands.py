"""`steno jobs`: look at the jobs of a server, and steer them."""

import json
from typing import Annotated, Any, NoReturn

import typer

from steno.client import Client
from steno.client_errors import ClientError
from steno.terminal import complain, fail, harmless, out, say
from steno.transcribe import DEFAULT_SERVER

app = typer.Typer(no_args_is_help=True, help="List, show, cancel, retry and delete jobs.")

Server = Annotated[str, typer.Option(envvar="STENO_SERVER", help="Where Steno runs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print what the server says, as JSON.")]
JobIds = Annotated[list[str], typer.Argument(metavar="JOB...", help="Ids of jobs.")]

_COLOURS = {"finished": "green", "failed": "red", "canceled": "yellow", "started": "cyan"}


@app.command("list")
def list_jobs(
    status: Annotated[
        str | None, typer.Option(help="Only jobs that are queued, started, finished, failed or canceled.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Only jobs of this engine.")] = None,
    label: Annotated[str | None, typer.Option(help="Only jobs with this label.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 20,
    server: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """The newest jobs."""
    jobs = _asked(lambda client: client.jobs(limit, status=status, engine=engine, label=label), server)
    if as_json:
        print(json.dumps(jobs, indent=2))
    elif not jobs:
        out.print("No such jobs.")
    else:
        for job in jobs:
            _print(job)


@app.command()
def show(jobs: JobIds, server: Server = DEFAULT_SERVER) -> None:
    """All that the server says of a job but the transcript, as JSON."""
    for job_id in jobs:
        status = _asked(lambda client, job_id=job_id: client.status(job_id), server)
        status.pop("result", None)
        print(harmless(json.dumps(status, indent=2, ensure_ascii=False)))


@app.command()
def cancel(jobs: JobIds, server: Server = DEFAULT_SERVER) -> None:
    """Stop jobs, whether they wait or run."""
    _each(jobs, "canceled", server, Client.cancel)


@app.command()
def retry(
    jobs: Annotated[list[str] | None, typer.Argument(metavar="JOB...", help="Ids of failed or canceled jobs.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Retry every failed job instead.")] = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Queue failed or canceled jobs again, without a new upload."""
    if failed == bool(jobs):
        fail("Give the ids of jobs, or --failed for every failed one.", 2)
    if jobs:
        _each(jobs, "queued again", server, Client.retry)
    told = _asked(Client.retry_failed, server)
    out.print(
        f"{len(told['retried'])} queued again" + (f", {len(told['skipped'])} cannot be" if told["skipped"] else "")
    )


@app.command()
def delete(jobs: JobIds, server: Server = DEFAULT_SERVER) -> None:
    """Delete jobs with their recordings and transcripts. There is no way back."""
    _each(jobs, "deleted", server, Client.delete)


@app.command()
def deliveries(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Id of a job with a callback URL.")],
    again: Annotated[bool, typer.Option("--again", help="Deliver its last event once more.")] = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """What a job's webhook told, attempt by attempt."""
    log = _asked(lambda client: client.deliveries(job, again), server)
    say(log["url"])
    for event in log["events"]:
        due = f", next attempt {event['next_at']}" if event["next_at"] else ""
        out.print(f"  {event['type']}  {event['state']}{due}  {event['id']}", highlight=False, soft_wrap=True)
        for attempt in event["attempts"]:
            came = attempt["error"] or f"answered {attempt['status']}"
            say(f"    {attempt['at']}  {came}")


def _asked(ask: Any, server: str) -> Any:
    try:
        client = Client(server)
        try:
            return ask(client)
        finally:
            client.close()
    except ClientError as error:
        fail(error)


def _each(jobs: list[str], done: str, server: str, move: Any) -> NoReturn:
    """Do it with each job; ends with 1 if it did not work for all."""
    try:
        client = Client(server)
    except ClientError as error:
        fail(error, 2)
    refused = 0
    for job_id in jobs:
        try:
            move(client, job_id)
            say(f"{job_id} {done}")
        except ClientError as error:
            refused += 1
            complain(f"{job_id}: {error}")
    client.close()
    raise typer.Exit(1 if refused else 0)


def _print(job: dict[str, Any]) -> None:
    """Two lines a job, which fit on a terminal of 80 columns but for long names."""
    colour = _COLOURS.get(job["status"], "default")
    share = f"{job['progress']:.0%}" if job["status"] == "started" else ""
    accepted = (job["created_at"] or "")[:16].replace("T", " ")
    out.print(
        f"{job['job_id']}  [{colour}]{job['status']:<8}[/{colour}] {share:>4}  {job['engine']}  {accepted}",
        highlight=False,
        soft_wrap=True,
    )
    about = ", ".join(filter(None, (job["filename"], *job["labels"]))).replace("\n", " ")
    reason = job["error"] or job["message"]
    say(f"    {about}" + (f": {reason}" if reason else ""))
