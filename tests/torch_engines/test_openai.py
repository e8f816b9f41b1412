"""OpenAI's `diarized_json` for real: whisperx and pyannote behind it, the official client in front."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from tests.conversation import conversation

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def client(service: httpx.Client) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.base_url}/v1", api_key="unused", max_retries=0, timeout=240) as made:
        yield made


def test_a_conversation_is_told_turn_by_turn(client: OpenAI, tmp_path: Path) -> None:
    said = conversation(tmp_path / "talk.wav")
    told = client.audio.transcriptions.create(
        model="gpt-4o-transcribe-diarize",
        file=tmp_path / "talk.wav",
        response_format="diarized_json",
        chunking_strategy="auto",
        language="en",
    )
    turns: list[tuple[str, list[str]]] = []
    for segment in told.segments:
        words = segment.text.lower().replace(".", "").split()
        if turns and turns[-1][0] == segment.speaker:
            turns[-1][1].extend(words)
        else:
            turns.append((segment.speaker, words))
    assert turns == [(speaker, list(turn.words)) for speaker, turn in zip("ABAB", said, strict=True)]
    assert [segment.start for segment in told.segments] == sorted(segment.start for segment in told.segments)
    assert told.segments[-1].end <= told.duration
