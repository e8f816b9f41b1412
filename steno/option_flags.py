"""The flags of `steno transcribe` that become fields of the form; what they mean and allow is the server's to say."""

from typing import Annotated

import typer

_PANEL = "How the engine listens (what an engine cannot do is refused)"

Engine = Annotated[str, typer.Option(envvar="STENO_ENGINE", help="Engine that listens.")]
Language = Annotated[str | None, typer.Option(help="Language code or name; detected if not given.")]
Model = Annotated[str | None, typer.Option(help="One of the engine's models, by name.")]
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
Priority = Annotated[str | None, typer.Option(help="high, normal or low: which jobs are taken first.")]
Labels = Annotated[
    list[str] | None, typer.Option("--label", help="For finding the job again; may be given several times.")
]
Reuse = Annotated[bool, typer.Option("--reuse", help="Take the transcript of an earlier job, if it would be the same.")]
