"""Which routes protect what: traffic selectors to the entries of our own routing table. Pure; knows no netlink.

A rule sends every packet that is not the gateway's own (by mark) to table 220. There, each protected prefix has two
routes: one to the TUN while there is an SA or a trap for it, and an unreachable one of worse metric. When the gateway
dies the first goes with its interface and the second stays: what was protected is refused, never sent in clear.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network

from ironswan.policy.selectors import Address, TrafficSelector

Prefix = IPv4Network | IPv6Network


class Kind(Enum):
    """What a route does with a packet."""

    TUN = "tun"
    UNREACHABLE = "unreachable"
    THROW = "throw"


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of our table; `source` is the address the host's own packets get."""

    prefix: Prefix
    kind: Kind
    source: Address | None = None


class VersionOff(str):
    """Why a route could not be added, where the reason is that no packet of its IP version leaves this host anyway."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Protected:
    """A pair of selector lists that is protected; `carried` while the TUN takes its packets."""

    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]
    carried: bool


def prefixes(selectors: Iterable[TrafficSelector]) -> tuple[Prefix, ...]:
    """The prefixes that make up the selectors' address ranges."""
    return tuple(dict.fromkeys(prefix for selector in selectors for prefix in selector.networks()))


def own_source(own: Sequence[Address], local: Iterable[TrafficSelector], version: int) -> Address | None:
    """An address of this host that the policy covers, so that its own packets to the peer are protected too."""
    ranges = [s for s in local if s.start.version == version]
    # A policy for everything does not choose an address; the kernel's own choice is in it anyway.
    narrow = [s for s in ranges if int(s.start) or s.end != type(s.end)(2**s.end.max_prefixlen - 1)]
    for selector in narrow:
        for address in own:
            if address.version == version and int(selector.start) <= int(address) <= int(selector.end):
                return address
    return None


def wanted(protected: Iterable[Protected], own: Sequence[Address]) -> frozenset[Route]:
    """The whole table for what is protected now."""
    unreachable: set[Prefix] = set()
    tun: dict[Prefix, Address | None] = {}
    local: set[Prefix] = set()
    for pair in protected:
        for prefix in prefixes(pair.remote):
            unreachable.add(prefix)
            if pair.carried:
                source = own_source(own, pair.local, prefix.version)
                tun[prefix] = tun.get(prefix) or source
        local.update(prefixes(pair.local))
    routes = {Route(prefix, Kind.UNREACHABLE) for prefix in unreachable}
    routes |= {Route(prefix, Kind.TUN, source) for prefix, source in tun.items()}
    # Our own side of a wide policy (10.1.0.0/24 to 0.0.0.0/0) stays where the main table has it.
    routes |= {Route(prefix, Kind.THROW) for prefix in local - unreachable if _inside_any(prefix, unreachable)}
    return frozenset(routes)


def _inside_any(prefix: Prefix, outer: Iterable[Prefix]) -> bool:
    return any(inside(prefix, wide) for wide in outer)


def inside(prefix: Prefix, wide: Prefix) -> bool:
    """Whether all of `prefix` lies in `wide`."""
    if isinstance(prefix, IPv4Network) and isinstance(wide, IPv4Network):
        return prefix.subnet_of(wide)
    if isinstance(prefix, IPv6Network) and isinstance(wide, IPv6Network):
        return prefix.subnet_of(wide)
    return False
