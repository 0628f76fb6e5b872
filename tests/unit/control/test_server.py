"""The control socket: who may speak, what a caller hears, when it appears and when it goes."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ironswan.control import server as module
from ironswan.control.client import Client
from ironswan.control.protocol import MAX_REQUEST, CommandError, ExitCode, JsonObject
from ironswan.control.server import ControlServer, Progress

LARGE = 4 << 20


async def handler(request: JsonObject, progress: Progress) -> JsonObject:
    if request["command"] == "echo":
        progress("one")
        progress("two")
        return {"said": request.get("name")}
    if request["command"] == "wait":
        progress("waiting")
        await asyncio.Event().wait()
    if request["command"] == "large":
        return {"said": "x" * LARGE}
    if request["command"] == "fault":
        raise RuntimeError("a secret detail")
    raise CommandError(ExitCode.PEER_REFUSED, "no", notify=24)


def serving(path: Path, work: Callable[[ControlServer], Awaitable[object]]) -> object:
    async def run() -> object:
        server = ControlServer(path, handler)
        await server.start()
        try:
            return await work(server)
        finally:
            await server.stop()

    return asyncio.run(run())


def asking(path: Path, *words: str, **arguments: object) -> object:
    return serving(path, lambda _: asyncio.to_thread(Client(path).request, *words, **arguments))  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


def test_caller_hears_progress_and_then_the_result(path: Path) -> None:
    heard: list[str] = []
    assert asking(path, "echo", name="c", progress=heard.append) == {"said": "c"}
    assert heard == ["one", "two"]


def test_refusal_keeps_code_sentence_and_details(path: Path) -> None:
    with pytest.raises(CommandError, match="no") as refused:
        asking(path, "up")
    assert refused.value.code is ExitCode.PEER_REFUSED
    assert refused.value.details == {"notify": 24}


def test_fault_of_ours_tells_the_caller_nothing_of_it(path: Path) -> None:
    with pytest.raises(CommandError, match="internal error") as refused:
        asking(path, "fault")
    assert "secret" not in refused.value.message


def test_socket_is_for_its_owner_only_and_goes_with_the_server(path: Path) -> None:
    async def mode(_: ControlServer) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert serving(path, mode) == 0o600
    assert list(path.parent.iterdir()) == []


def test_socket_of_a_dead_gateway_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert asking(path, "echo", name="c") == {"said": "c"}


def test_socket_of_a_live_gateway_is_refused_and_stays(path: Path) -> None:
    async def second(_: ControlServer) -> object:
        with pytest.raises(CommandError, match="another gateway answers") as refused:
            await ControlServer(path, handler).start()
        assert refused.value.code is ExitCode.PERMISSION
        return await asyncio.to_thread(Client(path).request, "echo")

    assert serving(path, second) == {"said": None}


def test_file_that_is_no_socket_is_not_removed(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(CommandError, match="no socket"):
        asking(path, "echo")
    assert path.read_text() == "precious"


def test_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot make the control socket") as refused:
        asking(tmp_path / "absent" / "control.sock", "echo")
    assert refused.value.code is ExitCode.PERMISSION


def test_other_users_are_not_heard(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "peer_uid", lambda _: os.geteuid() + 4711)
    with pytest.raises(CommandError, match="closed the connection"):
        asking(path, "echo")


def test_request_without_end_is_refused_and_not_kept(path: Path) -> None:
    async def flood(_: ControlServer) -> bytes:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"x" * (MAX_REQUEST + 2))
        answer = await reader.read()
        writer.close()
        return answer

    answer = serving(path, flood)
    assert isinstance(answer, bytes)
    assert b'"code":"usage"' in answer


def test_several_requests_share_one_connection(path: Path) -> None:
    async def twice(_: ControlServer) -> list[bytes]:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"command":"up"}\nnonsense\n')
        answers = [await reader.readline(), await reader.readline()]
        writer.close()
        return answers

    first, second = serving(path, twice)  # type: ignore[misc]
    assert b"peer_refused" in first
    assert b"usage" in second


def test_nobody_listening_is_not_running_and_says_how_to_start(path: Path) -> None:
    with pytest.raises(CommandError, match="ironswan run") as refused:
        Client(path).request("status")
    assert refused.value.code is ExitCode.NOT_RUNNING


def test_answer_may_be_of_any_length(path: Path) -> None:
    assert asking(path, "large") == {"said": "x" * LARGE}


def test_who_waits_for_the_end_hears_of_it_after_everything_else(path: Path) -> None:
    async def wait(server: ControlServer) -> object:
        answered, loop = asyncio.Event(), asyncio.get_running_loop()
        asking = {"until_closed": True, "progress": lambda _: loop.call_soon_threadsafe(answered.set)}
        ended = asyncio.create_task(asyncio.to_thread(Client(path).request, "echo", **asking))  # type: ignore[arg-type]
        await answered.wait()
        await server.close()
        assert not path.exists()
        assert not ended.done()
        await server.stop()
        return await ended

    assert serving(path, wait) == {"said": None}


def test_nothing_is_served_once_it_is_closed(path: Path) -> None:
    async def late(server: ControlServer) -> bytes:
        reader, writer = await asyncio.open_unix_connection(path)
        busy, other = await asyncio.open_unix_connection(path)
        writer.write(b'{"command":"echo"}\n')
        other.write(b'{"command":"wait"}\n')
        for _ in range(3):
            await reader.readline()
        await busy.readline()
        await server.close()
        assert await busy.read() == b""
        writer.write(b'{"command":"echo"}\n')
        answer = await reader.readline()
        for each in (writer, other):
            each.close()
        return answer

    assert b"not_running" in serving(path, late)  # type: ignore[operator]


def test_what_is_no_answer_is_named_so(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        answers = iter([b"220 mail ready\n", b'{"resu'])

        def answer() -> None:
            for words in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(100)
                    connection.sendall(words)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(CommandError, match="no gateway: .*mail ready") as strange:
            Client(path).request("status")
        assert strange.value.code is ExitCode.FAILED
        with pytest.raises(CommandError, match="closed the connection before it answered"):
            Client(path).request("status")
        thread.join()
