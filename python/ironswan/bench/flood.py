"""A flood of garbage at a gateway's shared port, and what an established tunnel still carries beside it."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ironswan.bench.tunnel.link import FRAMES, LINK_MTU, ground
from ironswan.bench.tunnel.peer import Ground
from ironswan.bench.tunnel.peers import ironswan, swanctl_conf
from ironswan.control.protocol import CommandError
from ironswan.lab.gateways import Gateway
from ironswan.lab.processes import Task, until
from ironswan.lab.traffic import Host, ping

SCHEMA = 1
PORT = 4500
SIZE = 512
_GARBAGE = 96
_VARIETY = 64
_SA_INIT, _INITIATOR = 34, 0x08
_BUFFER = 32 << 20
_LONGER = 2
_REKEYS = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """Datagrams a second of the flood and packets a second of the tunnel, for so long each."""

    rate: int = 200_000
    traffic: int = 20_000
    seconds: float = 3.0


@dataclass(frozen=True, slots=True)
class Result:
    """What one kind of garbage did: rates a second, and what of the tunnel's traffic arrived before and during it.

    `answers`: the gateways rekeyed while the flood went on; `rekey_ms` is the longest that took.
    """

    kind: str
    flood: float
    before: float
    during: float
    dropped: dict[str, int]
    answers: bool
    rekey_ms: float

    @property
    def kept(self) -> float:
        """The part of its packets that the tunnel kept."""
        return self.during / self.before if self.before else 0.0

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "kept": round(self.kept, 4)}


def document(found: Sequence[Result], about: Mapping[str, Any]) -> dict[str, object]:
    """One JSON document, as other benchmarks have it."""
    results = [each.document() for each in found]
    return {"schema": SCHEMA, "benchmark": "flood", "conditions": dict(about), "results": results}


def unknown_spi(_: int) -> bytes:
    """ESP of SAs that are not."""
    return b"\x7f" + os.urandom(_GARBAGE - 1)


def wrong_icv(spi: int) -> bytes:
    """ESP of the tunnel's own SA, far ahead in the window, with an ICV by chance."""
    return spi.to_bytes(4, "big") + b"\x7f" + os.urandom(_GARBAGE - 5)


def marker(_: int) -> bytes:
    """Random octets behind the non-ESP marker."""
    return bytes(4) + os.urandom(_GARBAGE - 4)


def ike_header(_: int) -> bytes:
    """What by its header is the first message of a new IKE SA, and nothing behind it is sound."""
    body = os.urandom(_GARBAGE - 32)
    header = os.urandom(7) + b"\x01" + bytes(8) + bytes((33, 0x20, _SA_INIT, _INITIATOR)) + bytes(4)
    return bytes(4) + header + (28 + len(body)).to_bytes(4, "big") + body


def runt(_: int) -> bytes:
    """One octet that is no keepalive."""
    return b"\x01"


KINDS: dict[str, Callable[[int], bytes]] = {
    each.__name__: each for each in (unknown_spi, wrong_icv, marker, ike_header, runt)
}


def measure(kind: str, plan: Plan) -> Result:
    """Flood the right gateway of a new pair with one kind of garbage. Raises LabError."""
    with ground(FRAMES, LINK_MTU) as built:
        left, right = ironswan.connected(built)
        here, there = ironswan.hosts(built)
        until(lambda: ping(here, there.address, 1).received == 1, 10, "the tunnel carries packets")
        (sa,) = right.command("status")["ike_sas"]
        spi = int(sa["children"][0]["inbound_spi"], 16)
        payloads = [KINDS[kind](spi) for _ in range(_VARIETY)]
        before = _delivered(here, there, plan)
        counted = _drops(right)
        with _flood(built, payloads, plan) as flood:
            during = _delivered(here, there, plan)
            rekeys = _rekeys(left)
            rate = flood.result(plan.seconds + _LONGER + 20) / (plan.seconds + _LONGER)
        dropped = {name: count - counted.get(name, 0) for name, count in _drops(right).items()}
        dropped = {name: count for name, count in dropped.items() if count}
        return Result(kind, rate, before, during, dropped, rekeys is not None, round(1000 * (rekeys or 0), 1))


def _drops(gateway: Gateway) -> dict[str, int]:
    counters = gateway.command("status")["dataplane"]["counters"]
    return {name: count for name, count in counters.items() if "drop" in name}


def _rekeys(left: Gateway) -> float | None:
    """Rekey, which needs the flooded gateway's answers: seconds of the longest of a few, None when one fails."""
    longest = 0.0
    for _ in range(_REKEYS):
        begin = time.perf_counter()
        try:
            left.command("rekey", kind="child", name=swanctl_conf.CHILD, timeout=20)
        except CommandError:
            return None
        longest = max(longest, time.perf_counter() - begin)
    return longest


@contextlib.contextmanager
def _flood(built: Ground, payloads: list[bytes], plan: Plan) -> Iterator[Task]:
    """Send the flood for so much longer than the traffic that rekeys fall into it."""
    from ironswan import _native

    sender = built.left.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        sender.connect((built.right.outer, PORT))
        task = Task(lambda: _native.udp_flood(sender.fileno(), payloads, plan.seconds + _LONGER, plan.rate))
    try:
        yield task
    finally:
        task.close()


def _delivered(source: Host, destination: Host, plan: Plan) -> float:
    """Packets a second that arrive through the tunnel, of those sent at the plan's rate."""
    from ironswan import _native

    receiver = destination.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender = source.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        receiver.bind((destination.address, 0))
        sender.bind((source.address, 0))
        sender.connect(receiver.getsockname())
        sink = Task(lambda: _native.udp_receive(receiver.fileno(), plan.seconds + 0.5))
        pump = Task(lambda: _native.udp_send(sender.fileno(), SIZE, plan.seconds, plan.traffic))
        try:
            pump.result(plan.seconds + 20)
            return float(sink.result(20)) / plan.seconds
        finally:
            pump.close()
            sink.close()
