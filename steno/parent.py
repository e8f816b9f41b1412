"""A child process that ends with its parent."""

import ctypes
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(sent: signal.Signals = signal.SIGTERM) -> None:
    """On Linux, have the kernel send this process a signal when the thread that started it ends; elsewhere, do nothing.

    Called in the child: before exec, or first thing after. See prctl(2), PR_SET_PDEATHSIG.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, sent)
