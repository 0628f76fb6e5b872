"""The hash of NAT_DETECTION notifies (RFC 7296 2.23)."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes

from ironswan.policy.selectors import Address


def nat_detection_hash(spi_i: bytes, spi_r: bytes, address: Address, port: int) -> bytes:
    """SHA-1 of SPIs, address and port; `spi_r` is zero in the request (I93).

    SHA-1 is the RFC's choice; nothing depends on its strength.
    """
    digest = hashes.Hash(hashes.SHA1())  # noqa: S303
    digest.update(spi_i + spi_r + address.packed + port.to_bytes(2, "big"))
    return digest.finalize()
