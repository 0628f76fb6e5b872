"""The IKE header (RFC 7296 3.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ironswan.wire.errors import WireError
from ironswan.wire.numbers import NotifyType

LENGTH = 28
MAJOR_VERSION = 2
_FORMAT = struct.Struct("!8s8sBBBBII")
_INITIATOR, _RESPONSE = 0x08, 0x20


@dataclass(frozen=True, slots=True)
class Header:
    """The fixed header of a message; `length` counts the whole message in octets."""

    spi_i: bytes
    spi_r: bytes
    next_payload: int
    major: int
    minor: int
    exchange: int
    initiator: bool
    response: bool
    message_id: int
    length: int


def read(datagram: bytes | memoryview) -> Header:
    """Parse and check the header of a whole datagram.

    Raises WireError when it is short, its length is not the datagram's, the initiator's SPI is zero (RFC 7296 3.1), or
    the major version is not 2 (2.5).
    """
    if len(datagram) < LENGTH:
        raise WireError(f"{len(datagram)} octets are less than a header")
    spi_i, spi_r, next_payload, version, exchange, flags, message_id, length = _FORMAT.unpack_from(datagram)
    if version >> 4 != MAJOR_VERSION:
        raise WireError(f"major version {version >> 4}", NotifyType.INVALID_MAJOR_VERSION)
    if length != len(datagram):
        raise WireError(f"header says {length} octets, the datagram has {len(datagram)}")
    if spi_i == bytes(8):
        raise WireError("the initiator's SPI is zero")
    initiator, response = bool(flags & _INITIATOR), bool(flags & _RESPONSE)
    return Header(
        spi_i, spi_r, next_payload, version >> 4, version & 15, exchange, initiator, response, message_id, length
    )


def write(header: Header) -> bytes:
    """The 28 octets; reserved flags are zero."""
    flags = (_INITIATOR if header.initiator else 0) | (_RESPONSE if header.response else 0)
    version = header.major << 4 | header.minor
    return _FORMAT.pack(
        header.spi_i,
        header.spi_r,
        header.next_payload,
        version,
        header.exchange,
        flags,
        header.message_id,
        header.length,
    )
