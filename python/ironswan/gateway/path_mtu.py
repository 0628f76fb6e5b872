"""The path MTU of each SA (RFC 4301 section 8.2): by the configuration, or by the route and routers on the way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ironswan.gateway.mtu import USUAL_PATH

if TYPE_CHECKING:
    from ironswan.dataplane.port import DataPlane
    from ironswan.gateway.children import Children, Installed
    from ironswan.gateway.icmp import TooBig
    from ironswan.policy.selectors import Address

    Path = tuple[Address, Address]

REFRESH = 30.0
# RFC 4301 section 8.2.2 leaves the time to us; RFC 1191 section 6.3 says ten minutes before more is tried again.
BELIEVED_FOR = 600.0
# Nobody is believed who says that even less gets through: RFC 791 section 3.1, RFC 8200 section 5.
_LEAST = {4: 576, 6: 1280}
log = logging.getLogger("ironswan.mtu")


class Routes(Protocol):
    """Who knows the machine's routes."""

    async def route_mtu(self, local: Address, remote: Address) -> int | None:
        """The octets of the longest packet that the route from one address to another takes; None without a route."""


@dataclass(frozen=True, slots=True)
class PathMtu:
    """Octets of the longest packet on the way, who said so, and those of the longest inner packet that fits it."""

    octets: int
    origin: str
    inner: int


@dataclass(frozen=True, slots=True)
class _Believed:
    octets: int
    until: float


class PathMtus:
    """Keeps the data plane's path MTUs in step with what is known."""

    def __init__(
        self, dataplane: DataPlane, children: Children, routes: Routes, configured: Callable[[str], int]
    ) -> None:
        """`configured` gives the MTU that a connection's configuration sets, or 0. Nothing is asked before `tick`."""
        self._dataplane = dataplane
        self._children = children
        self._routes = routes
        self._configured = configured
        self._by_route: dict[Path, int] = {}
        self._reported: dict[Address, _Believed] = {}
        self._known: dict[int, PathMtu] = {}
        self._sas: dict[tuple[Address, int], Installed] = {}
        self._fresh: set[int] = set()
        self._asked = -REFRESH
        self._task: asyncio.Task[None] | None = None

    def of(self, handle: int | None) -> PathMtu | None:
        """What is known of the path of an outbound SA."""
        return None if handle is None else self._known.get(handle)

    def changed(self, *child_ids: int) -> None:
        """These Child SAs are new, or have moved: ask for them at the next tick."""
        self._fresh.update(child_ids)
        for entry in filter(None, map(self._children.get, child_ids)):
            # Another path may leave other room with as many octets.
            self._known.pop(entry.handle or 0, None)

    def tick(self, now: float) -> None:
        """Forget what was believed long enough; ask for the routes of new SAs, and of all when it is time."""
        expired = [remote for remote, believed in self._reported.items() if now >= believed.until]
        for remote in expired:
            del self._reported[remote]
        if expired:
            self._apply(self._children)
        due = now - self._asked >= REFRESH
        if (due or self._fresh) and (self._task is None or self._task.done()):
            self._asked = now if due else self._asked
            self._task = asyncio.get_running_loop().create_task(self._refresh(everything=due))

    def report(self, report: TooBig, now: float) -> bool:
        """Believe a router, if it quotes an SA of ours and says less than is known; whether it was believed."""
        entry = self._sas.get((report.remote, report.spi))
        path = self.of(entry.handle) if entry else None
        octets = max(report.mtu, _LEAST[report.remote.version])
        if path is None or path.origin == "configuration" or octets >= path.octets:
            return False
        log.info("the path to %s carries %d octets, a router says; it was %d", report.remote, octets, path.octets)
        self._reported[report.remote] = _Believed(octets, now + BELIEVED_FOR)
        self._apply(entry for entry in self._children if entry.child.remote.address == report.remote)
        return True

    async def _refresh(self, *, everything: bool) -> None:
        fresh, self._fresh = self._fresh, set()
        entries = list(self._children) if everything else list(filter(None, map(self._children.get, fresh)))
        found = {}
        for path in {_path(entry) for entry in entries if entry.handle is not None}:
            mtu = await self._routes.route_mtu(*path)
            if mtu is not None:
                found[path] = min(mtu, USUAL_PATH)
        if everything:
            handles = {entry.handle for entry in self._children}
            self._known = {handle: path for handle, path in self._known.items() if handle in handles}
            self._sas, self._by_route = {}, found
        self._by_route |= found
        self._apply(entries)

    def _apply(self, entries: Iterable[Installed]) -> None:
        for entry in entries:
            if entry.handle is None:
                continue
            self._sas[entry.child.remote.address, entry.child.outbound_spi] = entry
            octets, origin = self._octets(entry)
            had = self._known.get(entry.handle)
            if had is None or (had.octets, had.origin) != (octets, origin):
                inner = self._dataplane.set_path_mtu(entry.handle, octets)
                self._known[entry.handle] = PathMtu(octets, origin, inner)

    def _octets(self, entry: Installed) -> tuple[int, str]:
        remote = entry.child.remote.address
        if configured := self._configured(entry.child.connection):
            return max(configured, _LEAST[remote.version]), "configuration"
        by_route = self._by_route.get(_path(entry), 0)
        believed = self._reported.get(remote)
        if believed and (not by_route or believed.octets < by_route):
            return believed.octets, "report"
        return by_route, "route"


def _path(entry: Installed) -> Path:
    return entry.child.local.address, entry.child.remote.address
