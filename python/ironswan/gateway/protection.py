"""Keeps our routing table in step with what is protected, one change at a time, off the loop.

Besides what the policies carry, it holds what must not leave in clear while no SA is there: a child with a start action
from the moment it is configured, any other from its first SA until the operator takes it down.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from ironswan.gateway.policies import Selectors, Target
from ironswan.gateway.routes import Kind, Prefix, Protected, Route, VersionOff, inside, prefixes, wanted

if TYPE_CHECKING:
    from ironswan.gateway.netlink import Network
    from ironswan.gateway.policies import Policies
    from ironswan.policy.connection import ChildPolicy, Configuration
    from ironswan.policy.selectors import Address, SelectorTemplate

_UNUSED = IPv4Address(0)
log = logging.getLogger("ironswan.gateway")


def resolved(templates: Sequence[SelectorTemplate], own: Address | None) -> Selectors | None:
    """Selectors with `dynamic` as `own`; None when there is a dynamic one and no address for it."""
    if own is None and any(template.start is None for template in templates):
        return None
    # Where an address is configured, the one given here is not looked at.
    return tuple(template.resolve(own or _UNUSED) for template in templates)


def is_static(child: ChildPolicy) -> bool:
    """Whether the peer's side of a child is known from the configuration alone."""
    return all(template.start is not None for template in child.remote_ts)


class Protection:
    """The routes of everything that is protected now."""

    def __init__(self, network: Network, policies: Policies, stale: Iterable[Prefix] = ()) -> None:
        """`stale`: prefixes a dead gateway left unreachable, removed with the first change unless they are held."""
        self._network = network
        self._policies = policies
        self._stale = frozenset(stale)
        self._applied = frozenset(Route(prefix, Kind.UNREACHABLE) for prefix in self._stale)
        self._held: dict[Target, Protected] = {}
        self._left: dict[Target, tuple[Prefix, ...]] = {}
        self._failed: dict[Route, str] = {}
        self._task: asyncio.Task[None] | None = None
        self._dirty = False

    def inherit(self, configuration: Configuration) -> None:
        """Go on refusing what a dead gateway protected for children that are still configured."""
        for connection in configuration.connections:
            for child in connection.children:
                steered = is_static(child) and not child.interface
                wide = prefixes(resolved(child.remote_ts, None) or ()) if steered else ()
                mine = tuple(p for p in self._stale if any(inside(p, w) for w in wide))
                if mine:
                    self._left[(connection.name, child.name)] = mine

    def hold(self, target: Target, local: Selectors, remote: Selectors) -> None:
        """Refuse these packets whenever no policy carries them, unless routes choose their interface."""
        if not self._policies.steers(target):
            self.release(target)
            return
        self._left.pop(target, None)
        self._held[target] = Protected(local, remote, carried=False)
        self.changed()

    def release(self, target: Target) -> None:
        """Refuse them no more."""
        held, left = self._held.pop(target, None), self._left.pop(target, None)
        if held is not None or left is not None:
            self.changed()

    def held(self) -> frozenset[Target]:
        """The children whose packets never leave in clear."""
        held = (target for target, pair in self._held.items() if self._lacking(pair.remote, Kind.UNREACHABLE) is None)
        return frozenset(held) | frozenset(self._left)

    @property
    def complete(self) -> bool:
        """Whether every route of ours could be added."""
        return not self._failed

    def obstacle(self, remote: Selectors) -> str | None:
        """Why packets to these may leave in clear, or do not come to the TUN; None: they are protected."""
        # A throw route that is missing keeps packets in the tunnel: it leads nothing out.
        found = self._lacking(remote, Kind.UNREACHABLE) or self._lacking(remote, Kind.TUN)
        return None if found is None else f"no route for {found.prefix}: {self._failed[found]}"

    def _lacking(self, remote: Selectors, kind: Kind) -> Route | None:
        """A route that is needed and not there. One of an IP version that is off is, where there is no other."""
        missing = {route.prefix: route for route in self._failed if route.kind is kind}
        if not missing:
            return None
        found = [missing.get(prefix) for prefix in prefixes(remote)]
        off = [route for route in found if route is not None and isinstance(self._failed[route], VersionOff)]
        if len(off) == len(found):
            return off[0]
        return next((route for route in found if route is not None and route not in off), None)

    async def refusal(self, target: Target, child: ChildPolicy) -> str | None:
        """Why a child that has no SA yet cannot be protected, as far as that is known. What failed is tried again."""
        if not self._policies.steers(target):
            return None
        versions = {template.start.version for template in child.remote_ts if template.start is not None}
        if is_static(child) and not versions & self._network.families:
            off = " and ".join(f"IPv{version}" for version in sorted(versions))
            return f"{off} is off on this host, and the child has nothing else"
        held = self._held.get(target)
        if held is None or self.obstacle(held.remote) is None:
            return None
        self.changed()
        await self.settled()
        return self.obstacle(held.remote)

    def changed(self) -> None:
        """Something is protected or no longer: bring the routing table in step, soon."""
        self._dirty = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._apply())

    @property
    def pending(self) -> bool:
        """Whether the table is not yet as it must be."""
        return self._task is not None and not self._task.done()

    async def settled(self) -> None:
        """Wait until the table is as it must be."""
        while self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

    def _wanted(self, own: tuple[Address, ...]) -> frozenset[Route]:
        left = {Route(prefix, Kind.UNREACHABLE) for each in self._left.values() for prefix in each}
        return wanted([*self._policies.protected(), *self._held.values()], own) | left

    async def _apply(self) -> None:
        while self._dirty:
            self._dirty = False
            try:
                target = self._wanted(await self._network.addresses())
                add, remove = target - self._applied, self._applied - target
                failed = await self._network.apply(add, remove) if add or remove else {}
            except Exception as error:  # whatever netlink says: what is not there is to be known  # noqa: BLE001
                there = {(route.prefix, route.kind) for route in self._applied}
                wanted_now = self._wanted(())
                self._note({r: str(error) for r in wanted_now if (r.prefix, r.kind) not in there})
                continue
            self._note(failed)
            self._applied = target - failed.keys()

    def _note(self, failed: dict[Route, str]) -> None:
        for route, reason in failed.items():
            if self._failed.get(route) != reason:
                level = logging.WARNING if isinstance(reason, VersionOff) else logging.ERROR
                log.log(level, "no %s route for %s: %s", route.kind.value, route.prefix, reason)
        self._failed = failed
