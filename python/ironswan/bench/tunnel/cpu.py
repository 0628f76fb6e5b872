"""Processor time, of the whole machine and of single processes, in seconds."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_BUSY = (0, 1, 2, 5, 6)  # user, nice, system, irq, softirq


def machine_seconds(stat: str | None = None) -> float:
    """Time all processors have been busy since the start, from the text of /proc/stat."""
    text = Path("/proc/stat").read_text(encoding="ascii") if stat is None else stat
    fields = text.split("\n", 1)[0].split()[1:]
    return sum(int(fields[at]) for at in _BUSY) / _TICKS


def process_seconds(pids: Iterable[int]) -> float:
    """User and system time of all threads of the processes; those that have ended count nothing."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += parse_process(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace"))
    return total


def parse_process(stat: str) -> float:
    """User and system time from the text of /proc/PID/stat, whose second field may hold anything in parentheses."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def busy_share(seconds: float = 0.5) -> float:
    """The share of all processors that is busy during the next `seconds`: 0 idle, 1 all of them."""
    begin, clock = machine_seconds(), time.monotonic()
    time.sleep(seconds)
    return (machine_seconds() - begin) / (time.monotonic() - clock) / (os.cpu_count() or 1)
