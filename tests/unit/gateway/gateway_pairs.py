"""Two gateways in one event loop: real engines and real control commands, data planes and networks that only record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from ironswan.dataplane.null import NullDataPlane
from ironswan.dataplane.port import IkeDatagram
from ironswan.gateway.commands import Commands
from ironswan.gateway.gateway import Gateway
from ironswan.gateway.next_hops import NextHop
from ironswan.gateway.routes import Kind, Prefix, Route
from ironswan.policy.connection import ChildPolicy, Configuration, Connection, LocalAuth, RemoteAuth, SharedSecret
from ironswan.policy.identity import Identity, IdType
from ironswan.policy.proposals import parse_proposal
from ironswan.policy.selectors import Address, parse_selector
from ironswan.policy.transforms import Protocol

# Own addresses of the loopback network, so that the kernel's routing lookup gives them back.
ADDRESS = {"left": "127.0.1.1", "right": "127.0.1.2"}
NET = {"left": "10.1.0.0/24", "right": "10.2.0.0/24"}
OTHER = {"left": "right", "right": "left"}


class LinkedPlane(NullDataPlane):
    """Sends to another one of its kind; `cut` loses everything instead."""

    def __init__(self, workers: int = 1) -> None:
        super().__init__(workers)
        self.peer: LinkedPlane | None = None
        self.cut = False

    def send(self, local_addr: str, local_port: int, remote_addr: str, remote_port: int, data: bytes) -> bool:
        if self.peer is not None and not self.cut:
            self.peer.tell(IkeDatagram(remote_addr, remote_port, local_addr, local_port, data))
        return super().send(local_addr, local_port, remote_addr, remote_port, data)


@dataclass
class RecordedNetwork:
    """A routing table in memory."""

    own: tuple[Address, ...]
    routes: set[Route] = field(default_factory=set)
    mtu: int = 0
    links: int = 1500
    next_hops: dict[Address, NextHop] = field(default_factory=dict)
    families: frozenset[int] = frozenset((4, 6))
    refuses: set[Kind] = field(default_factory=set)

    async def apply(self, add: frozenset[Route], remove: frozenset[Route]) -> dict[Route, str]:
        failed = {route: "the kernel says no" for route in add if route.kind in self.refuses}
        self.routes = (self.routes | (add - failed.keys())) - remove
        return failed

    async def addresses(self) -> tuple[Address, ...]:
        return self.own

    async def route_mtu(self, local: Address, remote: Address) -> int | None:
        return self.links

    async def outer_mtu(self, own_index: int, others: Collection[str] = ()) -> int:
        return self.links

    async def set_mtu(self, mtu: int, others: Iterable[str]) -> None:
        self.mtu = mtu

    async def next_hop(self, local: Address, remote: Address) -> NextHop | None:
        return self.next_hops.get(remote) if local in self.own else None

    def kinds(self, prefix: str) -> set[Kind]:
        return {route.kind for route in self.routes if str(route.prefix) == prefix}


def identity(name: str) -> Identity:
    return Identity(IdType.FQDN, f"{name}.test".encode())


def child(side: str, **changes: Any) -> ChildPolicy:
    policy = ChildPolicy(
        "lan",
        (parse_selector(NET[side]),),
        (parse_selector(NET[OTHER[side]]),),
        (parse_proposal("aes128gcm16", Protocol.ESP),),
    )
    return replace(policy, **changes)


def configuration(
    side: str, secret: bytes = b"for tests only", *, children: tuple[ChildPolicy, ...] | None = None, **changes: Any
) -> Configuration:
    connection = Connection(
        "home",
        children or (child(side),),
        (parse_proposal("aes128gcm16-prfsha256-x25519", Protocol.IKE),),
        remote_addrs=(ADDRESS[OTHER[side]],),
        local_addrs=(ADDRESS[side],),
        local=LocalAuth("psk", identity(side)),
        remote=RemoteAuth("psk", identity(OTHER[side])),
    )
    return Configuration((replace(connection, **changes),), (SharedSecret("s", secret),))


class Side:
    """One gateway with everything a test wants to look at."""

    def __init__(self, side: str, conf: Configuration, stale: tuple[Prefix, ...] = (), workers: int = 1) -> None:
        self.plane = LinkedPlane(workers)
        self.network = RecordedNetwork((ip_address(ADDRESS[side]),))
        self.network.routes = {Route(prefix, Kind.UNREACHABLE) for prefix in stale}
        self.gateway = Gateway(conf, self.plane, self.network, stale=stale)
        self.commands = Commands(self.gateway, Path("unused.conf"))
        self.progress: list[str] = []

    async def do(self, command: str, **arguments: object) -> dict[str, Any]:
        return await self.commands.handle({"command": command, **arguments}, self.progress.append)

    async def until(self, condition: Callable[[], object], turns: int = 2000) -> None:
        """Let the loop turn until it holds; a test that waits for ever fails here."""
        for _ in range(turns):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("it did not come about")

    @property
    def spis(self) -> set[int]:
        return set(self.plane.inbound)

    @property
    def bound(self) -> list[int | None]:
        return [policy.handle for policy in self.plane.policies.values()]


Scenario = Callable[[Side, Side], Awaitable[None]]


def play(
    scenario: Scenario,
    left: Configuration | None = None,
    right: Configuration | None = None,
    stale: tuple[Prefix, ...] = (),
    *,
    cut: bool = False,
    workers: int = 1,
) -> None:
    """Run a scenario between two started gateways and end both."""

    async def run() -> None:
        sides = (
            Side("left", left or configuration("left"), stale, workers),
            Side("right", right or configuration("right"), workers=workers),
        )
        sides[0].plane.peer, sides[1].plane.peer = sides[1].plane, sides[0].plane
        sides[0].plane.cut = cut
        for side in sides:
            await side.gateway.start()
        try:
            await scenario(*sides)
        finally:
            for side in sides:
                await side.gateway.stop(0.2)
                side.plane.close()

    asyncio.run(run())
