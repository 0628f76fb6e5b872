"""The Nonce payload (RFC 7296 3.9)."""

from __future__ import annotations

from dataclasses import dataclass

from ironswan.wire.errors import WireError

MINIMUM, MAXIMUM = 16, 256


@dataclass(frozen=True, slots=True)
class NoncePayload:
    """16 to 256 random octets."""

    data: bytes


def read(body: bytes) -> NoncePayload:
    """Parse; raises WireError when the size is out of bounds (I34)."""
    if not MINIMUM <= len(body) <= MAXIMUM:
        raise WireError(f"a nonce of {len(body)} octets is not {MINIMUM}..{MAXIMUM}")
    return NoncePayload(bytes(body))


def write(payload: NoncePayload) -> bytes:
    """The payload's body."""
    return payload.data
