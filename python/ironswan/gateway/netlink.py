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
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Protocol, TypeVar

from ironswan.gateway import neighbours, rules
from ironswan.gateway.next_hops import NextHop
from ironswan.gateway.routes import Kind, Prefix, Route
from ironswan.gateway.rules import MARK, PROTOCOL
from ironswan.policy.selectors import Address

__all__ = ["MARK", "Netlink", "Network"]

TABLE = 220
GSO_MAX_SIZE = 60_000
_METRIC = {Kind.TUN: 100, Kind.UNREACHABLE: 1000, Kind.THROW: 1000}
_ROUTE_TYPE = {1: Kind.TUN, 7: Kind.UNREACHABLE, 9: Kind.THROW}
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_GONE = (errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL)
T = TypeVar("T")
log = logging.getLogger("ironswan.netlink")


class Network(Protocol):
    """What the gateway needs of the machine's network."""

    async def apply(self, add: frozenset[Route], remove: frozenset[Route]) -> frozenset[Route]:
        """Add, then remove; returns those that could not be added."""

    async def addresses(self) -> tuple[Address, ...]:
        """Addresses of this host."""

    async def next_hop(self, local: Address, remote: Address) -> NextHop | None:
        """The neighbour through which our own packets from one address reach another."""

    async def route_mtu(self, local: Address, remote: Address) -> int | None:
        """Octets of the longest packet that the route of our own packets between two addresses takes."""

    async def outer_mtu(self, own_index: int) -> int:
        """The smallest MTU of the links that are up, our own and loopback left out."""

    async def set_mtu(self, mtu: int, others: Iterable[str]) -> None:
        """Give our interface an MTU, and those with these names."""


@dataclass(slots=True)
class _State:
    index: int = 0
    families: frozenset[int] = frozenset()


class Netlink:
    """The kernel's routing in this namespace."""

    def __init__(self, table: int = TABLE) -> None:
        """Nothing is opened before the first call."""
        self._table = table
        self._thread = ThreadPoolExecutor(1, "netlink")
        self._route: Any = None
        self._state = _State()

    async def _call(self, work: Callable[[Any], T]) -> T:
        def run() -> T:
            if self._route is None:
                from pyroute2 import IPRoute

                self._route = IPRoute()
            return work(self._route)

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    async def set_up(self, index: int, mtu: int, ports: tuple[int, ...]) -> tuple[Prefix, ...]:
        """Interface up, a dead gateway's leftovers away, our rules in; returns what the dead one protected.

        `ports` are those of our own sockets.
        """
        return await self._call(lambda route: self._set_up(route, index, mtu, ports))

    def _set_up(self, route: Any, index: int, mtu: int, ports: tuple[int, ...]) -> tuple[Prefix, ...]:  # noqa: ANN401
        self._state.index = index
        route.link("set", index=self._state.index, mtu=mtu, state="up")
        with _tolerated("segmentation size"):
            route.link("set", index=self._state.index, gso_max_size=GSO_MAX_SIZE)
        with _tolerated("segmentation size"):
            route.link("set", index=self._state.index, gso_ipv4_max_size=GSO_MAX_SIZE)
        stale = self._ours(route)
        # The dead gateway's refusals stay until ours are in place: there is no moment without either.
        self._remove(route, [r for r in stale if r.kind is not Kind.UNREACHABLE])
        families = []
        for version, family in _FAMILY.items():
            try:
                rules.install(route, family, self._table, ports)
                families.append(version)
            except OSError as error:
                log.info("IPv%d is not protected here: %s", version, error)
            except Exception as error:  # pyroute2's own error class is not an OSError  # noqa: BLE001
                log.info("IPv%d cannot be protected here: %s", version, error)
        self._state.families = frozenset(families)
        return tuple(r.prefix for r in stale if r.kind is Kind.UNREACHABLE)

    async def tear_down(self, *, keep_refusing: bool = False) -> None:
        """Remove every rule and route of ours and close; `keep_refusing` leaves what a killed gateway would leave."""

        def work(route: Any) -> None:  # noqa: ANN401
            if not keep_refusing:
                self._remove(route, self._ours(route))
                self._drop_rules(route)
            route.close()
            self._route = None

        await self._call(work)
        self._thread.shutdown()

    async def apply(self, add: frozenset[Route], remove: frozenset[Route]) -> frozenset[Route]:
        """Add, then remove; returns those that could not be added."""

        def work(route: Any) -> frozenset[Route]:  # noqa: ANN401
            failed = {item for item in sorted(add, key=_safest_first) if not self._add(route, item)}
            replaced = {(item.prefix, _METRIC[item.kind]) for item in add - failed}
            self._remove(route, [item for item in remove if (item.prefix, _METRIC[item.kind]) not in replaced])
            return frozenset(failed)

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

    async def outer_mtu(self, own_index: int) -> int:
        """The smallest MTU of the links that are up, our own and loopback left out."""

        def work(route: Any) -> int:  # noqa: ANN401
            links = (link for link in route.get_links() if link["index"] != own_index)
            mtus = [link.get_attr("IFLA_MTU") for link in links if link["flags"] & 1 and not link["flags"] & 8]
            return min((int(mtu) for mtu in mtus if mtu and mtu >= 576), default=1500)

        return await self._call(work)

    async def set_mtu(self, mtu: int, others: Iterable[str]) -> None:
        """Give our interface an MTU, and those with these names."""

        def work(route: Any) -> None:  # noqa: ANN401
            indices = [index for name in others for index in route.link_lookup(ifname=name)]
            for index in (self._state.index, *indices):
                route.link("set", index=index, mtu=mtu)

        await self._call(work)

    def _add(self, route: Any, item: Route) -> bool:  # noqa: ANN401
        if item.prefix.version not in self._state.families:
            log.warning("no route for %s: IPv%d is off here", item.prefix, item.prefix.version)
            return False
        try:
            route.route("replace", **self._arguments(item))
        except Exception as error:  # pyroute2's own error class is not an OSError  # noqa: BLE001
            if item.source is not None:
                # The address went meanwhile: better a route without it than none.
                return self._add(route, dataclasses.replace(item, source=None))
            log.warning("no %s route for %s: %s", item.kind.value, item.prefix, error)
            return False
        return True

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
        return {**arguments, "oif": self._state.index}

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


def _safest_first(item: Route) -> int:
    return [Kind.UNREACHABLE, Kind.THROW, Kind.TUN].index(item.kind)


@contextlib.contextmanager
def _tolerated(what: str) -> Any:  # noqa: ANN401
    try:
        yield
    except Exception as error:  # as above: not an OSError  # noqa: BLE001
        log.debug("%s: %s", what, error)
