"""Two data planes in two namespaces, left to right, with as many SAs as asked and keys made on the spot."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ironswan import _native
from ironswan.bench.scale.threads import Threads, known
from ironswan.bench.scale.threads import seconds as cpu_seconds
from ironswan.bench.tunnel.link import LINK_MTU, WIRE, ground
from ironswan.bench.tunnel.peer import Ground
from ironswan.lab.namespaces import Namespace
from ironswan.lab.processes import LabError, until

SUITE, KEYMAT = "aes128gcm16", 20
TUN = "ipsec0"
PORT = 5000
NAT_T = 4500
FIRST = ipaddress.IPv4Address("10.128.0.0")
REMOTE = "10.128.0.0/10"
MOST = 1 << 20
UDP, PLAIN, RAW, NOWHERE = "udp", "plain", "raw", "nowhere"
FORMS = (UDP, PLAIN, RAW, NOWHERE)
# A link that takes frames, and nobody reads them.
TAP = "nowhere"
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 2, 0x1000
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
class Rate:
    """Packets a second that arrived; CPU time in microseconds that sending and receiving threads took for each."""

    packets: float
    sending: float
    receiving: float


@dataclass(frozen=True, slots=True)
class Planes:
    """The two data planes, joined by `install`. `threads` are those of the left, then of the right one."""

    site: Ground
    left: _native.DataPlane
    right: _native.DataPlane
    threads: tuple[Threads, Threads]
    esp: str = UDP

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
            remote_addr=there, remote_port=NAT_T, key_owner=owner, udp_encap=self.esp == UDP,
        )  # fmt: skip
        if self.esp in (PLAIN, NOWHERE):
            self.left.set_next_hop(handle, *self._next_hop())
        self.left.add_policy(number + 1, [local], [remote])
        self.left.bind_policy(number + 1, handle)

    def _next_hop(self) -> tuple[int, int, bytes]:
        """The right side on the left one's link, or nobody on a link of its own."""
        if self.esp == NOWHERE:
            with self.site.left.namespace.netlink() as here:
                link = here.get_links(here.link_lookup(ifname=TAP)[0])[0]
            return link["index"], link.get("mtu"), bytes(6)
        with self.site.left.namespace.netlink() as here, self.site.right.namespace.netlink() as there:
            link = here.get_links(here.link_lookup(ifname=WIRE)[0])[0]
            address = there.get_links(there.link_lookup(ifname=WIRE)[0])[0].get("address")
        return link["index"], link.get("mtu"), bytes.fromhex(address.replace(":", ""))

    def ring(self) -> None:
        """Let the right side use packet rings, as one that sends plain ESP itself does. Raises LabError."""
        here, there = self.site.left.outer, self.site.right.outer
        self.right.install_outbound(
            1 << 31, SUITE, os.urandom(KEYMAT), esn=False, local_addr=there, local_port=0,
            remote_addr=here, remote_port=0, key_owner=self.right.allocate_spi(), udp_encap=False,
        )  # fmt: skip
        until(lambda: self.right.offloads()["esp_rings"], 5, "the right side has packet rings")

    def rate(self, seconds: float, *, size: int, addresses: int, in_a_row: int, segments: int) -> Rate:
        """What arrives of packets of `size` octets of UDP payload, or leaves where nothing can arrive."""
        threads = self.threads[0].sending, self.threads[1].receiving
        before = self._counted(), [cpu_seconds(each) for each in threads]
        packets = self._send(seconds, size=size, addresses=addresses, in_a_row=in_a_row, segments=segments)
        after = self._counted(), [cpu_seconds(each) for each in threads]
        if self.esp == NOWHERE:
            packets = (after[0][0] - before[0][0]) / seconds
        sending, receiving = (
            1e6 * (spent - had) / max(1, number - had_number)
            for spent, had, number, had_number in zip(after[1], before[1], after[0], before[0], strict=True)
        )
        return Rate(packets, sending, receiving)

    def _counted(self) -> tuple[int, int]:
        """Packets that left has sealed and right has opened."""
        return self.left.counters()["sealed_packets"], self.right.counters()["opened_packets"]

    def _send(self, seconds: float, *, size: int, addresses: int, in_a_row: int, segments: int) -> float:
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
def planes(workers: int, offload: str, esp: str = UDP) -> Iterator[Planes]:
    """Two data planes, started and routed, without SAs."""
    with ground(offload, LINK_MTU) as site, contextlib.ExitStack() as stack:
        opened, threads = [], []
        for each in (site.left, site.right):
            before = known()
            with each.namespace.entered():
                plane = _native.DataPlane(tun_name=TUN, workers=workers)
            stack.callback(plane.close)
            each.namespace.add_address("lo", f"{each.inner}/32")
            opened.append(plane)
            threads.append(Threads.since(before, workers))
        _route(site)
        pair = Planes(site, opened[0], opened[1], (threads[0], threads[1]), esp)
        if esp == PLAIN:
            pair.ring()
        elif esp == NOWHERE:
            stack.enter_context(_nowhere(site.left.namespace))
        yield pair


@contextlib.contextmanager
def _nowhere(namespace: Namespace) -> Iterator[None]:
    with namespace.entered():
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        with namespace.entered():
            fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH14x", TAP.encode(), _IFF_TAP | _IFF_NO_PI))
        namespace.up(TAP)
        yield
    finally:
        os.close(tap)


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
