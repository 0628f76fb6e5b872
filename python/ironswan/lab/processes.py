"""Children that cannot outlive us: daemons in a namespace with a log, and forked tasks that return one JSON value."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from ironswan.lab.namespaces import Namespace

_PR_SET_PDEATHSIG = 1
T = TypeVar("T")
_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """Something in the lab did not come about; the text says what, for people."""


def until(condition: Callable[[], T | None], seconds: float, what: str, interval: float = 0.01) -> T:
    """Poll until `condition` is true and return its value. Raises LabError when the time is up."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise LabError(f"not within {seconds:g} s: {what}")
        time.sleep(interval)
    return value


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Daemon:
    """A program running in a namespace, its output in a log file."""

    def __init__(
        self, namespace: Namespace, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start it. Raises OSError when there is no such program."""
        self.log = log
        with log.open("ab") as output, namespace.entered():
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    @property
    def running(self) -> bool:
        """Whether the program has not ended yet."""
        return self.process.poll() is None

    def text(self) -> str:
        """The log so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """End the program at once, without a chance to clean up."""
        self.process.kill()
        self.process.wait()

    def stop(self, patience: float = 10.0) -> int:
        """Ask the program to end, insist after `patience` seconds; returns its exit code."""
        if self.running:
            self.process.terminate()
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.returncode


class Task:
    """A function running in a forked child; what it returns must be JSON."""

    def __init__(self, function: Callable[[], Any]) -> None:
        """Start it."""
        self._read, write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            self._run(function, write)
        os.close(write)

    def _run(self, function: Callable[[], Any], write: int) -> NoReturn:
        # Whatever happens, the child must not return into the parent's code.
        code = 1
        with contextlib.suppress(BaseException):
            _die_with_parent()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            try:
                answer = {"value": function()}
            except Exception as error:  # noqa: BLE001
                answer = {"error": f"{type(error).__name__}: {error}"}
            with os.fdopen(write, "w", encoding="utf-8") as pipe:
                json.dump(answer, pipe)
            code = 0
        os._exit(code)

    @property
    def done(self) -> bool:
        """Whether the function has returned: a child says nothing before its end."""
        return not self._pid or bool(select.select([self._read], [], [], 0)[0])

    def result(self, seconds: float) -> Any:  # noqa: ANN401
        """What the function returned. Raises LabError when it failed or the time is up."""
        deadline = time.monotonic() + seconds
        text = b""
        try:
            while True:
                if not select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))[0]:
                    raise LabError(f"a task did not end within {seconds:g} s")
                if not (piece := os.read(self._read, 65536)):
                    break
                text += piece
        finally:
            self.close()
        answer = json.loads(text) if text else {"error": "the task died"}
        if "error" in answer:
            raise LabError(answer["error"])
        return answer["value"]

    def close(self) -> None:
        """End the child if it still runs."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            os.close(self._read)
            self._pid = 0
