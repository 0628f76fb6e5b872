"""Traffic selectors of one Child SA (RFC 7296 2.9): ours, the peer's, and what both allow.

In transport mode they are the two hosts, and a NAT between these has changed the addresses in them (2.23.1).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ironswan.ike.types import ChildState, Packet
from ironswan.policy.connection import ChildPolicy, Mode
from ironswan.policy.selectors import MAX_SELECTORS, Address, TrafficSelector, are_within, intersect, narrow

if TYPE_CHECKING:
    from ironswan.ike.session import IkeSa

PORT_PROTOCOLS = (6, 17, 132, 33, 136)
Selectors = tuple[TrafficSelector, ...]


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What both sides allow, as we see the addresses.

    `nat_original` is the source and destination in the peer's packets, where these differ from ours.
    """

    mode: Mode
    local: Selectors
    remote: Selectors
    nat_original: tuple[Address, Address] | None = None


def own_selectors(sa: IkeSa, policy: ChildPolicy) -> tuple[Selectors, Selectors]:
    """The policy's selectors, `dynamic` resolved to the hosts' addresses; no more than a payload can have."""
    return (
        tuple(template.resolve(sa.local.address) for template in policy.local_ts[:MAX_SELECTORS]),
        tuple(template.resolve(sa.remote.address) for template in policy.remote_ts[:MAX_SELECTORS]),
    )


def packet_selectors(sa: IkeSa, policy: ChildPolicy, packet: Packet | None) -> tuple[Selectors, Selectors]:
    """The policy's selectors, those of the packet that asked for the SA first (RFC 7296 2.9)."""
    local, remote = own_selectors(sa, policy)
    if packet is None:
        return local, remote
    source = _one(packet.src, packet.protocol, packet.sport)
    destination = _one(packet.dst, packet.protocol, packet.dport)
    room = max(len(local), len(remote)) < MAX_SELECTORS
    if not room or not (inside(source, local) and inside(destination, remote)):
        return local, remote
    return (source, *local), (destination, *remote)


def _one(address: object, protocol: int, port: int) -> TrafficSelector:
    ports = (port, port) if protocol in PORT_PROTOCOLS and port else (0, 65535)
    return TrafficSelector(address, address, protocol, *ports)  # type: ignore[arg-type]


def inside(selector: TrafficSelector, allowed: Sequence[TrafficSelector]) -> bool:
    """Whether one of `allowed` has all of it."""
    return are_within((selector,), allowed)


def host_to_host(sa: IkeSa, local: Selectors, remote: Selectors) -> bool:
    """Whether each side is its own host and no more, which is what transport mode is for."""
    return _address(local) == sa.local.address and _address(remote) == sa.remote.address


def between_hosts(sa: IkeSa, local: Selectors, remote: Selectors) -> tuple[Selectors, Selectors]:
    """The selectors with the addresses the hosts have now: a peer behind a NAT may have got another one."""
    return _at(local, sa.local.address), _at(remote, sa.remote.address)


def _address(selectors: Selectors) -> Address | None:
    """The one address of all of them."""
    addresses = {address for selector in selectors for address in (selector.start, selector.end)}
    return addresses.pop() if len(addresses) == 1 else None


def _at(selectors: Selectors, address: Address) -> Selectors:
    return tuple(dataclasses.replace(selector, start=address, end=address) for selector in selectors)


def seen_here(sa: IkeSa, local: Selectors, remote: Selectors) -> Narrowed | None:
    """The peer's selectors for transport mode with our addresses (RFC 7296 2.23.1).

    What the peer wrote is what its packets' checksums are made with. None: behind a NAT it did not write one address.
    """
    if not (sa.local_natted or sa.remote_natted):
        return Narrowed(Mode.TRANSPORT, local, remote)
    own, peer = _address(local), _address(remote)
    if own is None or peer is None or {own.version, peer.version} != {sa.local.address.version}:
        return None
    here = (
        _at(local, sa.local.address) if sa.local_natted else local,
        _at(remote, sa.remote.address) if sa.remote_natted else remote,
    )
    changed = (peer, own) != (sa.remote.address, sa.local.address)
    return Narrowed(Mode.TRANSPORT, *here, (peer, own) if changed else None)


def narrowed(sa: IkeSa, policy: ChildPolicy, ts_local: Selectors, ts_remote: Selectors, *, mode: Mode) -> Narrowed:
    """What a request comes to under a policy; a side without selectors: TS_UNACCEPTABLE.

    Transport mode that cannot be between these two is tunnel mode, with the addresses as the peer wrote them.
    """
    allowed_local, allowed_remote = own_selectors(sa, policy)
    if mode is Mode.TRANSPORT and (seen := seen_here(sa, ts_local, ts_remote)) is not None:
        local, remote = narrow(seen.local, allowed_local), narrow(seen.remote, allowed_remote)
        if host_to_host(sa, local, remote):
            return Narrowed(Mode.TRANSPORT, local, remote, seen.nat_original)
    return Narrowed(Mode.TUNNEL, narrow(ts_local, allowed_local), narrow(ts_remote, allowed_remote))


def taken(sa: IkeSa, wanted: Narrowed) -> bool:
    """Whether another peer behind the same NAT has these selectors in transport mode: its packets would be ours (RFC
    3948 5.2)."""
    if wanted.mode is not Mode.TRANSPORT or not sa.remote_natted:
        return False
    return any(
        other_sa.remote_id != sa.remote_id
        and child.mode is Mode.TRANSPORT
        and child.state is not ChildState.DELETED
        and _meet(child.ts_remote, wanted.remote)
        and _meet(child.ts_local, wanted.local)
        for other_sa, child in sa.context.children.values()
    )


def _meet(some: Selectors, others: Selectors) -> bool:
    return any(intersect(one, other) is not None for one in some for other in others)
