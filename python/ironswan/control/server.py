"""The gateway's end of the control socket: who may speak, how much, and one task a request.

Knows no command: a handler turns a request into a result or raises CommandError.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path

from ironswan.control.protocol import MAX_REQUEST, CommandError, ExitCode, JsonObject, decode, encode

Progress = Callable[[str], None]
Handler = Callable[[JsonObject, Progress], Awaitable[JsonObject]]

CONNECTIONS = 32
IDLE_SECONDS = 300.0
_UCRED = struct.Struct("3i")
log = logging.getLogger("ironswan.control")


class ControlServer:
    """Listens on a unix socket of mode 0600 that appears at its path only once it can be served."""

    def __init__(self, path: Path, handler: Handler) -> None:
        """Nothing is opened yet."""
        self.path = path
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._inode: int | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self._closed = False

    async def start(self) -> None:
        """Listen. Raises CommandError when the path cannot be ours: a live gateway answers, or it is not writable."""
        claim(self.path)
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            listener = _bind(partial)
            self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=MAX_REQUEST)
            self._inode = partial.stat().st_ino
            partial.replace(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise CommandError(
                ExitCode.PERMISSION, f"cannot make the control socket {self.path}: {error.strerror or error}"
            ) from None

    async def close(self) -> None:
        """Stop listening, end what is being served, remove the path if it is still ours; nothing is served from now on.

        Idle connections stay until `stop`: whoever waits for our end sees it there.
        """
        if self._server is None or self._closed:
            return
        self._closed = True
        self._server.close()
        with contextlib.suppress(OSError):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()
        await _cancelled(self._answering)

    async def stop(self) -> None:
        """Close, and end all connections."""
        await self.close()
        await _cancelled(self._open)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._closed or len(self._open) >= CONNECTIONS or not _allowed(writer):
            writer.close()
            return
        self._open.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            log.debug("a control connection ended early")
        finally:
            self._open.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                line = await asyncio.wait_for(reader.readline(), IDLE_SECONDS)
            except ValueError:
                error = CommandError(ExitCode.USAGE, f"a request has at most {MAX_REQUEST} octets")
                writer.write(encode({"error": error.document()}))
                await writer.drain()
                return
            if not line:
                return
            if self._closed:
                writer.write(encode({"error": CommandError(ExitCode.NOT_RUNNING, "the gateway is ending").document()}))
            else:
                with self._busy():
                    writer.write(encode(await self._answer(line, writer)))
            await writer.drain()

    @contextlib.contextmanager
    def _busy(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            yield
        finally:
            self._answering.discard(task)

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> JsonObject:
        def progress(text: str) -> None:
            if not writer.is_closing():
                writer.write(encode({"progress": text}))

        try:
            return {"result": await self._handler(decode(line), progress)}
        except CommandError as error:
            return {"error": error.document()}
        except Exception:  # a fault in one command must not take the gateway's control away
            log.exception("a command failed in a way it should not")
            return {"error": CommandError(ExitCode.FAILED, "internal error: the gateway's log has it").document()}


async def _cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    others = [task for task in tasks if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _bind(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(CONNECTIONS)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def claim(path: Path) -> None:
    """Remove the socket of a dead gateway. Raises CommandError when a live one answers or something else is there."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise CommandError(ExitCode.PERMISSION, f"{path} is there and is no socket: choose another path with --socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            return
        except OSError as error:
            raise CommandError(ExitCode.PERMISSION, f"cannot use {path}: {error.strerror or error}") from None
    text = f"another gateway answers at {path}: stop it, or choose another path with --socket"
    raise CommandError(ExitCode.PERMISSION, text)


def peer_uid(connection: socket.socket) -> int:
    """Who is at the other end (SO_PEERCRED)."""
    _, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)


def _allowed(writer: asyncio.StreamWriter) -> bool:
    uid = peer_uid(writer.get_extra_info("socket"))
    if uid in (0, os.geteuid()):
        return True
    log.warning("user %d may not use the control socket", uid)
    return False
