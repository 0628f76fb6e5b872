"""The machine's network by netlink: our interface, our rule, our routing table. Blocking calls, in a thread.

Everything of ours is marked with its own protocol number, so that what a dead gateway left behind can be told apart.
`rp_filter` is left as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import logging
import os
import socket
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ironswan.control.protocol import CommandError, ExitCode
from ironswan.gateway import neighbours, rules
from ironswan.gateway.next_hops import NextHop
from ironswan.gateway.routes import Kind, Prefix, Route, VersionOff
from ironswan.gateway.rules import MARK, PROTOCOL
from ironswan.policy.selectors import Address

__all__ = ["MARK", "Netlink", "Network"]

TABLE = 220
# A second name of our interface. A network namespace has it once, who gives it needs the right to, and it goes with the
# interface, however its gateway ends. Too long to be anybody's first name.
CLAIM = "ironswan-gateway"
GSO_MAX_SIZE = 60_000
_METRIC = {Kind.TUN: 100, Kind.UNREACHABLE: 1000, Kind.THROW: 1000}
_ROUTE_TYPE = {1: Kind.TUN, 7: Kind.UNREACHABLE, 9: Kind.THROW}
_RULES_NEED = {
    4: "CONFIG_IP_MULTIPLE_TABLES",
    6: "CONFIG_IPV6_MULTIPLE_TABLES, or IPv6 off altogether (ipv6.disable=1)",
}
# Where the kernel has IPv6.
_IPV6 = Path("/proc/net/if_inet6")
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_GONE = (errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL)
T = TypeVar("T")
log = logging.getLogger("ironswan.netlink")


class Network(Protocol):
    """What the gateway needs of the machine's network."""

    families: frozenset[int]
    """Versions of IP that there are here."""

    async def apply(self, add: frozenset[Route], remove: frozenset[Route]) -> dict[Route, str]:
        """Add, then remove; returns those that could not be added, and why."""

    async def addresses(self) -> tuple[Address, ...]:
        """Addresses of this host."""

    async def next_hop(self, local: Address, remote: Address) -> NextHop | None:
        """The neighbour through which our own packets from one address reach another."""

    async def route_mtu(self, local: Address, remote: Address) -> int | None:
        """Octets of the longest packet that the route of our own packets between two addresses takes."""

    async def outer_mtu(self, own_index: int, others: Collection[str] = ()) -> int:
        """The smallest MTU of the links that are up, without loopback, our interface and those with these names."""

    async def set_mtu(self, mtu: int, others: Iterable[str]) -> None:
        """Give our interface an MTU, and those with these names."""


class Netlink:
    """The kernel's routing in this namespace."""

    def __init__(self, table: int = TABLE) -> None:
        """Nothing is opened before the first call; `set_up` finds `families`, and `stale`: what is still refused."""
        self._table = table
        self._thread = ThreadPoolExecutor(1, "netlink")
        self._route: Any = None
        self._index = 0
        self._claimed = False
        self.families: frozenset[int] = frozenset()
        self.stale: tuple[Prefix, ...] = ()

    async def _call(self, work: Callable[[Any], T]) -> T:
        def run() -> T:
            if self._route is None:
                from pyroute2 import IPRoute

                self._route = IPRoute()
            return work(self._route)

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    async def set_up(self, index: int, mtu: int, ports: tuple[int, ...]) -> None:
        """Interface up, a dead gateway's leftovers away but for what it refuses, our rules in.

        `ports` are those of our own sockets. Raises CommandError for another gateway, and for rules the kernel refuses.
        """
        await self._call(lambda route: self._set_up(route, index, mtu, ports))

    def _set_up(self, route: Any, index: int, mtu: int, ports: tuple[int, ...]) -> None:  # noqa: ANN401
        self._claim(route, index)
        self._index = index
        route.link("set", index=index, mtu=mtu, state="up")
        with _tolerated("segmentation size"):
            route.link("set", index=index, gso_max_size=GSO_MAX_SIZE)
        with _tolerated("segmentation size"):
            route.link("set", index=index, gso_ipv4_max_size=GSO_MAX_SIZE)
        left = self._ours(route)
        self.stale = tuple(r.prefix for r in left if r.kind is Kind.UNREACHABLE)
        # The dead gateway's refusals stay until ours are in place: there is no moment without either.
        self._remove(route, [r for r in left if r.kind is not Kind.UNREACHABLE])
        self.families = frozenset(version for version, family in _FAMILY.items() if _is_on(family))
        for version in sorted(self.families):
            self._install_rules(route, version, ports)

    def _claim(self, route: Any, index: int) -> None:  # noqa: ANN401
        """Be the only gateway of this namespace, before anything is changed. Raises CommandError."""
        try:
            route.link("property_add", index=index, altname=CLAIM)
        except Exception as error:  # pyroute2's own error class is not an OSError
            if getattr(error, "code", None) == errno.EEXIST:
                (holder,) = route.link("get", altname=CLAIM)
                raise CommandError(
                    ExitCode.PERMISSION,
                    f"another gateway runs in this network namespace, with the interface {holder.get('ifname')}: stop "
                    "it, or run this one in a namespace of its own",
                ) from None
            if getattr(error, "code", None) != errno.EOPNOTSUPP:
                raise
            log.debug("Linux before 5.5: nothing tells whether another gateway runs in this network namespace")
        self._claimed = True

    def _install_rules(self, route: Any, version: int, ports: tuple[int, ...]) -> None:  # noqa: ANN401
        try:
            rules.install(route, _FAMILY[version], self._table, ports)
        except Exception as error:  # as above  # noqa: BLE001
            raise CommandError(
                ExitCode.PERMISSION,
                f"the kernel refuses routing rules for IPv{version} ({_reason(error)}), without which packets leave in "
                f"clear: it needs {_RULES_NEED[version]}",
            ) from None

    async def tear_down(self, *, keep_refusing: bool = False) -> None:
        """Remove every rule and route of ours and close; `keep_refusing` leaves what a killed gateway would leave.

        Where another gateway runs, everything is its.
        """

        def work(route: Any) -> None:  # noqa: ANN401
            if self._claimed and not keep_refusing:
                self._remove(route, self._ours(route))
                self._drop_rules(route)
            route.close()
            self._route = None

        await self._call(work)
        self._thread.shutdown()

    async def apply(self, add: frozenset[Route], remove: frozenset[Route]) -> dict[Route, str]:
        """Add, then remove; returns those that could not be added, and why."""

        def work(route: Any) -> dict[Route, str]:  # noqa: ANN401
            tried = {item: self._add(route, item) for item in sorted(add, key=_safest_first)}
            failed = {item: reason for item, reason in tried.items() if reason is not None}
            replaced = {(item.prefix, _METRIC[item.kind]) for item in add - failed.keys()}
            self._remove(route, [item for item in remove if (item.prefix, _METRIC[item.kind]) not in replaced])
            return failed

        return await self._call(work)

    async def addresses(self) -> tuple[Address, ...]:
        """Addresses of this host that others can reach, loopback ones last."""

        def work(route: Any) -> tuple[Address, ...]:  # noqa: ANN401
            texts = (a.get_attr("IFA_LOCAL") or a.get_attr("IFA_ADDRESS") for a in route.get_addr())
            found = {ip_address(text) for text in texts if text}
            return tuple(sorted((a for a in found if not a.is_link_local), key=lambda a: (a.is_loopback, a.version, a)))

        return await self._call(work)

    async def next_hop(self, local: Address, remote: Address) -> NextHop | None:
        """The neighbour through which our marked packets reach `remote`; None when the kernel does not know it now."""
        return await self._call(lambda route: neighbours.next_hop(route, local, remote, MARK))

    async def route_mtu(self, local: Address, remote: Address) -> int | None:
        """Octets of the longest packet that the route of our marked packets takes; None when there is no route."""
        return await self._call(lambda route: neighbours.route_mtu(route, local, remote, MARK))

    async def outer_mtu(self, own_index: int, others: Collection[str] = ()) -> int:
        """The smallest MTU of the links that are up, without loopback, our interface and those with these names."""

        def work(route: Any) -> int:  # noqa: ANN401
            links = (link for link in route.get_links() if link["index"] != own_index)
            links = (link for link in links if link.get_attr("IFLA_IFNAME") not in others)
            mtus = [link.get_attr("IFLA_MTU") for link in links if link["flags"] & 1 and not link["flags"] & 8]
            return min((int(mtu) for mtu in mtus if mtu and mtu >= 576), default=1500)

        return await self._call(work)

    async def set_mtu(self, mtu: int, others: Iterable[str]) -> None:
        """Give our interface an MTU, and those with these names."""

        def work(route: Any) -> None:  # noqa: ANN401
            indices = [index for name in others for index in route.link_lookup(ifname=name)]
            for index in (self._index, *indices):
                route.link("set", index=index, mtu=mtu)

        await self._call(work)

    def _add(self, route: Any, item: Route) -> str | None:  # noqa: ANN401
        """Add a route; else why it is not there."""
        if item.prefix.version not in self.families:
            return VersionOff(f"IPv{item.prefix.version} is off on this host")
        try:
            route.route("replace", **self._arguments(item))
        except Exception as error:  # as above  # noqa: BLE001
            if item.source is not None:
                # The address went meanwhile: better a route without it than none.
                return self._add(route, dataclasses.replace(item, source=None))
            if item.kind is Kind.TUN and item.prefix.version == 6 and getattr(error, "code", None) == errno.EACCES:
                # The unreachable route, which no interface can refuse, keeps the packets here.
                return VersionOff("IPv6 is off on the interface (net.ipv6.conf.all.disable_ipv6)")
            return _reason(error)
        return None

    def _remove(self, route: Any, items: list[Route]) -> None:  # noqa: ANN401
        for item in items:
            try:
                route.route("del", **self._arguments(item))
            except Exception as error:  # as above  # noqa: BLE001
                if getattr(error, "code", None) not in _GONE:
                    log.warning("the %s route for %s stays: %s", item.kind.value, item.prefix, error)

    def _arguments(self, item: Route) -> dict[str, object]:
        arguments: dict[str, object] = {
            "family": _FAMILY[item.prefix.version],
            "dst": str(item.prefix),
            "table": self._table,
            "priority": _METRIC[item.kind],
            "proto": PROTOCOL,
        }
        if item.kind is not Kind.TUN:
            return {**arguments, "type": item.kind.value}
        if item.source is not None:
            arguments["prefsrc"] = str(item.source)
        return {**arguments, "oif": self._index}

    def _ours(self, route: Any) -> list[Route]:  # noqa: ANN401
        found = []
        for family in _FAMILY.values():
            for entry in route.get_routes(family=family, table=self._table):
                if entry["proto"] != PROTOCOL or entry.get_attr("RTA_TABLE") != self._table:
                    continue
                nothing = "::" if family == socket.AF_INET6 else "0.0.0.0"  # noqa: S104
                prefix = ip_network(f"{entry.get_attr('RTA_DST') or nothing}/{entry['dst_len']}")
                found.append(Route(prefix, _ROUTE_TYPE.get(entry["type"], Kind.TUN)))
        return found

    def _drop_rules(self, route: Any) -> None:  # noqa: ANN401
        for family in _FAMILY.values():
            with _tolerated("our rules"):
                rules.remove(route, family)


def _is_on(family: int) -> bool:
    """Whether packets of this family may pass here, even if we are not permitted sockets of it."""
    if family == socket.AF_INET6 and _IPV6.exists():
        return True
    try:
        socket.socket(family, socket.SOCK_DGRAM).close()
    except OSError as error:
        return error.errno != errno.EAFNOSUPPORT
    return True


def _reason(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else getattr(error, "code", None)
    return os.strerror(number) if isinstance(number, int) else str(error)


def _safest_first(item: Route) -> int:
    return [Kind.UNREACHABLE, Kind.THROW, Kind.TUN].index(item.kind)


@contextlib.contextmanager
def _tolerated(what: str) -> Any:  # noqa: ANN401
    try:
        yield
    except Exception as error:  # as above: not an OSError  # noqa: BLE001
        log.debug("%s: %s", what, error)
