"""The Delete payload (RFC 7296 3.11)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ironswan.policy.transforms import Protocol
from ironswan.wire.errors import WireError

_FORMAT = struct.Struct("!BBH")
_SPI_SIZE = {Protocol.IKE: 0, Protocol.AH: 4, Protocol.ESP: 4}


@dataclass(frozen=True, slots=True)
class DeletePayload:
    """The sender's inbound SPIs of SAs that are gone; none for the IKE SA itself."""

    protocol: Protocol
    spis: tuple[bytes, ...] = ()


def read(body: bytes) -> DeletePayload:
    """Parse; raises WireError when protocol, SPI size and count do not agree."""
    if len(body) < _FORMAT.size:
        raise WireError("a delete payload is cut short")
    protocol, size, count = _FORMAT.unpack_from(body)
    if protocol not in (Protocol.IKE, Protocol.AH, Protocol.ESP):
        raise WireError(f"a delete for protocol {protocol}")
    known = Protocol(protocol)
    if size != _SPI_SIZE[known] or len(body) != _FORMAT.size + size * count or (known is Protocol.IKE and count):
        raise WireError(f"{count} SPIs of {size} octets do not fit a delete of {known.name}")
    return DeletePayload(known, tuple(bytes(body[i : i + size]) for i in range(_FORMAT.size, len(body), size or 1)))


def write(payload: DeletePayload) -> bytes:
    """The payload's body."""
    head = _FORMAT.pack(payload.protocol, _SPI_SIZE[payload.protocol], len(payload.spis))
    return head + b"".join(payload.spis)
