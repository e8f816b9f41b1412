"""The floor of free disk space is kept against recordings of unknown length, and against many at once."""

import pytest

from api.tests.conftest import Serve
from api.tests.server import Server, assert_refused
from api.tests.tus import Tus, pairs
from api.tests.wire import CHUNKED, ENGINE, MIB, SOUND, chunk, form, recording
from steno.storage import LocalStorage

LONG = SOUND.ljust(20 * MIB, b"\x07")
"""Longer than what is written between two looks at the disk."""


@pytest.fixture
def filling(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server whose disk has room at the first look of a request, and then no more."""
    room = iter([1 << 40])
    monkeypatch.setattr(LocalStorage, "free_bytes", lambda storage: next(room, 0))
    return serve()


def test_a_form_of_unknown_length_ends_at_the_floor(filling: Server) -> None:
    assert_refused(filling, filling.send(CHUNKED + chunk(form(ENGINE, recording(LONG))) + chunk(b"")), 507, "space")


def test_a_piece_of_an_upload_ends_at_the_floor_and_what_came_before_stays(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    with Tus(server.url) as tus:
        path = tus.begun(len(LONG), pairs(filename="talk.wav", engine="whisperx"))
        room = iter([1 << 40])
        monkeypatch.setattr(LocalStorage, "free_bytes", lambda storage: next(room, 0))
        assert tus.patch(path, 0, LONG).json()["code"] == "out_of_space"
        monkeypatch.undo()
        offset = tus.offset(path)
        assert 0 < offset < len(LONG)
        assert tus.patch(path, offset, LONG[offset:]).status_code == 204
