"""The Key Exchange payload (RFC 7296 3.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ironswan.wire.errors import WireError


@dataclass(frozen=True, slots=True)
class KePayload:
    """A public value of one key exchange method (the transform's number)."""

    method: int
    data: bytes


def read(body: bytes) -> KePayload:
    """Parse; raises WireError when there is no public value."""
    if len(body) <= 4:
        raise WireError("a KE payload without a public value")
    return KePayload(struct.unpack_from("!H", body)[0], bytes(body[4:]))


def write(payload: KePayload) -> bytes:
    """The payload's body."""
    return struct.pack("!HH", payload.method, 0) + payload.data
