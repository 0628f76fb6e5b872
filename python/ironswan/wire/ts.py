"""The Traffic Selector payloads TSi and TSr (RFC 7296 3.13)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from ironswan.policy.selectors import MAX_SELECTORS, Address, TrafficSelector
from ironswan.wire.errors import WireError

_TS_IPV4_ADDR_RANGE, _TS_IPV6_ADDR_RANGE = 7, 8
_FORMAT = struct.Struct("!BBHHH")
_ADDRESS_LENGTH = {_TS_IPV4_ADDR_RANGE: 4, _TS_IPV6_ADDR_RANGE: 16}


@dataclass(frozen=True, slots=True)
class TsPayload:
    """The initiator's (TSi) or the responder's (TSr) side of the traffic of a Child SA.

    Raises ValueError for more selectors than can be counted, so that no SA is installed whose answer cannot be written.
    """

    initiator: bool
    selectors: tuple[TrafficSelector, ...]

    def __post_init__(self) -> None:
        """Refuse what cannot be written."""
        if len(self.selectors) > MAX_SELECTORS:
            raise ValueError(f"{len(self.selectors)} traffic selectors are more than {MAX_SELECTORS}")


def read(body: bytes, *, initiator: bool) -> TsPayload:
    """Parse; selectors of unknown types are left out, since no packet can match them. Raises WireError."""
    if len(body) < 4:
        raise WireError("a traffic selector payload is cut short")
    selectors: list[TrafficSelector] = []
    offset = 4
    for _ in range(body[0]):
        if len(body) - offset < _FORMAT.size:
            raise WireError("a traffic selector is cut short")
        kind, protocol, length, start_port, end_port = _FORMAT.unpack_from(body, offset)
        if length < _FORMAT.size or offset + length > len(body):
            raise WireError(f"traffic selector length {length} does not fit")
        if kind in _ADDRESS_LENGTH:
            addresses = body[offset + _FORMAT.size : offset + length]
            selectors.append(_selector(kind, protocol, start_port, end_port, addresses))
        offset += length
    if offset != len(body) or not body[0]:
        raise WireError(f"{body[0]} traffic selectors do not fill the payload")
    return TsPayload(initiator, tuple(selectors))


def _selector(kind: int, protocol: int, start_port: int, end_port: int, addresses: bytes) -> TrafficSelector:
    size = _ADDRESS_LENGTH[kind]
    if len(addresses) != 2 * size:
        raise WireError(f"a traffic selector with {len(addresses)} octets of addresses")
    try:
        return TrafficSelector(
            _address(bytes(addresses[:size])), _address(bytes(addresses[size:])), protocol, start_port, end_port
        )
    except ValueError as error:
        raise WireError(f"a traffic selector where {error}") from None


def _address(octets: bytes) -> Address:
    return IPv4Address(octets) if len(octets) == 4 else IPv6Address(octets)


def write(payload: TsPayload) -> bytes:
    """The payload's body."""
    parts = [bytes((len(payload.selectors), 0, 0, 0))]
    for ts in payload.selectors:
        kind = _TS_IPV4_ADDR_RANGE if ts.start.version == 4 else _TS_IPV6_ADDR_RANGE
        length = _FORMAT.size + 2 * _ADDRESS_LENGTH[kind]
        parts += [_FORMAT.pack(kind, ts.protocol, length, ts.start_port, ts.end_port), ts.start.packed, ts.end.packed]
    return b"".join(parts)
