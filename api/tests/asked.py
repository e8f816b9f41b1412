"""A request that waits for its transcript, while the test moves its job."""

import threading

from api.tests.desk import Desk
from api.tests.listener import ears
from api.tests.server import Server, eventually
from api.tests.wire import Answer
from steno.jobs.record import Status, outcome


class Asked(threading.Thread):
    """A request that waits in a thread of its own; its job is surely waited for when this is made."""

    def __init__(self, server: Server, desk: Desk, request: bytes) -> None:
        super().__init__()
        self._server = server
        self._request = request
        self._answer: Answer | None = None
        self.start()
        assert eventually(lambda: ears(desk.redis) == 1)
        (self.job_id,) = desk.queue.unfinished()

    def run(self) -> None:
        self._answer = self._server.send(self._request)

    def answer(self) -> Answer:
        self.join()
        assert self._answer is not None
        return self._answer


def assert_hanging_up_cancels(server: Server, desk: Desk, request: bytes, keep: bool) -> None:
    """A client that leaves while its request waits: the job is canceled, or goes on where it is to be kept."""
    with server.connect() as wire:
        wire.send(request)
        assert eventually(lambda: ears(desk.redis) == 1)
        (job_id,) = desk.queue.unfinished()
    assert eventually(lambda: not ears(desk.redis))
    if keep:
        assert outcome(desk.storage, job_id) is None
    else:
        assert eventually(lambda: outcome(desk.storage, job_id) is Status.CANCELED)
