"""What `GET /engines` tells a client."""

from typing import Any

from fastapi.testclient import TestClient

from api.tests.desk import Desk
from conftest import MakeSettings
from steno.engines import ENGINES
from steno.jobs.options import OptionRefused, resolve
from steno.jobs.roster import Offer

WHISPERX = Offer({"whisperx": "3.8.6"}, ("large-v3", "small", "their-own"), "cuda")


def engines(client: TestClient) -> dict[str, Any]:
    return {engine["name"]: engine for engine in client.get("/engines").json()["engines"]}


def test_every_engine_is_told_of_and_whether_a_live_worker_offers_it(client: TestClient, desk: Desk) -> None:
    desk.offer("whisperx", 20)
    told = engines(client)
    assert list(told) == list(ENGINES)
    assert [name for name, engine in told.items() if engine["available"]] == ["whisperx"]
    assert told["timestamped"]["install"] == "pip install 'steno[timestamped]'"
    assert told["timestamped"]["licence"] == "AGPL-3.0"
    assert told["timestamped"]["models"] == []


def test_models_are_those_that_a_live_worker_has_and_this_server_allows(client: TestClient, desk: Desk) -> None:
    desk.offer("whisperx", 20, WHISPERX)
    told = engines(client)["whisperx"]
    assert told["models"] == ["small", "large-v3"]
    assert (told["default_model"], told["workers"], told["devices"]) == (None, 1, ["cuda"])
    assert told["versions"] == [{"whisperx": "3.8.6"}]


def test_a_worker_that_fell_silent_is_not_told_of(client: TestClient, desk: Desk) -> None:
    desk.offer("whisperx", -1, WHISPERX)
    told = engines(client)["whisperx"]
    assert (told["available"], told["workers"], told["models"]) == (False, 0, [])


def test_the_options_told_are_those_that_are_taken(client: TestClient, make_settings: MakeSettings) -> None:
    settings = make_settings(default_model="small")
    values: dict[str, Any] = {
        "task": "translate", "prompt": "a", "hotwords": "b", "temperature": 0.4, "beam_size": 2, "batch_size": 4,
        "vad": False, "diarize": True, "word_timestamps": False, "disfluencies": True, "suppress_numerals": True,
        "channels": "separate",
    }  # fmt: skip
    for name, engine in engines(client).items():
        for option, value in values.items():
            schema = engine["options"].get(option, {"const": None})
            try:
                resolve(settings, name, **{option: value})
                taken = True
            except OptionRefused:
                taken = False
            assert taken == (schema.get("const", value) == value), (name, option)
