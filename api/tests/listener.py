"""A client of Server-Sent Events that sees every line."""

import json
from dataclasses import dataclass
from http.client import HTTPConnection
from types import TracebackType
from typing import Any, Self

from redis import Redis

from api.tests.server import Server
from steno.jobs.news import CHANNEL


def ears(redis: Redis) -> int:
    """How many connections are subscribed to the news, whoever holds them."""
    return int(dict(redis.pubsub_numsub(CHANNEL))[CHANNEL.encode()])


@dataclass(frozen=True)
class Told:
    """An event or, where it has no kind, a comment."""

    kind: str
    data: Any = None
    id: str | None = None


class Listener:
    """One open stream, or the answer that came in its place."""

    def __init__(self, server: Server, job_id: str, last: str | None = None, query: str = "") -> None:
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
        headers = {"Last-Event-ID": last} if last else {}
        self._connection.request("GET", f"/jobs/{job_id}/events{query}", headers=headers)
        self.answer = self._connection.getresponse()
        self.retry_ms = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        self.answer.close()
        self._connection.close()

    def next(self) -> Told | None:
        """What comes next; None once the server has ended the stream."""
        fields: dict[str, str] = {}
        while line := self.answer.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value
            if line == "\n" and "retry" in fields:
                self.retry_ms = int(fields["retry"])
                fields = {}
            elif line == "\n":
                return Told(fields.get("event", ""), json.loads(fields.get("data", "null")), fields.get("id"))
        return None

    def rest(self) -> list[Told]:
        """Everything until the server ends the stream."""
        return list(iter(self.next, None))

    def state(self, **expected: Any) -> Told:
        """The next state of which all this is true; what comes before it is passed over."""
        while (told := self.next()) is not None:
            if told.kind == "state" and all(told.data[name] == value for name, value in expected.items()):
                return told
        raise AssertionError(f"the stream ended before {expected}")

    def line(self) -> str:
        """The text of the next segment; states before it are passed over."""
        while (told := self.next()) is not None:
            if told.kind == "segment":
                return str(told.data["text"])
        raise AssertionError("the stream ended before the next segment")


def lines(told: list[Told]) -> list[str]:
    """The texts of the segments among them."""
    return [each.data["text"] for each in told if each.kind == "segment"]
