"""Hearing that the server stops while requests are still open: it tells the app only once they are over."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def at_stop_signal(act: Callable[[], None]) -> Iterator[None]:
    """While the context lasts, SIGTERM and SIGINT call `act` in the running event loop, and do what they did before.

    Signals reach the main thread alone; a server that runs in another one is not stopped by them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def heard(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(act)
        if callable(before[number]):
            before[number](number, frame)

    ours = {number: handler for number, handler in before.items() if callable(handler)}  # else nobody stops by it
    for number in ours:
        signal.signal(number, heard)
    try:
        yield
    finally:
        for number, handler in ours.items():
            if signal.getsignal(number) is heard:
                signal.signal(number, handler)
