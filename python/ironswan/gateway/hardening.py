"""Cheap locks on our own process: no core file, no reading of our memory by others, no new rights for what we start."""

from __future__ import annotations

import ctypes
import resource

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


def harden() -> None:
    """Keys live in this process: keep its memory out of core files and away from ptrace."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
