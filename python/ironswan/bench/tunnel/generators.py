"""Makes TCP traffic between two hosts: iperf3 where it is installed, the lab's own streams where it is not."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ironswan.lab.namespaces import Namespace
from ironswan.lab.processes import Daemon, LabError, until
from ironswan.lab.traffic import Host, TcpStreams

PORT = 5301
_LISTENING = "0A"


@dataclass(frozen=True, slots=True)
class Volume:
    """What arrived: octets in all, and the rate in Gbit/s, of all streams and both directions together."""

    octets: int
    gbps: float


class Run(Protocol):
    """Traffic that flows."""

    @property
    def running(self) -> bool:
        """Whether it still flows."""
        ...

    def volume(self) -> Volume:
        """Wait for the end; what arrived. Raises LabError."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Generator(Protocol):
    """Makes TCP traffic at full speed."""

    name: str

    def start(self, source: Host, destination: Host, seconds: int, *, streams: int = 1, both_ways: bool = False) -> Run:
        """Begin `streams` streams, with `both_ways` as many back at the same time. Raises LabError."""
        ...


class OwnStreams:
    """The lab's streams: a process each, blocks of 256 KiB."""

    name = "ironswan's own streams"

    def start(self, source: Host, destination: Host, seconds: int, *, streams: int = 1, both_ways: bool = False) -> Run:
        """Begin."""
        back = [(destination, source)] * streams if both_ways else []
        return _OwnRun([(source, destination)] * streams + back, seconds)


class _OwnRun(TcpStreams):
    def volume(self) -> Volume:
        """Wait for the end; what arrived. Raises LabError."""
        got = self.received()
        return Volume(sum(each.octets for each in got), sum(each.gbps for each in got))


class Iperf3:
    """The program iperf3, a server and a client for each run."""

    def __init__(self, program: Path) -> None:
        self.name = _first_line([str(program), "--version"]) or "iperf3"
        self._program = str(program)

    def start(self, source: Host, destination: Host, seconds: int, *, streams: int = 1, both_ways: bool = False) -> Run:
        """Begin. Raises LabError when iperf3 does not start."""
        listen = [self._program, "-s", "-1", "-B", destination.address, "-p", str(PORT)]
        call = [self._program, "-c", destination.address, "-B", source.address, "-p", str(PORT), "-t", str(seconds)]
        call += ["-J", "-P", str(streams), *(["--bidir"] if both_ways else [])]
        return _Iperf3Run((destination.namespace, listen), (source.namespace, call), seconds)


Command = tuple[Namespace, list[str]]


class _Iperf3Run:
    def __init__(self, server: Command, client: Command, seconds: int) -> None:
        self._seconds = seconds
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ironswan-iperf3-")))
            listener = Daemon(*server, folder / "server")
            stack.callback(listener.kill)
            until(lambda: _listens(listener), 5, "iperf3 listens")
            self._client = Daemon(*client, folder / "client")
            stack.callback(self._client.kill)
            self._stack = stack.pop_all()

    @property
    def running(self) -> bool:
        """Whether the client runs."""
        return self._client.running

    def volume(self) -> Volume:
        """Wait for the end; what arrived. Raises LabError."""
        try:
            until(lambda: not self._client.running, self._seconds + 15, "iperf3 ends", interval=0.05)
            return parse_iperf3(self._client.text())
        finally:
            self.close()

    def close(self) -> None:
        """End both programs."""
        self._stack.close()


def _listens(server: Daemon) -> bool:
    if not server.running:
        raise LabError(f"iperf3 did not start: {server.text()[-200:]}")
    table = Path(f"/proc/{server.process.pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return any(row.split()[1].endswith(f":{PORT:04X}") and row.split()[3] == _LISTENING for row in table)


def parse_iperf3(text: str) -> Volume:
    """What arrived according to iperf3's JSON. Raises LabError when the run failed."""
    try:
        document: dict[str, Any] = json.loads(text)
        if "error" in document:
            raise LabError(f"iperf3: {document['error']}")
        end = document["end"]
        sums = [
            end["sum_received"],
            *([end["sum_received_bidir_reverse"]] if "sum_received_bidir_reverse" in end else []),
        ]
        return Volume(
            sum(int(each["bytes"]) for each in sums), sum(float(each["bits_per_second"]) for each in sums) / 1e9
        )
    except (ValueError, KeyError) as error:
        raise LabError(f"iperf3 gave no result: {text[-200:]!r}") from error


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.partition("\n")[0].strip()


def choose(kind: str = "auto") -> Generator:
    """The generator to use: `iperf3`, `own`, or `auto` for iperf3 if it is here. Raises LabError."""
    program = shutil.which("iperf3")
    if kind == "own" or (kind == "auto" and program is None):
        return OwnStreams()
    if program is None:
        raise LabError("iperf3 is not installed; leave --generator away to measure with ironswan's own streams")
    return Iperf3(Path(program))
