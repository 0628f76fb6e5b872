"""The Notify payload (RFC 7296 3.10)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ironswan.wire.errors import WireError
from ironswan.wire.numbers import FIRST_STATUS_NOTIFY

_FORMAT = struct.Struct("!BBH")


@dataclass(frozen=True, slots=True)
class NotifyPayload:
    """An error or a status. `protocol` and `spi` name the SA it is about, if any."""

    type: int
    data: bytes = b""
    protocol: int = 0
    spi: bytes = b""

    @property
    def is_error(self) -> bool:
        """Whether the type is in the range of errors, known or not (I13)."""
        return self.type < FIRST_STATUS_NOTIFY


def read(body: bytes) -> NotifyPayload:
    """Parse; raises WireError when the SPI does not fit."""
    if len(body) < _FORMAT.size:
        raise WireError("a notify payload is cut short")
    protocol, spi_size, kind = _FORMAT.unpack_from(body)
    end = _FORMAT.size + spi_size
    if end > len(body):
        raise WireError(f"a notify's SPI of {spi_size} octets does not fit")
    return NotifyPayload(kind, bytes(body[end:]), protocol, bytes(body[_FORMAT.size : end]))


def write(payload: NotifyPayload) -> bytes:
    """The payload's body."""
    return _FORMAT.pack(payload.protocol, len(payload.spi), payload.type) + payload.spi + payload.data
