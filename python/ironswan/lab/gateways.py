"""An ironswan gateway as a process of its own in a namespace, spoken to through its control socket."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ironswan.control.client import Client
from ironswan.control.protocol import CommandError
from ironswan.lab.namespaces import Namespace
from ironswan.lab.processes import Daemon, LabError, until


class Gateway:
    """`python -m ironswan run` in a namespace; `work` is a private folder for its configuration, socket and log."""

    def __init__(self, namespace: Namespace, work: Path, name: str, configuration: str) -> None:
        """Write the configuration; nothing runs yet."""
        self.name = name
        self.namespace = namespace
        self.socket = work / f"{name}.sock"
        self.file = work / f"{name}.conf"
        self.log = work / f"{name}.log"
        self.configure(configuration)
        self._daemon: Daemon | None = None

    def configure(self, configuration: str) -> None:
        """Write the configuration, readable for nobody else."""
        with os.fdopen(os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(configuration)

    def command_line(self, *words: str) -> list[str]:
        """What runs our own command for this gateway."""
        return [sys.executable, "-m", "ironswan", "--socket", str(self.socket), *words]

    def start(self, patience: float = 15.0) -> None:
        """Start the process and wait until it answers. Raises LabError with the end of its log."""
        self._daemon = Daemon(self.namespace, self.command_line("run", str(self.file)), self.log)
        until(self._answers, patience, f"{self.name} answers on its control socket")

    def _answers(self) -> bool:
        if self._daemon is None or not self._daemon.running:
            raise LabError(f"{self.name} did not start: {self.log_tail()}")
        with contextlib.suppress(CommandError):
            self.command("status")
            return True
        return False

    def log_tail(self, lines: int = 5) -> str:
        """The last lines of the log, in one."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return " | ".join(text.strip().splitlines()[-lines:]) or "its log is empty"

    def log_text(self) -> str:
        """The whole log."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def command(self, command: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send one command and wait for its result. Raises CommandError when the gateway says no."""
        return dict(Client(self.socket).request(command, **arguments))

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._daemon is not None and self._daemon.running

    @property
    def pid(self) -> int:
        """The number of the process. Raises LabError before it was started."""
        if self._daemon is None:
            raise LabError(f"{self.name} was not started")
        return self._daemon.process.pid

    def kill(self) -> None:
        """End the process without warning."""
        if self._daemon is not None:
            self._daemon.kill()

    def stop(self) -> int | None:
        """Ask the process to end; its exit code."""
        return None if self._daemon is None else self._daemon.stop()


def stop_all(gateways: Sequence[Gateway]) -> None:
    """End every gateway, whatever happens to the others."""
    with contextlib.ExitStack() as stack:
        for gateway in gateways:
            stack.callback(gateway.stop)
