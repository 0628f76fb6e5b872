"""The Identification payloads IDi and IDr (RFC 7296 3.5)."""

from __future__ import annotations

from dataclasses import dataclass

from ironswan.policy.identity import Identity
from ironswan.wire.errors import WireError


@dataclass(frozen=True, slots=True)
class IdPayload:
    """Who the initiator (IDi) or the responder (IDr) says it is."""

    initiator: bool
    identity: Identity


def read(body: bytes, *, initiator: bool) -> IdPayload:
    """Parse; raises WireError when there is no type."""
    if len(body) < 4:
        raise WireError("an identification payload is cut short")
    return IdPayload(initiator, Identity(body[0], bytes(body[4:])))


def write(payload: IdPayload) -> bytes:
    """The payload's body, which is also what AUTH covers (RFC 7296 2.15)."""
    return bytes((payload.identity.type, 0, 0, 0)) + payload.identity.data
