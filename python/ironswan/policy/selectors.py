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
# A payload counts its selectors in one octet (RFC 7296 3.13).
MAX_SELECTORS = 255
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

    def _addresses(self) -> str:
        """The one prefix that makes up the range, or both its ends."""
        size = int(self.end) - int(self.start) + 1
        if size & (size - 1) or int(self.start) % size:
            return f"{self.start}-{self.end}"
        return f"{self.start}/{self.start.max_prefixlen - size.bit_length() + 1}"

    def __str__(self) -> str:
        """As swanctl writes it: `10.1.0.0/16[tcp/80]`."""
        addresses = self._addresses()
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
    return _covers(_box(outer), _box(inner))


def are_within(selectors: Iterable[TrafficSelector], allowed: Iterable[TrafficSelector]) -> bool:
    """Whether each of them is of one of `allowed`."""
    boxes = [_box(ts) for ts in allowed]
    return all(any(_covers(outer, inner) for outer in boxes) for inner in map(_box, selectors))


# A selector as plain numbers, which compare fast: addresses, protocol, ports.
_Box = tuple[int, int, int, int, int]


def _box(ts: TrafficSelector) -> _Box:
    """IPv6 begins above the last IPv4 address, and OPAQUE is port -1, which ANY has as well."""
    family = 0 if ts.start.version == 4 else 1 << 32
    low, high = ts.start_port, ts.end_port
    if low > high:
        low = high = -1
    elif (low, high) == _ALL_PORTS:
        low = -1
    return family + int(ts.start), family + int(ts.end), ts.protocol, low, high


def _covers(outer: _Box, inner: _Box) -> bool:
    start, end, protocol, low, high = outer
    return (
        low <= inner[3]
        and inner[4] <= high
        and start <= inner[0]
        and inner[1] <= end
        and (not protocol or protocol == inner[2])
    )


def _meet(a: _Box, b: _Box) -> bool:
    """Whether they have something in common, the protocol aside."""
    return a[0] <= b[1] and b[0] <= a[1] and a[3] <= b[4] and b[3] <= a[4]


def _largest_first(box: _Box) -> tuple[int, int, int]:
    start, end, protocol, low, high = box
    return start - end, protocol, low - high


def narrow(proposed: Sequence[TrafficSelector], allowed: Sequence[TrafficSelector]) -> tuple[TrafficSelector, ...]:
    """What is of both, in the order proposed, without what another of the result covers (RFC 7296 2.9).

    Empty: TS_UNACCEPTABLE. Of each side the first MAX_SELECTORS count, and the result has no more: it is to be sent.
    """
    # What is covered goes before the sides are combined too: it would only multiply what is to be compared.
    ours = [(_box(ts), ts) for ts in without_covered(allowed[:MAX_SELECTORS])]
    common: dict[TrafficSelector, None] = {}
    for wanted in without_covered(proposed[:MAX_SELECTORS]):
        box = _box(wanted)
        for other, ts in ours:
            if _meet(box, other) and (both := intersect(wanted, ts)) is not None:
                common[both] = None
                if len(common) == MAX_SELECTORS:
                    return without_covered(common)
    return without_covered(common)


def without_covered(selectors: Iterable[TrafficSelector]) -> tuple[TrafficSelector, ...]:
    """The selectors without those that another one covers, in their order."""
    boxes: dict[_Box, TrafficSelector] = {}
    for selector in selectors:
        boxes.setdefault(_box(selector), selector)
    kept: list[_Box] = []
    for box in sorted(boxes, key=_largest_first):
        if not any(_covers(other, box) for other in kept):
            kept.append(box)
    wanted = set(kept)
    return tuple(selector for box, selector in boxes.items() if box in wanted)
