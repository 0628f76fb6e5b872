"""Stateless cookies (RFC 7296 2.6): version | hash(Ni | IPi | SPIi) keyed with a secret."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes, hmac

from ironswan.crypto.auth import constant_time_equal
from ironswan.policy.selectors import Address

LENGTH = 33


def make(secret: bytes, version: int, nonce: bytes, address: Address, spi_i: bytes) -> bytes:
    """The cookie of a request; `version` (0..255) names the secret."""
    mac = hmac.HMAC(secret, hashes.SHA256())
    mac.update(len(nonce).to_bytes(2, "big") + nonce + address.packed + spi_i)
    return bytes((version,)) + mac.finalize()


def verify(secret: bytes, version: int, data: bytes, nonce: bytes, address: Address, spi_i: bytes) -> bool:
    """Whether `data` is the cookie that `make` gives for the same arguments."""
    return constant_time_equal(data, make(secret, version, nonce, address, spi_i))
