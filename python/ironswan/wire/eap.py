"""The EAP payload (RFC 7296 3.16): one EAP packet, unopened."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ironswan.wire.errors import WireError


@dataclass(frozen=True, slots=True)
class EapPayload:
    """An EAP packet, its own header included."""

    data: bytes


def read(body: bytes) -> EapPayload:
    """Parse; raises WireError when the packet's length is not the payload's (RFC 3748 4)."""
    if len(body) < 4 or struct.unpack_from("!H", body, 2)[0] != len(body):
        raise WireError("an EAP packet whose length is not its payload's")
    return EapPayload(bytes(body))


def write(payload: EapPayload) -> bytes:
    """The payload's body."""
    return payload.data
