"""A client of the control socket, without asyncio: for the command line and the lab."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from ironswan.control.protocol import CommandError, ExitCode, JsonObject, decode, encode

Progress = Callable[[str], None]


def _silent(_text: str) -> None:
    """Nobody looks."""


class Client:
    """Speaks to the gateway at `path`; one connection a command."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet."""
        self.path = path

    def request(
        self,
        command: str,
        *,
        progress: Progress = _silent,
        patience: float | None = 60.0,
        until_closed: bool = False,
        **arguments: object,
    ) -> JsonObject:
        """Send one command and return its result; `patience` is seconds without a word from the gateway, None for ever.

        `until_closed` returns it when the gateway closes the connection, which after `stop` is when it has ended.
        Raises CommandError: what the gateway said, NOT_RUNNING when none answers, PERMISSION when it is not for us.
        """
        found: JsonObject | None = None
        with self._connect(patience) as connection:
            try:
                connection.sendall(encode({"command": command, **arguments}))
                for reply in self._replies(connection):
                    if "progress" in reply:
                        progress(str(reply["progress"]))
                    elif isinstance(error := reply.get("error"), dict):
                        raise self._error(error)
                    elif isinstance(result := reply.get("result"), dict):
                        found = result
                        if not until_closed:
                            break
            except TimeoutError:
                raise CommandError(ExitCode.TIMEOUT, f"the gateway did not answer within {patience:g} s") from None
            except (ConnectionError, BrokenPipeError):
                pass
        if found is None:
            raise CommandError(ExitCode.FAILED, "the gateway closed the connection before it answered")
        return found

    @staticmethod
    def _error(error: JsonObject) -> CommandError:
        details = {key: value for key, value in error.items() if key not in ("code", "message")}
        return CommandError(ExitCode.of(str(error.get("code"))), str(error.get("message", "it failed")), **details)

    def _connect(self, patience: float | None) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(patience)
        try:
            connection.connect(str(self.path))
        except OSError as error:
            connection.close()
            if isinstance(error, PermissionError):
                text = f"{self.path} is not for this user: become root, or the user who runs the gateway"
                raise CommandError(ExitCode.PERMISSION, text) from None
            raise CommandError(
                ExitCode.NOT_RUNNING,
                f"no gateway answers at {self.path} ({error.strerror or error}): start one with `ironswan run FILE`, "
                "or name its socket with --socket",
            ) from None
        return connection

    @staticmethod
    def _replies(connection: socket.socket) -> Iterator[JsonObject]:
        """Of any length: who can answer there is the gateway, or has its rights."""
        with connection.makefile("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    return  # it ended in the middle of an answer
                try:
                    yield decode(line)
                except CommandError:
                    raise CommandError(
                        ExitCode.FAILED, f"what answers at the socket is no gateway: {line[:60]!r}"
                    ) from None
