"""Transcripts: in every format, by suffix and by Accept, with the options of subtitles."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.tests.desk import HEARD, Desk
from api.transcripts import preferred
from steno.jobs.record import TRANSCRIPT
from steno.transcript import Segment, Transcript, Word
from steno.transcript.subtitle_options import SubtitleOptions

MEDIA_TYPES = {
    "json": "application/json",
    "txt": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
}
BEGINNINGS = {
    "txt": "Good morning.\nTea & <cake>?\n",
    "srt": "1\n00:00:00,500 --> 00:00:01,333\nGood morning.\n\n2\n",
    "vtt": "WEBVTT\n\n00:00:00.500 --> 00:00:01.333\nGood morning.\n\n",
    "tsv": "start\tend\ttext\n500\t1250\tGood morning.\n2000\t3500\t",
    "md": "[00:00:00] Good morning. Tea \\& \\<cake\\>?\n",
}


@pytest.mark.parametrize("format", MEDIA_TYPES)
def test_a_transcript_comes_in_each_format(client: TestClient, desk: Desk, format: str) -> None:
    answer = client.get(f"/jobs/{desk.finished()}/transcript.{format}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA_TYPES[format])
    assert answer.text.startswith(BEGINNINGS.get(format, "{"))


def test_the_json_transcript_is_the_result_of_the_status(client: TestClient, desk: Desk) -> None:
    job_id = desk.finished()
    told = client.get(f"/jobs/{job_id}/transcript.json").json()
    assert told == client.get(f"/status/{job_id}").json()["result"] == json.loads(json.dumps(HEARD.to_dict()))


def test_a_transcript_is_fetched_without_redis(offline_client: TestClient, desk: Desk) -> None:
    assert offline_client.get(f"/jobs/{desk.finished()}/transcript.txt").status_code == 200


@pytest.mark.parametrize("format", ["docx", "", "TXT", "txt.exe", "%00", "srt%20", "x" * 5000])
def test_an_unknown_format_is_not_found_and_the_known_ones_are_named(
    client: TestClient, desk: Desk, format: str
) -> None:
    answer = client.get(f"/jobs/{desk.finished()}/transcript.{format}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert len(answer.content) < 1000
    if format:
        assert (answer.json()["code"], "json, txt, srt, vtt, tsv, md" in answer.json()["detail"]) == (
            "format_not_found",
            True,
        )


@pytest.mark.parametrize("state", ["queued", "started"])
def test_an_unfinished_job_has_no_transcript_yet(client: TestClient, desk: Desk, state: str) -> None:
    job_id = desk.queued() if state == "queued" else desk.started()
    answer = client.get(f"/jobs/{job_id}/transcript.txt")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_finished")
    assert state in answer.json()["detail"]


def test_the_transcript_of_a_failed_job_is_its_error(client: TestClient, desk: Desk) -> None:
    answer = client.get(f"/jobs/{desk.failed()}/transcript.srt")
    assert (answer.status_code, answer.json()["detail"]) == (409, "The recording holds no sound.")


@pytest.mark.parametrize("job_id", ["unknown", "..", "%2e%2e%2fx", "a b"])
def test_there_is_no_transcript_of_an_unknown_job(client: TestClient, job_id: str) -> None:
    assert client.get(f"/jobs/{job_id}/transcript.txt").status_code == 404


def test_a_transcript_that_only_redis_could_tell_of_is_unavailable_without_it(
    offline_client: TestClient, desk: Desk
) -> None:
    assert offline_client.get(f"/jobs/{desk.queued()}/transcript.txt").status_code == 503


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/vtt", "vtt"),
        ("Text/VTT;charset=utf-8", "vtt"),
        ("text/markdown, text/plain;q=0.5", "md"),
        ("text/plain;q=0.5, application/x-subrip;q=0.9", "srt"),
        ("text/vtt, application/x-subrip", "vtt"),
        ("application/x-subrip, text/vtt", "srt"),
        ("*/*, text/vtt", "vtt"),
        ("text/*", "txt"),
        ("text/*, text/plain;q=0", "vtt"),
        ("application/*", "json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "json"),
        ("application/json;q=0, */*;q=0.1", "txt"),
        ("text/tab-separated-values;q=0.001", "tsv"),
        ("text/html", None),
        ("*/*;q=0", None),
        ("text/vtt;q=nan", None),
        ("text/vtt;q=-1, ;, ,;q", None),
    ],
)
def test_the_accept_header_says_which_format(accept: str, format: str | None) -> None:
    assert preferred(accept) == format


@pytest.mark.parametrize("format", MEDIA_TYPES)
def test_a_format_by_accept_is_the_one_by_suffix(client: TestClient, desk: Desk, format: str) -> None:
    job_id = desk.finished()
    answer = client.get(f"/jobs/{job_id}/transcript", headers={"Accept": MEDIA_TYPES[format]})
    assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA_TYPES[format])
    assert answer.headers["vary"] == "Accept"
    assert answer.text == client.get(f"/jobs/{job_id}/transcript.{format}").text


def test_a_media_type_that_nothing_is_written_as_is_told_the_formats(client: TestClient, desk: Desk) -> None:
    answer = client.get(f"/jobs/{desk.finished()}/transcript", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
    for named in ("application/json (json)", "text/vtt (vtt)", "text/markdown (md)", "application/x-subrip (srt)"):
        assert named in answer.json()["detail"]


TALK = Transcript(
    "So it goes on and on, and nobody knows why. Really?", "en", 0.9, 9.0, "whisperx", "small",
    (
        Segment(0, 0.0, 4.0, "So it goes on and on, and nobody knows why.", None, "SPEAKER_00"),
        Segment(1, 6.0, 7.0, "Really?", None, "SPEAKER_01", (Word("Really?", 6.0, 7.0),)),
    ),
)  # fmt: skip


def talk(desk: Desk) -> str:
    job_id = desk.finished()
    desk.storage.put(job_id, TRANSCRIPT, TALK.to_dict())
    return job_id


def test_the_options_change_the_subtitles(client: TestClient, desk: Desk) -> None:
    path = f"/jobs/{talk(desk)}/transcript.srt"
    assert client.get(path).text.startswith("1\n00:00:00,000 --> 00:00:04,000\nSPEAKER_00: So it goes on and on,\nand ")
    narrow = client.get(path, params={"max_line_width": 22, "max_lines": 1, "speaker_labels": "false"})
    lines = [line for line in narrow.text.splitlines() if line and "-->" not in line and not line.isdigit()]
    assert (lines[0], lines[-1], max(map(len, lines))) == ("So it goes on and on,", "Really?", 21)
    assert "<u>Really?</u>" in client.get(path, params={"highlight_words": "1"}).text
    assert client.get(path, params={"cues": "segments"}).text.count("-->") == 2


def test_the_voices_of_webvtt_are_the_speakers(client: TestClient, desk: Desk) -> None:
    path = f"/jobs/{talk(desk)}/transcript.vtt"
    assert "\n<v SPEAKER_01>Really?\n" in client.get(path).text
    assert "<v" not in client.get(path, params={"speaker_labels": "false"}).text


def test_what_could_not_be_kept_is_said_in_a_header(client: TestClient, desk: Desk) -> None:
    path = f"/jobs/{talk(desk)}/transcript.srt"
    assert "steno-warnings" not in client.get(path).headers
    said = client.get(path, params={"max_characters_per_second": 5}).headers["steno-warnings"]
    assert said.startswith("Faster than 5 characters a second: ")


@pytest.mark.parametrize(
    ("format", "query", "field"),
    [
        ("srt", {"max_line_width": "9"}, "max_line_width"),
        ("srt", {"max_line_width": "wide"}, "max_line_width"),
        ("srt", {"max_lines": ""}, "max_lines"),
        ("vtt", {"max_lines": "0"}, "max_lines"),
        ("vtt", {"max_characters_per_second": "nan"}, "max_characters_per_second"),
        ("vtt", {"max_characters_per_second": "inf"}, "max_characters_per_second"),
        ("vtt", {"highlight_words": "perhaps"}, "highlight_words"),
        ("srt", {"cues": "words"}, "cues"),
        ("srt", {"max_line_widht": "30"}, "max_line_widht"),
        ("srt", {"cues": "segments", "max_lines": "1"}, "max_lines"),
        ("txt", {"max_line_width": "30"}, "max_line_width"),
        ("json", {"speaker_labels": "true"}, "speaker_labels"),
        ("md", {"max_lines": "3"}, "max_lines"),
        ("tsv", {"highlight_words": "false"}, "highlight_words"),
    ],
)
def test_a_wrong_option_is_named(
    client: TestClient, desk: Desk, format: str, query: dict[str, str], field: str
) -> None:
    job_id = desk.finished()
    by_accept: dict[str, Any] = {"headers": {"Accept": MEDIA_TYPES[format]}, "params": query}
    for answer in (
        client.get(f"/jobs/{job_id}/transcript.{format}", params=query),
        client.get(f"/jobs/{job_id}/transcript", **by_accept),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert [each["field"] for each in answer.json()["errors"]] == [field]
        assert field in answer.json()["detail"]


def test_the_options_are_described_with_their_bounds(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/jobs/{job_id}/transcript", "/jobs/{job_id}/transcript.{format}"):
        told = {each["name"]: each for each in paths[path]["get"]["parameters"] if each["in"] == "query"}
        assert set(told) == set(SubtitleOptions.__dataclass_fields__)
        number = told["max_lines"]["schema"]["anyOf"][0]
        assert (number["minimum"], number["maximum"]) == (1, 10)
    assert {"200", "404", "406", "409", "422", "503"} <= set(paths["/jobs/{job_id}/transcript"]["get"]["responses"])
