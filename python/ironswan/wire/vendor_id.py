"""The Vendor ID payload (RFC 7296 3.12)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VendorIdPayload:
    """Octets by which an implementation makes itself known; unknown ones are ignored (I14)."""

    data: bytes


def read(body: bytes) -> VendorIdPayload:
    """Parse; nothing can be wrong."""
    return VendorIdPayload(bytes(body))


def write(payload: VendorIdPayload) -> bytes:
    """The payload's body."""
    return payload.data
