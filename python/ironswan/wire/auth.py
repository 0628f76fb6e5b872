"""The Authentication payload (RFC 7296 3.8)."""

from __future__ import annotations

from dataclasses import dataclass

from ironswan.wire.errors import WireError


@dataclass(frozen=True, slots=True)
class AuthPayload:
    """A proof of identity by one method (AuthMethod, or an unknown number)."""

    method: int
    data: bytes = b""


def read(body: bytes) -> AuthPayload:
    """Parse; raises WireError when it is cut short."""
    if len(body) < 4:
        raise WireError("an authentication payload is cut short")
    return AuthPayload(body[0], bytes(body[4:]))


def write(payload: AuthPayload) -> bytes:
    """The payload's body."""
    return bytes((payload.method, 0, 0, 0)) + payload.data
