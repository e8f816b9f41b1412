"""What a running process has used, by Linux's account in /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """CPU time in seconds (user and system, all threads, to a hundredth); resident memory now and at its peak in MB."""

    cpu_seconds: float
    rss_mb: float
    peak_mb: float


def usage(pid: int) -> Usage:
    """The account of a process at this moment; 1 MB is 2**20 bytes."""
    # After the name, which may hold anything up to its last bracket, utime and stime are the 12th and 13th field.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    told = dict(line.split(":", 1) for line in lines)
    rss, peak = (int(told[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return Usage((int(fields[11]) + int(fields[12])) / _TICKS, rss, peak)
