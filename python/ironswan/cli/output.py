"""Files of results, and what goes wrong while they are made, as one line for people."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ironswan.control.protocol import CommandError, ExitCode


def words(error: Exception) -> str:
    """An error with the file it is about."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


@contextlib.contextmanager
def failures_in_words() -> Iterator[None]:
    """What the lab or the system refuses is one line and exit code 1. Print outside: a closed pipe is no failure."""
    from ironswan.lab.processes import LabError

    try:
        yield
    except (LabError, OSError) as error:
        raise CommandError(ExitCode.FAILED, words(error)) from error


def make_folder(folder: Path) -> None:
    """Make it before anything is measured: its end is no time to hear that nothing can be written.

    Raises CommandError.
    """
    with failures_in_words():
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise CommandError(ExitCode.FAILED, f"{folder}: cannot be written to")
