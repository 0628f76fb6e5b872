"""Keeps our routing table in step with what is protected, one change at a time, off the loop.

Besides what the policies carry, it holds what must not leave in clear while no SA is there: a child with a start action
from the moment it is configured, any other from its first SA until the operator takes it down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from ironswan.gateway.policies import Selectors, Target
from ironswan.gateway.routes import Kind, Prefix, Protected, Route, inside, prefixes, wanted

if TYPE_CHECKING:
    from ironswan.gateway.netlink import Network
    from ironswan.gateway.policies import Policies
    from ironswan.policy.connection import ChildPolicy, Configuration
    from ironswan.policy.selectors import Address, SelectorTemplate

_UNUSED = IPv4Address(0)


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
        return frozenset(self._held) | frozenset(self._left)

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
            target = self._wanted(await self._network.addresses())
            add, remove = target - self._applied, self._applied - target
            if add or remove:
                failed = await self._network.apply(add, remove)
                self._applied = target - failed
