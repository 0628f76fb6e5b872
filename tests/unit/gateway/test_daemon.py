"""What keeps a gateway from starting is one sentence that says what to do."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from ironswan.control.protocol import CommandError, ExitCode
from ironswan.gateway import daemon
from ironswan.gateway.daemon import obstacle
from ironswan.policy.connection import Settings


def failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.fixture(autouse=True)
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "tun"
    path.touch()
    monkeypatch.setattr(daemon, "TUN", path)
    return path


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (failure(errno.EPERM), "root"),
        (failure(errno.EBUSY), "another gateway runs in this network namespace"),
        (failure(errno.EADDRINUSE), "UDP port 500 or 4500 is in use"),
        (OSError("UDP port 4500: Address already in use (os error 98)"), "UDP port 500 or 4500 is in use"),
        (OSError("Device or resource busy (os error 16)"), "the interface ipsec0 is in use"),
        (failure(errno.ENOMEM), "Cannot allocate memory"),
    ],
)
def test_obstacle_is_named(error: OSError, words: str) -> None:
    text = obstacle(error, Settings(), "ipsec0")
    assert words in text
    assert "\n" not in text


def test_missing_device_comes_before_anything_else(device: Path) -> None:
    device.unlink()
    assert "--device" in obstacle(failure(errno.EPERM), Settings(), "ipsec0")


class Faulty:
    """Commands whose reload fails."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure
        self.stop = asyncio.Event()
        self.tried = asyncio.Event()

    async def reload(self) -> None:
        self.tried.set()
        raise self.failure


@pytest.mark.parametrize(
    ("failure", "lines"),
    [
        (RuntimeError("a fault"), ["not reloaded, by a fault of ours"]),
        (CommandError(ExitCode.CONFIGURATION, "has been logged"), []),
    ],
)
def test_reload_by_signal_that_fails_is_logged_once(
    failure: Exception, lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        commands: Any = Faulty(failure)
        daemon._on_signals(commands)  # what SIGHUP does is installed there alone
        os.kill(os.getpid(), signal.SIGHUP)
        await commands.tried.wait()
        await asyncio.sleep(0)

    asyncio.run(run())
    assert caplog.messages == lines
