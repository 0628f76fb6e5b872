"""The Certificate and Certificate Request payloads (RFC 7296 3.6, 3.7)."""

from __future__ import annotations

from dataclasses import dataclass

from ironswan.wire.errors import WireError


@dataclass(frozen=True, slots=True)
class CertPayload:
    """A certificate, or what stands for one, in some encoding."""

    encoding: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CertReqPayload:
    """The certification authorities that the sender trusts."""

    encoding: int
    data: bytes


def read(body: bytes) -> CertPayload:
    """Parse a certificate; raises WireError when there is no encoding."""
    return CertPayload(*_split(body))


def read_request(body: bytes) -> CertReqPayload:
    """Parse a certificate request; raises WireError when there is no encoding."""
    return CertReqPayload(*_split(body))


def _split(body: bytes) -> tuple[int, bytes]:
    if not body:
        raise WireError("a certificate payload without an encoding")
    return body[0], bytes(body[1:])


def write(payload: CertPayload | CertReqPayload) -> bytes:
    """The payload's body."""
    return bytes((payload.encoding,)) + payload.data
