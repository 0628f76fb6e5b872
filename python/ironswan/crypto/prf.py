"""Pseudorandom functions and prf+ (RFC 7296 2.13; RFC 4868)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives import hashes, hmac

from ironswan.policy.transforms import Prf

_HASHES: Final[dict[int, tuple[Callable[[], hashes.HashAlgorithm], int]]] = {
    Prf.HMAC_SHA1: (hashes.SHA1, 20),
    Prf.HMAC_SHA2_256: (hashes.SHA256, 32),
    Prf.HMAC_SHA2_384: (hashes.SHA384, 48),
    Prf.HMAC_SHA2_512: (hashes.SHA512, 64),
}


def key_length(prf_id: int) -> int:
    """Preferred key length, which is also the output's, in octets. Raises ValueError for an unknown PRF."""
    return _hash(prf_id)[1]


def prf(prf_id: int, key: bytes, data: bytes) -> bytes:
    """One application of the PRF. Raises ValueError for an unknown one."""
    mac = hmac.HMAC(key, _hash(prf_id)[0]())
    mac.update(data)
    return mac.finalize()


def prf_plus(prf_id: int, key: bytes, seed: bytes, length: int) -> bytes:
    """`length` octets of T1 | T2 | ... (RFC 7296 2.13).

    Raises ValueError when more than 255 blocks would be needed: the counter is one octet and must not wrap (I57).
    """
    block = key_length(prf_id)
    if length > 255 * block:
        raise ValueError(f"prf+ gives at most {255 * block} octets, {length} were asked for")
    output = b""
    last = b""
    counter = 1
    while len(output) < length:
        last = prf(prf_id, key, last + seed + bytes((counter,)))
        output += last
        counter += 1
    return output[:length]


def _hash(prf_id: int) -> tuple[Callable[[], hashes.HashAlgorithm], int]:
    try:
        return _HASHES[prf_id]
    except KeyError:
        raise ValueError(f"PRF {prf_id} is not supported") from None
