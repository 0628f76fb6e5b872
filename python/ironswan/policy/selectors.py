"""Traffic selectors (RFC 4301 4.4.1.1, RFC 7296 3.13): address ranges, one protocol, one port range."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)

Address = IPv4Address | IPv6Address
ANY_PROTOCOL = 0
OPAQUE_PORTS = (65535, 0)
_ALL_PORTS = (0, 65535)
_PROTOCOLS = {
    "any": 0, "icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "icmpv6": 58, "ipv6-icmp": 58, "ospf": 89,
    "sctp": 132,
}  # fmt: skip
_PROTOCOL_NAMES = {number: name for name, number in reversed(_PROTOCOLS.items()) if number}


@dataclass(frozen=True, slots=True)
class TrafficSelector:
    """Packets of `protocol` (0 any) whose address lies in start..end and whose port lies in start_port..end_port.

    Families agree and start <= end; ports are 0..65535 for ANY and 65535..0 for OPAQUE. ICMP type and code stand in the
    port field, type in the high octet (RFC 7296 3.13.1). Raises ValueError on anything else.
    """

    start: Address
    end: Address
    protocol: int = ANY_PROTOCOL
    start_port: int = 0
    end_port: int = 65535

    def __post_init__(self) -> None:
        """Refuse what is not a selector."""
        if self.start.version != self.end.version:
            raise ValueError("start and end are of different address families")
        if int(self.start) > int(self.end):
            raise ValueError(f"start {self.start} is above end {self.end}")
        if not 0 <= self.protocol <= 255:
            raise ValueError(f"protocol {self.protocol} is not 0..255")
        ports = (self.start_port, self.end_port)
        if ports != OPAQUE_PORTS and not 0 <= self.start_port <= self.end_port <= 65535:
            raise ValueError(f"ports {self.start_port}..{self.end_port} are not a range")

    @classmethod
    def from_network(cls, network: str | IPv4Network | IPv6Network) -> TrafficSelector:
        """All traffic of a prefix."""
        parsed = ip_network(network)
        return cls(parsed[0], parsed[-1])

    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The fewest prefixes that make up the address range."""
        return tuple(summarize_address_range(self.start, self.end))

    def __str__(self) -> str:
        """As swanctl writes it: `10.1.0.0/16[tcp/80]`."""
        networks = self.networks()
        addresses = str(networks[0]) if len(networks) == 1 else f"{self.start}-{self.end}"
        ports = (self.start_port, self.end_port)
        if self.protocol == ANY_PROTOCOL and ports == _ALL_PORTS:
            return addresses
        protocol = _PROTOCOL_NAMES.get(self.protocol, str(self.protocol)) if self.protocol else "any"
        if ports == _ALL_PORTS:
            return f"{addresses}[{protocol}]"
        if ports == OPAQUE_PORTS:
            return f"{addresses}[{protocol}/opaque]"
        port = str(self.start_port) if self.start_port == self.end_port else f"{self.start_port}-{self.end_port}"
        return f"{addresses}[{protocol}/{port}]"


@dataclass(frozen=True, slots=True)
class SelectorTemplate:
    """A configured selector: a TrafficSelector, or `dynamic` (start None), which becomes the host's own address."""

    start: Address | None = None
    end: Address | None = None
    protocol: int = ANY_PROTOCOL
    start_port: int = 0
    end_port: int = 65535

    def resolve(self, own: Address) -> TrafficSelector:
        """The selector; `own` stands in for `dynamic`."""
        start = own if self.start is None else self.start
        end = own if self.end is None else self.end
        return TrafficSelector(start, end, self.protocol, self.start_port, self.end_port)


def parse_selector(text: str) -> SelectorTemplate:
    """From swanctl's syntax: a prefix, an address, `a-b` or `dynamic`, and `[protocol/port]`. Raises ValueError."""
    addresses, bracket, rest = text.strip().partition("[")
    protocol, ports = ANY_PROTOCOL, _ALL_PORTS
    if bracket:
        if not rest.endswith("]"):
            raise ValueError("the bracket is not closed: write for instance 10.0.0.0/8[tcp/80]")
        protocol, ports = _protocol_and_ports(rest[:-1])
    if addresses == "dynamic":
        return SelectorTemplate(None, None, protocol, *ports)
    start, end = _range(addresses)
    selector = TrafficSelector(start, end, protocol, *ports)
    return SelectorTemplate(selector.start, selector.end, protocol, *ports)


def _range(text: str) -> tuple[Address, Address]:
    first, dash, last = text.partition("-")
    if dash:
        return ip_address(first.strip()), ip_address(last.strip())
    network = ip_network(text, strict=False)
    return network[0], network[-1]


def _protocol_and_ports(text: str) -> tuple[int, tuple[int, int]]:
    name, slash, port = text.partition("/")
    protocol = _PROTOCOLS[name.lower()] if name.lower() in _PROTOCOLS else _number(name, 255, "protocol")
    if not slash or port in ("any", "%any"):
        return protocol, _ALL_PORTS
    if port == "opaque":
        return protocol, OPAQUE_PORTS
    first, dash, last = port.partition("-")
    if protocol in (1, 58):
        return protocol, _icmp(port)
    start = _number(first, 65535, "port")
    return protocol, (start, _number(last, 65535, "port") if dash else start)


def _icmp(text: str) -> tuple[int, int]:
    """Type, or type.code: a type alone takes every code (RFC 7296 3.13.1)."""
    kind, dot, code = text.partition(".")
    high = _number(kind, 255, "ICMP type") << 8
    if dot:
        return (high | _number(code, 255, "ICMP code"),) * 2
    return high, high | 255


def _number(text: str, highest: int, what: str) -> int:
    if not text.isdecimal() or int(text) > highest:
        raise ValueError(f"{what} {text!r} is not a number of 0..{highest}")
    return int(text)


def contains(selector: TrafficSelector, protocol: int, address: Address, port: int) -> bool:
    """Whether one side of a packet is of the selector."""
    return (
        address.version == selector.start.version
        and int(selector.start) <= int(address) <= int(selector.end)
        and selector.protocol in (ANY_PROTOCOL, protocol)
        and (selector.start_port <= port <= selector.end_port)
    )


def intersect(a: TrafficSelector, b: TrafficSelector) -> TrafficSelector | None:
    """What is of both, or None."""
    if a.start.version != b.start.version or (a.protocol != b.protocol and a.protocol and b.protocol):
        return None
    start = a.start if int(a.start) >= int(b.start) else b.start
    end = a.end if int(a.end) <= int(b.end) else b.end
    ports = _common_ports((a.start_port, a.end_port), (b.start_port, b.end_port))
    if int(start) > int(end) or ports is None:
        return None
    return TrafficSelector(start, end, a.protocol or b.protocol, *ports)


def _common_ports(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int] | None:
    if OPAQUE_PORTS in (a, b):
        # ANY takes OPAQUE in (RFC 4301 4.4.1.1); a real range does not.
        return OPAQUE_PORTS if {a, b} <= {OPAQUE_PORTS, _ALL_PORTS} else None
    low, high = max(a[0], b[0]), min(a[1], b[1])
    return (low, high) if low <= high else None


def is_subset(inner: TrafficSelector, outer: TrafficSelector) -> bool:
    """Whether everything of `inner` is of `outer`."""
    return intersect(inner, outer) == inner


def narrow(proposed: Sequence[TrafficSelector], allowed: Sequence[TrafficSelector]) -> tuple[TrafficSelector, ...]:
    """What is of both, in the order proposed, without what another of the result covers (RFC 7296 2.9).

    Empty: TS_UNACCEPTABLE.
    """
    common = [both for p in proposed for a in allowed if (both := intersect(p, a)) is not None]
    return tuple(_without_covered(common))


def _without_covered(selectors: Iterable[TrafficSelector]) -> list[TrafficSelector]:
    kept: list[TrafficSelector] = []
    for selector in selectors:
        if any(is_subset(selector, other) for other in kept):
            continue
        kept = [other for other in kept if not is_subset(other, selector)]
        kept.append(selector)
    return kept
