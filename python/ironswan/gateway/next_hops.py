"""Where the plain ESP of each SA goes on the link, so that the data plane can send it as frames.

Frames go past the kernel's IP: it neither looks for a neighbour nor asks whether one still lives on their account. So
it is asked here, and asked again, because routes and neighbours change. While a neighbour is unknown the data plane
sends through the kernel's IP, which looks for it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ironswan.dataplane.port import DataPlane
    from ironswan.gateway.children import Children
    from ironswan.policy.selectors import Address

REFRESH = 5.0


@dataclass(frozen=True, slots=True)
class NextHop:
    """A neighbour: the interface's index and MTU in octets, and the link-layer address."""

    interface: int
    mtu: int
    address: bytes


class Neighbours(Protocol):
    """Who knows the machine's neighbours."""

    async def next_hop(self, local: Address, remote: Address) -> NextHop | None:
        """The neighbour through which our own packets from one address reach another; None when it is not known."""


class NextHops:
    """Keeps the data plane's next hops in step with the machine's."""

    def __init__(self, dataplane: DataPlane, children: Children, neighbours: Neighbours) -> None:
        """Nothing is asked before `tick`."""
        self._dataplane = dataplane
        self._children = children
        self._neighbours = neighbours
        self._known: dict[int, NextHop | None] = {}
        self._asked = -REFRESH
        self._task: asyncio.Task[None] | None = None

    def tick(self, now: float) -> None:
        """Ask when it is time: for a new SA at once, for all others every five seconds."""
        plain = self._plain()
        fresh = any(handle not in self._known for handle in plain)
        if not plain or not (fresh or now - self._asked >= REFRESH):
            return
        if self._task is None or self._task.done():
            self._asked = now
            self._task = asyncio.get_running_loop().create_task(self._refresh())

    def moved(self) -> None:
        """Addresses changed: what is known is forgotten, as the data plane has."""
        self._known.clear()

    def _plain(self) -> dict[int, tuple[Address, Address]]:
        """Our address and the peer's for each outbound SA that sends plain ESP."""
        entries = ((entry.handle, entry.child) for entry in self._children if not entry.child.udp_encap)
        return {handle: (child.local.address, child.remote.address) for handle, child in entries if handle is not None}

    async def _refresh(self) -> None:
        plain = self._plain()
        found = {path: await self._neighbours.next_hop(*path) for path in dict.fromkeys(plain.values())}
        still = self._plain()
        self._known = {handle: hop for handle, hop in self._known.items() if handle in still}
        for handle, path in plain.items():
            hop = found[path]
            if still.get(handle) == path and (handle not in self._known or self._known[handle] != hop):
                self._known[handle] = hop
                interface, mtu, address = (hop.interface, hop.mtu, hop.address) if hop else (0, 0, None)
                self._dataplane.set_next_hop(handle, interface, mtu, address)
