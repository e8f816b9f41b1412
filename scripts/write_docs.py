"""Write the tables of docs/ from the code: `make docs`. A test fails when they drift."""

from collections.abc import Iterable
from pathlib import Path
from textwrap import indent
from typing import Any

from pydantic.fields import FieldInfo

from api.errors import API_ERRORS, ApiError
from api.models import handling_schemas, option_schemas
from api.transcripts import subtitle_schemas
from steno.config import Settings
from steno.door_settings import DoorSettings
from steno.engines import ENGINES, Engine
from steno.jobs.errors import ERRORS, JobError
from steno.jobs.options import DEFAULTS
from steno.transcript import Segment, Transcript
from steno.transcript.model import joined
from steno.transcript.subtitle_options import SubtitleOptions
from steno.transcript.writers import WRITERS

DOCS = Path(__file__).parent.parent / "docs"


def settings_table() -> str:
    """One row a setting of steno/config.py, in its order."""
    return _settings_table(name for name in Settings.model_fields if name not in DoorSettings.model_fields)


def door_settings_table() -> str:
    """One row a setting of steno/door_settings.py, in its order."""
    return _settings_table(DoorSettings.model_fields)


def _settings_table(names: Iterable[str]) -> str:
    rows = [_setting_row(Settings.model_fields[name]) for name in names]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def _setting_row(field: FieldInfo) -> str:
    default = field.get_default()
    if isinstance(default, frozenset | tuple):
        default = ",".join(sorted(default))
    shown = f"`{default}`" if default not in (None, "") else "-"
    return f"| `{field.validation_alias}` | {shown} | {field.description} |"


def options_table() -> str:
    """One row an option: its values, what it does, and which engine honours it."""
    rows = [_option_row(name, told) for name, told in option_schemas().items() if name in DEFAULTS]
    head = ["option", "values", *(f"`{name}`" for name in ENGINES), "what it does"]
    return "\n".join([f"| {' | '.join(head)} |", f"|---|---|{':-:|' * len(ENGINES)}---|", *rows])


def _option_row(name: str, told: dict[str, Any]) -> str:
    engines = [_honours(engine, name) for engine in ENGINES.values()]
    return f"| {' | '.join([f'`{name}`', _values(told), *engines, told['description']])} |"


def _honours(engine: Engine, name: str) -> str:
    if name == "language":
        return "yes" if engine.is_whisper else ", ".join(engine.languages or ())
    if name in engine.options:
        return "yes"
    return f"always {str(engine.fixed[name]).lower()}" if name in engine.fixed else "-"


def _values(told: dict[str, Any]) -> str:
    if "enum" in told:
        return ", ".join(told["enum"])
    if "minimum" in told and "maximum" in told:
        return f"{told['minimum']:.15g} to {told['maximum']:.15g}"
    if told["type"] == "boolean":
        return "true, false"
    return f"text, at most {told['maxLength']}" if "maxLength" in told else "text"


def job_errors_table() -> str:
    """One row for each way a job fails."""
    rows = [
        f"| `{code}` | {error.fault} | {'yes' if error.retryable else 'no'} | {_said(error)} |"
        for code, error in ERRORS.items()
    ]
    head = ["| `error_code` | who can mend it | tried again | what it means and what to do |", "|---|---|---|---|"]
    return "\n".join([*head, *rows])


def handling_table() -> str:
    """One row for each field of the form that is about the job, not the engine."""
    rows = [f"| `{name}` | {_values(told)} | {told['description']} |" for name, told in handling_schemas().items()]
    return "\n".join(["| field | values | what it does |", "|---|---|---|", *rows])


def api_errors_table() -> str:
    """One row for each way a request fails."""
    rows = [f"| {error.status} | `{error.code}` | {_said(error)} |" for error in API_ERRORS]
    return "\n".join(["| status | `code` | what it means and what to do |", "|---|---|---|", *rows])


def formats_table() -> str:
    """One row a format."""
    rows = [
        f"| `{name}` | `{writer.media_type.partition(';')[0]}` | {writer.about} |" for name, writer in WRITERS.items()
    ]
    return "\n".join(["| format | media type | what it is |", "|---|---|---|", *rows])


def subtitles_table() -> str:
    """One row an option of subtitles."""
    rows = [
        f"| `{name}` | {_values(told)} | {', '.join(f for f, writer in WRITERS.items() if name in writer.honours)} "
        f"| {told['description']} |"
        for name, told in subtitle_schemas().items()
    ]
    return "\n".join(["| option | values | of | what it does |", "|---|---|---|---|", *rows])


def samples() -> str:
    """Subtitles of a long sentence, as they are served."""
    segments = (
        Segment(0, 0.0, 22.5, _LONG_SENTENCE, speaker="SPEAKER_00"),
        Segment(1, 24.0, 27.5, "Was it really? I could not say.", speaker="SPEAKER_01"),
    )
    transcript = Transcript(joined(segments), "en", None, 30.0, "whisperx", "small", segments)
    narrow = SubtitleOptions(max_line_width=28, max_lines=1, speaker_labels=False)
    shown = [
        ("transcript.srt", WRITERS["srt"].write(transcript)),
        ("transcript.vtt?max_line_width=28&max_lines=1&speaker_labels=false", WRITERS["vtt"].write(transcript, narrow)),
        ("transcript.md", WRITERS["md"].write(transcript)),
    ]
    return "\n\n".join(f"`{name}`\n\n" + indent(text.rstrip("\n"), "    ") for name, text in shown)


_LONG_SENTENCE = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, and "
    "some of its noisiest authorities insisted on its being received, for good or for evil, in the superlative degree of "
    "comparison only."
)


def _said(error: type[ApiError] | type[JobError]) -> str:
    return " ".join((error.__doc__ or "").split())


TABLES = {
    "settings.md": {"settings": settings_table, "door settings": door_settings_table},
    "options.md": {"options": options_table},
    "jobs.md": {"handling": handling_table},
    "formats.md": {"formats": formats_table, "subtitles": subtitles_table, "samples": samples},
    "errors.md": {"requests": api_errors_table, "jobs": job_errors_table},
}


def filled(text: str, tables: dict[str, str]) -> str:
    """The page with each table between its two marks replaced."""
    for name, table in tables.items():
        begin, end = f"<!-- {name}: written by `make docs` -->", f"<!-- {name}: end -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{table}\n{end}{after}"
    return text


def pages() -> dict[Path, str]:
    """Every page with tables, as it should read."""
    return {
        DOCS / page: filled((DOCS / page).read_text(), {name: table() for name, table in tables.items()})
        for page, tables in TABLES.items()
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
