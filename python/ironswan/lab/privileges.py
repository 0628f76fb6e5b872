"""What the lab needs of this machine: a TUN device, and root or a user namespace of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from ironswan.lab.namespaces import enter_user_namespace

TUN = Path("/dev/net/tun")
_INSIDE = "IRONSWAN_LAB_INSIDE"


def obstacle() -> str | None:
    """What this machine lacks, in one line; None when namespaces and tunnels can be made.

    Without root this starts the whole program over inside namespaces of its own, and does not return.
    """
    if not TUN.exists():
        return f"{TUN} is missing: load the tun module, or give the container the device (--device {TUN})"
    if not os.access(TUN, os.R_OK | os.W_OK):
        return f"{TUN} may not be opened by this user: run it with sudo"
    if not os.geteuid():
        return None
    return "the user namespace did not make us root" if _INSIDE in os.environ else _start_over()


def _start_over() -> str:
    """Become root in a user namespace; returns only when that is not possible, saying why."""
    try:
        enter_user_namespace()
        os.environ[_INSIDE] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606
    except OSError as error:
        return f"not root, and this system allows no user namespaces ({error.strerror}): run it with sudo"


def in_user_namespace() -> bool:
    """Whether root here is root in a user namespace only."""
    return _INSIDE in os.environ


@contextlib.contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, so that everything built is taken down."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
