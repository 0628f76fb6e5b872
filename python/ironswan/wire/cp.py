"""The Configuration payload (RFC 7296 3.15)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ironswan.wire.errors import WireError

_RESERVED_BIT = 0x7FFF


@dataclass(frozen=True, slots=True)
class CpPayload:
    """A request, reply, set or acknowledgement (`type`) of attributes: their numbers and values."""

    type: int
    attributes: tuple[tuple[int, bytes], ...] = ()


def read(body: bytes) -> CpPayload:
    """Parse; raises WireError when an attribute does not fit."""
    if len(body) < 4:
        raise WireError("a configuration payload is cut short")
    attributes: list[tuple[int, bytes]] = []
    offset = 4
    while offset < len(body):
        if len(body) - offset < 4:
            raise WireError("a configuration attribute is cut short")
        kind, length = struct.unpack_from("!HH", body, offset)
        offset += 4
        if offset + length > len(body):
            raise WireError(f"a configuration attribute of {length} octets does not fit")
        attributes.append((kind & _RESERVED_BIT, bytes(body[offset : offset + length])))
        offset += length
    return CpPayload(body[0], tuple(attributes))


def write(payload: CpPayload) -> bytes:
    """The payload's body."""
    attributes = b"".join(struct.pack("!HH", kind, len(value)) + value for kind, value in payload.attributes)
    return bytes((payload.type, 0, 0, 0)) + attributes
