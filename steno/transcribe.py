"""What `steno transcribe` does with one file, and how it shows it: bars on a terminal, plain lines elsewhere."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from steno.client import Away, Client, ClientError

_SLOW_SECONDS = 2.0
_NAME_WIDTH = 32
_NEVER_DONE = 1.0001  # a task that reached its total would stop its clock


class Show:
    """The progress of one file on the error stream, so that the transcript alone is on standard output."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._told = ""
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
        line = f"{self._name}: {stage}" + (f" {int(share * 10)}0 %" if slow and share >= 0.1 else "")
        if self._bar:
            self._bar.update(self._task, description=f"{stage:<12}", completed=share)
        elif line != self._told:
            self._console.print(line, highlight=False, soft_wrap=True, markup=False)
            self._told = line


def transcribe_file(
    client: Client, path: Path, fields: dict[str, str], format: str, show: Show
) -> tuple[dict[str, Any], str]:
    """The final status and the transcript's text. Raises ClientError if there is none."""
    if not path.is_file():
        raise ClientError("There is no such file." if not path.exists() else "It is not a file.")
    size = path.stat().st_size
    show.tell("uploading", 0.0)
    job_id = client.submit(path, fields, lambda sent: show.tell("uploading", sent / size if size else 1.0))

    def told(status: dict[str, Any]) -> None:
        show.tell(status["message"] or status["stage"] or status["status"], status["progress"])

    try:
        status = client.wait(job_id, told)
        if status["status"] == "finished":
            return status, client.transcript(job_id, format)
    except (Away, KeyboardInterrupt) as error:
        raise ClientError(
            f"{error or 'Interrupted.'} The job goes on without you; fetch it when it is done: "
            f"curl {client.server}/jobs/{job_id}/transcript.{format}"
        ) from error
    raise ClientError(f"{status['error']} (job {job_id}, {status['error_code']})")
