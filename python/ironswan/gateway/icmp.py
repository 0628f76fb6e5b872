"""What routers report about packets of ours that were too big: ICMP (RFC 1191) and ICMPv6 (RFC 4443 section 3.2).

Reports are not authenticated. One counts for nothing here but as the claim of somebody who has seen a certain ESP
packet (RFC 4301 section 8.2.1); if it quotes too little to tell which, it is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ironswan.policy.selectors import Address

log = logging.getLogger("ironswan.icmp")

_UDP, _ESP = 17, 50
# Linux: what a raw socket does not want to hear of.
_ICMP_FILTER = (255, 1, struct.pack("=I", 0xFFFFFFFF & ~(1 << 3)))
_ICMPV6_FILTER = (socket.IPPROTO_ICMPV6, 1, struct.pack("=8I", 0xFFFFFFFF & ~(1 << 2), *[0xFFFFFFFF] * 7))
_FAMILIES = (
    (socket.AF_INET, socket.IPPROTO_ICMP, _ICMP_FILTER),
    (socket.AF_INET6, socket.IPPROTO_ICMPV6, _ICMPV6_FILTER),
)
# Reports heard before everything else has its turn.
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class TooBig:
    """A packet of the SA with this SPI, to this address, did not fit a link of `mtu` octets."""

    remote: Address
    spi: int
    mtu: int


def read_v4(packet: bytes) -> TooBig | None:
    """Read an IPv4 packet with an ICMP message; None when it reports nothing about ESP of ours."""
    start = (packet[0] & 15) * 4 if packet else 0
    icmp = packet[start:]
    if len(icmp) < 28 or icmp[:2] != b"\x03\x04":
        return None
    (mtu,) = struct.unpack_from("!H", icmp, 6)
    quoted = icmp[8:]
    header = (quoted[0] & 15) * 4
    if quoted[0] >> 4 != 4 or header < 20 or struct.unpack_from("!H", quoted, 6)[0] & 0x1FFF:
        return None
    return _about(quoted[16:20], quoted[9], quoted[header:], mtu)


def read_v6(message: bytes) -> TooBig | None:
    """Read an ICMPv6 message, without its IPv6 header; None when it reports nothing about ESP of ours."""
    if len(message) < 48 or message[0] != 2:
        return None
    (mtu,) = struct.unpack_from("!I", message, 4)
    quoted = message[8:]
    # The packets of ours that are quoted have no extension headers: fragments are the kernel's own doing, and fit.
    return _about(quoted[24:40], quoted[6], quoted[40:], mtu) if quoted[0] >> 4 == 6 else None


def _about(destination: bytes, protocol: int, upper: bytes, mtu: int) -> TooBig | None:
    at = {_UDP: 8, _ESP: 0}.get(protocol)
    if at is None or len(upper) < at + 4 or mtu == 0:
        return None
    (spi,) = struct.unpack_from("!I", upper, at)
    return TooBig(ip_address(destination), spi, mtu) if spi else None


class Reports:
    """The sockets that hear reports. Without the privilege for them nothing is heard, which is no fault."""

    def __init__(self, take: Callable[[TooBig], None]) -> None:
        """`take` gets each report about ESP."""
        self._take = take
        self._sockets: list[socket.socket] = []

    def start(self) -> None:
        """Begin to listen, on the running loop."""
        loop = asyncio.get_running_loop()
        for family, protocol, wanted in _FAMILIES:
            try:
                heard = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
            except OSError as error:
                log.info("path MTU reports are not heard for want of a raw socket: %s", error.strerror)
                continue
            heard.setsockopt(*wanted)
            self._sockets.append(heard)
            loop.add_reader(heard, self._readable, heard, read_v4 if family == socket.AF_INET else read_v6)

    def stop(self) -> None:
        """Listen no more."""
        for heard in self._sockets:
            asyncio.get_running_loop().remove_reader(heard)
            heard.close()
        self._sockets.clear()

    def _readable(self, heard: socket.socket, read: Callable[[bytes], TooBig | None]) -> None:
        with contextlib.suppress(OSError):
            for _ in range(_AT_ONCE):
                report = read(heard.recv(2048))
                if report is not None:
                    self._take(report)
