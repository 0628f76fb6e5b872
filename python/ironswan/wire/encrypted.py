"""The Encrypted payload SK (RFC 7296 3.14) and the Encrypted Fragment payload SKF (RFC 7383 2.5), unopened."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ironswan.wire.errors import WireError

FRAGMENT_HEADER = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class EncryptedPayload:
    """IV, ciphertext and ICV in `body`; `first` is the type of the first payload inside."""

    first: int
    body: bytes


@dataclass(frozen=True, slots=True)
class EncryptedFragment:
    """Fragment `number` of `total`; `body` is its own IV, ciphertext and ICV; `first` counts in fragment 1 only."""

    first: int
    number: int
    total: int
    body: bytes


def read(first: int, body: bytes) -> EncryptedPayload:
    """Parse; whether the body is long enough depends on the suite."""
    return EncryptedPayload(first, bytes(body))


def read_fragment(first: int, body: bytes) -> EncryptedFragment:
    """Parse; raises WireError when the numbers are missing or make no sense (I108)."""
    if len(body) < FRAGMENT_HEADER.size:
        raise WireError("a fragment is cut short")
    number, total = FRAGMENT_HEADER.unpack_from(body)
    if not 1 <= number <= total:
        raise WireError(f"fragment {number} of {total}")
    return EncryptedFragment(first, number, total, bytes(body[FRAGMENT_HEADER.size :]))
