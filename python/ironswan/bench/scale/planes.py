"""Two data planes in two namespaces, left to right, with as many SAs as asked and keys made on the spot."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ironswan import _native
from ironswan.bench.tunnel.link import ground
from ironswan.bench.tunnel.peer import Ground
from ironswan.lab.processes import LabError

SUITE, KEYMAT = "aes128gcm16", 20
TUN = "ipsec0"
PORT = 5000
NAT_T = 4500
FIRST = ipaddress.IPv4Address("10.128.0.0")
REMOTE = "10.128.0.0/10"
MOST = 1 << 20
BUFFER = 32 << 20
_SO_RCVBUFFORCE, _SOL_UDP, _UDP_SEGMENT = 33, 17, 103
_LOCAL_TABLE, _SCOPE_HOST, _LOCAL = 255, 254, 2


@dataclass(frozen=True, slots=True)
class Installed:
    """What it took to install the SAs: seconds, and octets of memory for each of them.

    One is what a gateway has for one Child SA: an outbound SA, an inbound SA, and a policy.
    """

    seconds: float
    octets_each: float


@dataclass(frozen=True, slots=True)
class Planes:
    """The two data planes, joined by `install`."""

    site: Ground
    left: _native.DataPlane
    right: _native.DataPlane

    def install(self, count: int, patience: float) -> Installed:
        """Install `count` SAs, each for one address behind the right side. Raises LabError when it takes too long."""
        before, begin = _resident(), time.monotonic()
        local = _selector(self.site.left.inner)
        for number in range(count):
            if time.monotonic() - begin > patience:
                raise LabError(f"{count} SAs were not installed within {patience:g} s, only {number}")
            self._install_one(number, local)
        return Installed(time.monotonic() - begin, (_resident() - before) / count)

    def _install_one(self, number: int, local: tuple[int, str, str, int, int]) -> None:
        remote, keymat = _selector(str(FIRST + number)), os.urandom(KEYMAT)
        here, there = self.site.left.outer, self.site.right.outer
        spi = self.right.allocate_spi()
        self.right.install_inbound(
            spi, SUITE, keymat, esn=False, replay_window=1024,
            remote_ts=[local], local_ts=[remote], remote_addr=here, remote_port=NAT_T,
        )  # fmt: skip
        owner = self.left.allocate_spi()
        handle = self.left.install_outbound(
            spi, SUITE, keymat, esn=False, local_addr=here, local_port=NAT_T,
            remote_addr=there, remote_port=NAT_T, key_owner=owner,
        )  # fmt: skip
        self.left.add_policy(number + 1, [local], [remote])
        self.left.bind_policy(number + 1, handle)

    def rate(self, seconds: float, *, size: int, addresses: int, in_a_row: int, segments: int) -> float:
        """Packets a second that arrive, of `size` octets of UDP payload, with `segments` in each super-packet."""
        left, right = self.site.left, self.site.right
        with (
            left.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as source,
            right.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink,
            ThreadPoolExecutor(2) as threads,
        ):
            with contextlib.suppress(PermissionError):
                sink.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER)
            sink.bind(("", PORT))
            source.bind((left.inner, 0))
            if segments > 1:
                source.setsockopt(_SOL_UDP, _UDP_SEGMENT, size)
            counted = threads.submit(_native.udp_receive, sink.fileno(), seconds + 0.3)
            _native.udp_send_spread(
                source.fileno(), size * segments, seconds,
                first=str(FIRST), addresses=addresses, in_a_row=max(1, in_a_row // segments), port=PORT,
            )  # fmt: skip
            return counted.result() / seconds


@contextlib.contextmanager
def planes(workers: int, offload: str) -> Iterator[Planes]:
    """Two data planes, started and routed, without SAs."""
    with ground(offload) as site, contextlib.ExitStack() as stack:
        opened = []
        for each in (site.left, site.right):
            with each.namespace.entered():
                plane = _native.DataPlane(tun_name=TUN, workers=workers)
            stack.callback(plane.close)
            each.namespace.add_address("lo", f"{each.inner}/32")
            opened.append(plane)
        _route(site)
        yield Planes(site, opened[0], opened[1])


def _route(site: Ground) -> None:
    """All remote addresses lie behind the tunnel, and are all the right side's own."""
    with site.left.namespace.netlink() as netlink:
        index = netlink.link_lookup(ifname=TUN)[0]
        netlink.route("add", dst=REMOTE, oif=index, prefsrc=site.left.inner)
    with site.right.namespace.netlink() as netlink:
        index = netlink.link_lookup(ifname="lo")[0]
        netlink.route("add", dst=REMOTE, oif=index, type=_LOCAL, table=_LOCAL_TABLE, scope=_SCOPE_HOST)


def _selector(address: str) -> tuple[int, str, str, int, int]:
    return (0, address, address, 0, 65535)


def _resident() -> int:
    """Octets of memory this process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
