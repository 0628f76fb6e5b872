"""The Identification payloads IDi and IDr (RFC 7296 3.5)."""

from __future__ import annotations

from dataclasses import dataclass

from ironswan.policy.identity import Identity
from ironswan.wire.errors import WireError

# Host names have at most 255 octets, mail addresses 320, long distinguished names some hundred. Identities are looked
# at, compared and told before their owner has proved anything.
MAX_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class IdPayload:
    """Who the initiator (IDi) or the responder (IDr) says it is.

    `reserved` are the octets that mean nothing: ours are zero, a peer's are kept, for its AUTH covers them.
    """

    initiator: bool
    identity: Identity
    reserved: bytes = bytes(3)


def read(body: bytes, *, initiator: bool) -> IdPayload:
    """Parse; raises WireError when there is no type, or more octets than any identity has."""
    if len(body) < 4:
        raise WireError("an identification payload is cut short")
    if len(body) > 4 + MAX_LENGTH:
        raise WireError(f"an identity of {len(body) - 4} octets")
    return IdPayload(initiator, Identity(body[0], bytes(body[4:])), bytes(body[1:4]))


def write(payload: IdPayload) -> bytes:
    """The payload's body, which is also what AUTH covers (RFC 7296 2.15)."""
    return bytes((payload.identity.type,)) + payload.reserved + payload.identity.data
