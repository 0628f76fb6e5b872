"""A tap on a wire that counts the packets which are not protected.

A classic BPF program in the kernel lets through only what is neither IKE nor ESP nor address resolution, and one in
SAMPLE_EVERY of IKE and ESP, whose first octets are searched for readable traffic. So the tap sees every
packet and costs next to nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import os
import select
import socket
import struct
from collections import Counter
from dataclasses import dataclass

from ironswan.lab.namespaces import Namespace
from ironswan.lab.processes import Task
from ironswan.lab.traffic import MARK

IKE_PORTS = (500, 4500)
NEIGHBOUR_DISCOVERY = range(133, 138)
SAMPLE_EVERY = 256
SNAP = 160
_ETH_P_ALL = 3
_ETH_IP, _ETH_ARP, _ETH_IPV6 = 0x0800, 0x0806, 0x86DD
_ESP, _UDP, _ICMPV6 = 50, 17, 58
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE, _PACKET_STATISTICS = 26, 33, 6
_SOL_PACKET = 263
_RANDOM = 0xFFFFF000 + 56  # SKF_AD_OFF + SKF_AD_RANDOM
_LDB, _LDH, _LDW, _LDX_IHL = 0x30, 0x28, 0x20, 0xB1
_LDH_X, _AND, _JEQ, _JGE, _JSET, _JA, _RET = 0x48, 0x54, 0x15, 0x35, 0x45, 0x05, 0x06

Step = tuple[int, int, str | None, str | None] | str


def _ports(load: int, source: int) -> list[Step]:
    """Both ports must be IKE's: a packet from a stranger's port is not ours."""
    second = f"second{source}"
    return [
        (load, source, None, None),
        (_JEQ, IKE_PORTS[0], second, None),
        (_JEQ, IKE_PORTS[1], second, "bad"),
        second,
        (load, source + 2, None, None),
        (_JEQ, IKE_PORTS[0], "good", None),
        (_JEQ, IKE_PORTS[1], "good", "bad"),
    ]


_PROGRAM: list[Step] = [
    (_LDH, 12, None, None),
    (_JEQ, _ETH_ARP, "nothing", None),
    (_JEQ, _ETH_IPV6, "six", None),
    (_JEQ, _ETH_IP, None, "bad"),
    (_LDB, 23, None, None),
    (_JEQ, _ESP, "good", None),
    (_JEQ, _UDP, None, "bad"),
    (_LDH, 20, None, None),
    (_JSET, 0x1FFF, "bad", None),
    (_LDX_IHL, 14, None, None),
    *_ports(_LDH_X, 14),
    "six",
    (_LDB, 20, None, None),
    (_JEQ, _ESP, "good", None),
    (_JEQ, _ICMPV6, None, "udp6"),
    (_LDB, 54, None, None),
    (_JGE, NEIGHBOUR_DISCOVERY.stop, "bad", None),
    (_JGE, NEIGHBOUR_DISCOVERY.start, "nothing", "bad"),
    "udp6",
    (_JEQ, _UDP, None, "bad"),
    *_ports(_LDH, 54),
    "good",
    (_LDW, _RANDOM, None, None),
    (_AND, SAMPLE_EVERY - 1, None, None),
    (_JEQ, 0, "bad", None),
    "nothing",
    (_RET, 0, None, None),
    "bad",
    (_RET, SNAP, None, None),
]


def assemble(program: list[Step]) -> list[tuple[int, int, int, int]]:
    """Resolve labels into classic BPF instructions (code, jt, jf, k)."""
    labels: dict[str, int] = {}
    steps: list[tuple[int, int, str | None, str | None]] = []
    for step in program:
        if isinstance(step, str):
            labels[step] = len(steps)
        else:
            steps.append(step)

    def jump(label: str | None, here: int) -> int:
        return 0 if label is None else labels[label] - here - 1

    return [(code, jump(true, at), jump(false, at), k) for at, (code, k, true, false) in enumerate(steps)]


def _attach(tap: socket.socket) -> None:
    code = assemble(_PROGRAM)
    packed = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in code))
    tap.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(code), ctypes.addressof(packed)))


def is_protected(frame: bytes) -> bool:
    """The filter's rule once more, over one Ethernet frame: IKE, ESP, ARP or neighbour discovery."""
    kind = int.from_bytes(frame[12:14])
    if kind == _ETH_ARP:
        return True
    if kind == _ETH_IP:
        protocol, header = frame[23], 14 + (frame[14] & 15) * 4
        if protocol == _UDP and int.from_bytes(frame[20:22]) & 0x1FFF:
            return False
    elif kind == _ETH_IPV6:
        protocol, header = frame[20], 54
        if protocol == _ICMPV6:
            return frame[54] in NEIGHBOUR_DISCOVERY
    else:
        return False
    ports = struct.unpack_from("!HH", frame, header) if protocol == _UDP else (0, 0)
    return protocol == _ESP or all(port in IKE_PORTS for port in ports)


def describe(frame: bytes) -> str:
    """Who sent an unprotected frame to whom, for people."""
    kind = int.from_bytes(frame[12:14])
    if kind == _ETH_IP:
        source, destination = (ipaddress.IPv4Address(frame[at : at + 4]) for at in (26, 30))
        return f"{source} > {destination} protocol {frame[23]}"
    if kind == _ETH_IPV6:
        first, second = (ipaddress.IPv6Address(frame[at : at + 16]) for at in (22, 38))
        return f"{first} > {second} protocol {frame[20]}"
    return f"ethertype {kind:#06x}"


@dataclass(frozen=True, slots=True)
class Findings:
    """What the tap saw: unprotected packets, protected ones looked into, those readable, and packets it had to drop."""

    unprotected: int
    sampled: int
    readable: int
    dropped: int
    examples: tuple[str, ...]

    @property
    def cleartext(self) -> int:
        """Packets that were or may have been readable on the wire."""
        return self.unprotected + self.readable + self.dropped


class Capture:
    """A running tap on one interface; `finish` ends it and says what it found."""

    def __init__(self, namespace: Namespace, interface: str) -> None:
        """Begin at once. Raises OSError when there is no such interface."""
        tap = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        with contextlib.suppress(PermissionError):
            tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
        _attach(tap)
        # Bound only now, so that nothing passes before the filter is there.
        with namespace.entered():
            tap.bind((interface, _ETH_P_ALL))
        stop, self._stop = os.pipe()
        with tap:
            tap.setblocking(False)
            self._task = Task(lambda: _watch(tap, stop))
        os.close(stop)

    def finish(self) -> Findings:
        """Stop and count."""
        os.write(self._stop, b".")
        try:
            found = self._task.result(10)
        finally:
            self.close()
        return Findings(**{**found, "examples": tuple(found["examples"])})

    def close(self) -> None:
        """Take the tap off the wire."""
        self._task.close()
        if self._stop >= 0:
            os.close(self._stop)
            self._stop = -1


def _watch(tap: socket.socket, stop: int) -> dict[str, object]:
    counts: Counter[str] = Counter()
    examples: list[str] = []
    ending = False
    while True:
        try:
            frame = tap.recv(SNAP)
        except BlockingIOError:
            if ending:
                break
            ending = stop in select.select([tap.fileno(), stop], [], [])[0]
            continue
        if is_protected(frame):
            counts["sampled"] += 1
            counts["readable"] += MARK in frame
        else:
            counts["unprotected"] += 1
            if len(examples) < 5:
                examples.append(describe(frame))
    dropped = struct.unpack("=II", tap.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1]
    return {
        "unprotected": counts["unprotected"],
        "sampled": counts["sampled"],
        "readable": counts["readable"],
        "dropped": dropped,
        "examples": examples,
    }
