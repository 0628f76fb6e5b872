"""Link layers: where in a frame the IP packet begins."""

from __future__ import annotations

from collections.abc import Callable

# From a buffer, start and end of a frame to the offset of the IP header, or NOT_IP.
LinkLayer = Callable[[bytes, int, int], int]
NOT_IP = -1

_IP = frozenset({0x0800, 0x86DD})
# IEEE 802.1Q, 802.1ad, and what was used for stacked tags before 802.1ad.
_VLAN = frozenset({0x8100, 0x88A8, 0x9100, 0x9200})
# The address family of IPv6 differs between the systems that write NULL captures.
_FAMILIES = frozenset({2, 10, 24, 28, 30})


def _typed(data: bytes, at: int, end: int) -> int:
    """Behind an EtherType at `at`, with any number of VLAN tags."""
    while at + 2 < end:
        ether_type = data[at] << 8 | data[at + 1]
        if ether_type in _IP:
            return at + 2
        if ether_type not in _VLAN:
            return NOT_IP
        at += 4
    return NOT_IP


def _ethernet(data: bytes, start: int, end: int) -> int:
    at = start + 14
    # The most frequent case first, since this is done for every frame.
    if at < end and data[at - 2] == 8 and not data[at - 1]:
        return at
    return _typed(data, at - 2, end)


def _raw(_: bytes, start: int, end: int) -> int:
    return start if start < end else NOT_IP


def _cooked(data: bytes, start: int, end: int) -> int:
    """The protocol stands last in the 16 octets; VLAN tags may follow."""
    return _typed(data, start + 14, end)


def _cooked2(data: bytes, start: int, end: int) -> int:
    """The protocol stands first in the 20 octets; a VLAN's tag follows them."""
    at = start + 20
    if at >= end:
        return NOT_IP
    protocol = data[start] << 8 | data[start + 1]
    if protocol in _IP:
        return at
    return _typed(data, at + 2, end) if protocol in _VLAN else NOT_IP


def _null(data: bytes, start: int, end: int) -> int:
    """Four octets of address family, in the byte order of the host that captured (NULL) or the network's (LOOP)."""
    if start + 4 >= end:
        return NOT_IP
    family = data[start : start + 4]
    known = int.from_bytes(family, "little") in _FAMILIES or int.from_bytes(family, "big") in _FAMILIES
    return start + 4 if known else NOT_IP


LINK_LAYERS: dict[int, LinkLayer] = {
    0: _null,
    1: _ethernet,
    12: _raw,
    14: _raw,
    101: _raw,
    108: _null,
    113: _cooked,
    228: _raw,
    229: _raw,
    276: _cooked2,
}
