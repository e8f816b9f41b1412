"""The flags of `steno transcribe`. Most become fields of the form; what they mean and allow is the server's to say."""

from pathlib import Path
from typing import Annotated

import typer

from steno.transcript.subtitle_options import BOUNDS
from steno.transcript.writers import WRITERS

_PANEL = "How the engine listens (what an engine cannot do is refused)"

Engine = Annotated[str, typer.Option(envvar="STENO_ENGINE", help="Engine that listens.")]
Language = Annotated[str | None, typer.Option(help="Language code or name; detected if not given.")]
Model = Annotated[str | None, typer.Option(help="One of the engine's models, by name.")]
Format = Annotated[str, typer.Option(help=f"One of {', '.join(WRITERS)}.")]
OutputDir = Annotated[
    Path | None, typer.Option(help="Save as NAME.FORMAT here, over what is there, instead of printing.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print each job's full status as one line of JSON.")]
Task = Annotated[str | None, typer.Option(help="transcribe, or translate into English.", rich_help_panel=_PANEL)]
Prompt = Annotated[str | None, typer.Option(help="Text that might have come before.", rich_help_panel=_PANEL)]
Hotwords = Annotated[str | None, typer.Option(help="Words likely to be spoken.", rich_help_panel=_PANEL)]
Temperature = Annotated[float | None, typer.Option(help="Sampling temperature, 0 to 1.", rich_help_panel=_PANEL)]
BeamSize = Annotated[int | None, typer.Option(help="Beams searched at once.", rich_help_panel=_PANEL)]
BatchSize = Annotated[int | None, typer.Option(help="Stretches of 30 s heard at once.", rich_help_panel=_PANEL)]
Vad = Annotated[bool | None, typer.Option("--vad/--no-vad", help="Leave out non-speech.", rich_help_panel=_PANEL)]
Diarize = Annotated[bool, typer.Option("--diarize", help="Name the speaker of every word.", rich_help_panel=_PANEL)]
MinSpeakers = Annotated[int | None, typer.Option(help="At least so many speakers.", rich_help_panel=_PANEL)]
MaxSpeakers = Annotated[int | None, typer.Option(help="At most so many speakers.", rich_help_panel=_PANEL)]
NoWords = Annotated[bool, typer.Option("--no-words", help="Segments only: quicker.", rich_help_panel=_PANEL)]
Disfluencies = Annotated[bool, typer.Option("--disfluencies", help="Mark hesitations: [*].", rich_help_panel=_PANEL)]
SuppressNumerals = Annotated[
    bool, typer.Option("--suppress-numerals", help="Numbers as words, not digits.", rich_help_panel=_PANEL)
]
Channels = Annotated[
    str | None, typer.Option(help="mix, or separate: one channel, one speaker.", rich_help_panel=_PANEL)
]
Priority = Annotated[str | None, typer.Option(help="high, normal or low: which jobs are taken first.")]
Labels = Annotated[
    list[str] | None, typer.Option("--label", help="For finding the job again; may be given several times.")
]
Reuse = Annotated[bool, typer.Option("--reuse", help="Take the transcript of an earlier job, if it would be the same.")]

_SUBTITLES = "How srt and vtt are made (md has speakers, too)"
_WIDTH, _LINES, _SPEED = (BOUNDS[name] for name in ("max_line_width", "max_lines", "max_characters_per_second"))

MaxLineWidth = Annotated[
    int | None,
    typer.Option(min=_WIDTH[0], max=_WIDTH[1], help="Characters a line, 42 if absent.", rich_help_panel=_SUBTITLES),
]
MaxLines = Annotated[
    int | None, typer.Option(min=_LINES[0], max=_LINES[1], help="Lines a cue, 2 if absent.", rich_help_panel=_SUBTITLES)
]
MaxSpeed = Annotated[
    float | None,
    typer.Option(
        "--max-characters-per-second",
        min=_SPEED[0],
        max=_SPEED[1],
        help="Speed of reading, 17 if absent.",
        rich_help_panel=_SUBTITLES,
    ),
]
HighlightWords = Annotated[
    bool, typer.Option("--highlight-words", help="Underline each word as it is spoken.", rich_help_panel=_SUBTITLES)
]
NoSpeakerLabels = Annotated[
    bool, typer.Option("--no-speaker-labels", help="Leave out the speakers' names.", rich_help_panel=_SUBTITLES)
]
Cues = Annotated[str | None, typer.Option(help="readable, or segments: one cue for each.", rich_help_panel=_SUBTITLES)]
