"""Anonymous network namespaces and what is set up in them.

A namespace here has no name in /run/netns: it lives as long as a file descriptor or a process keeps it, so the kernel
removes it, its links and its addresses even when this process is killed. Knows netlink and setns; nothing of IPsec.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pyroute2 import IPRoute

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
_OWN_NAMESPACE = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Give the calling thread new namespaces. Raises OSError."""
    if _libc.unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


def _enter(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


class Namespace:
    """One network namespace with its loopback up; `name` is for people only."""

    def __init__(self, name: str) -> None:
        """Make one. Raises OSError without the right to."""
        self.name = name
        origin = os.open(_OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            unshare(CLONE_NEWNET)
            try:
                self.fd = os.open(_OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
            finally:
                _enter(origin)
        finally:
            os.close(origin)
        self.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
        self.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.up("lo")

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Let go of the namespace; the kernel removes it with its last process and socket."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is inside: sockets opened and processes started here belong to the namespace."""
        origin = os.open(_OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(self.fd)
            try:
                yield
            finally:
                _enter(origin)
        finally:
            os.close(origin)

    @contextlib.contextmanager
    def netlink(self) -> Iterator[IPRoute]:
        """A netlink socket of the namespace."""
        with self.entered(), IPRoute() as netlink:
            yield netlink

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket that belongs to the namespace, whoever uses it."""
        with self.entered():
            return socket.socket(family, kind, protocol)

    def sysctl(self, key: str, value: int) -> None:
        """Set one `net.` value of the namespace."""
        with self.entered():
            Path("/proc/sys", *key.split(".")).write_text(f"{value}\n", encoding="ascii")

    def up(self, interface: str) -> None:
        """Switch an interface on."""
        with self.netlink() as netlink:
            netlink.link("set", index=self._index(netlink, interface), state="up")

    def down(self, interface: str) -> None:
        """Switch an interface off."""
        with self.netlink() as netlink:
            netlink.link("set", index=self._index(netlink, interface), state="down")

    def add_address(self, interface: str, address: str) -> None:
        """Give an interface an address, written `address/prefix length`."""
        host, length = address.split("/")
        with self.netlink() as netlink:
            netlink.addr("add", index=self._index(netlink, interface), address=host, prefixlen=int(length))

    def remove_address(self, interface: str, address: str) -> None:
        """Take an address with its prefix length away from an interface, and with it the routes that need it."""
        host, _, length = address.partition("/")
        with self.netlink() as netlink:
            netlink.addr("del", index=self._index(netlink, interface), address=host, prefixlen=int(length))

    def delete(self, interface: str) -> None:
        """Delete an interface, whoever made it."""
        with self.netlink() as netlink:
            netlink.link("del", index=self._index(netlink, interface))

    def forget_neighbours(self, interface: str) -> None:
        """Let it ask anew for the link-layer addresses of those it speaks to."""
        with self.netlink() as netlink:
            index = self._index(netlink, interface)
            for neighbour in netlink.neigh("dump", ifindex=index):
                netlink.neigh("del", ifindex=index, dst=neighbour.get("dst"))

    def throttle(self, interface: str, octets: int) -> None:
        """Let so many octets a second out of an interface, and all others wait."""
        with self.netlink() as netlink:
            shape = {"rate": octets, "burst": 1 << 14, "limit": 1 << 30}
            netlink.tc("add", "tbf", self._index(netlink, interface), **shape)

    def unthrottle(self, interface: str) -> None:
        """Take that back; what waited is lost."""
        with self.netlink() as netlink:
            netlink.tc("del", index=self._index(netlink, interface), parent=0xFFFFFFFF)

    def add_route(self, destination: str, gateway: str) -> None:
        """Add a route through a neighbour; `default` is a destination too."""
        with self.netlink() as netlink:
            netlink.route("add", dst=destination, gateway=gateway)

    def add_device_route(self, destination: str, interface: str, source: str) -> None:
        """Add a route into an interface, for which our own packets take an address."""
        with self.netlink() as netlink:
            netlink.route("add", dst=destination, oif=self._index(netlink, interface), prefsrc=source)

    def interfaces(self) -> list[str]:
        """The names of all interfaces."""
        with self.netlink() as netlink:
            return [str(link.get("ifname")) for link in netlink.get_links()]

    def routes(self) -> set[str]:
        """Every IPv4 route of every table, as comparable text."""
        with self.netlink() as netlink:
            found = netlink.get_routes(family=socket.AF_INET)
            return {
                f"{r.get('table')} type {r['type']} {r.get('dst')}/{r['dst_len']} oif {r.get('oif')}" for r in found
            }

    def rules(self) -> set[str]:
        """Every IPv4 routing rule, as comparable text."""
        with self.netlink() as netlink:
            found = netlink.get_rules(family=socket.AF_INET)
            return {f"{r.get('priority')} table {r.get('table')} mark {r.get('fwmark')}" for r in found}

    def packets(self, interface: str) -> int:
        """Packets that passed the interface, both ways."""
        with self.netlink() as netlink:
            link = netlink.get_links(self._index(netlink, interface))[0]
            counters = link.get("stats64")
            return int(counters["rx_packets"]) + int(counters["tx_packets"])

    @staticmethod
    def _index(netlink: IPRoute, interface: str) -> int:
        found = netlink.link_lookup(ifname=interface)
        if not found:
            raise LookupError(f"no interface {interface}")
        return int(found[0])


def connect(
    left: Namespace, right: Namespace, *, names: tuple[str, str], addresses: tuple[str, str], mtu: int = 1500
) -> None:
    """Lay a veth pair between two namespaces, give both ends their address and switch them on."""
    with left.netlink() as netlink:
        peer = {"ifname": names[1], "net_ns_fd": right.fd, "mtu": mtu}
        netlink.link("add", ifname=names[0], kind="veth", mtu=mtu, peer=peer)
    for namespace, name, address in zip((left, right), names, addresses, strict=True):
        namespace.add_address(name, address)
        namespace.up(name)


def enter_user_namespace() -> None:
    """Become root inside new user, network and mount namespaces; the process must have one thread. Raises OSError."""
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS)
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny", encoding="ascii")
    (own / "uid_map").write_text(f"0 {user} 1", encoding="ascii")
    (own / "gid_map").write_text(f"0 {group} 1", encoding="ascii")
