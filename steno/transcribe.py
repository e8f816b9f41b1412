"""What `steno transcribe` does with one file, and how it shows it: bars on a terminal, plain lines elsewhere."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from steno.client import Client, ClientError

_OVER = ("finished", "failed")


class Show:
    """The progress of one file on the error stream, so that the transcript alone is on standard output."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._told = ""
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
            self._bar = Progress(*columns, console=console)
            self._task = self._bar.add_task(name, total=1.0)

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
        """A stage, and the share of it that is done, 0 to 1. Plain lines come with a new stage, and every tenth of one."""
        tenths = f" {int(share * 10)}0 %" if share >= 0.1 and stage not in _OVER else ""
        if self._bar:
            self._bar.update(self._task, description=f"{self._name}  {stage}", completed=share)
        elif stage + tenths != self._told:
            self._console.print(f"{self._name}: {stage}{tenths}", highlight=False, soft_wrap=True, markup=False)
        self._told = stage + tenths


def transcribe_file(
    client: Client, path: Path, fields: dict[str, str], format: str, show: Show
) -> tuple[dict[str, Any], str]:
    """The final status and the transcript's text. Raises ClientError if there is none."""
    size = path.stat().st_size if path.is_file() else 0
    show.tell("uploading", 0.0)
    job_id = client.submit(path, fields, lambda sent: show.tell("uploading", sent / size if size else 1.0))

    def told(status: dict[str, Any]) -> None:
        show.tell(status["message"] or status["stage"] or status["status"], status["progress"])

    status = client.wait(job_id, told)
    if status["status"] == "failed":
        raise ClientError(f"{status['error']} (job {job_id}, {status['error_code']})")
    return status, client.transcript(job_id, format)
