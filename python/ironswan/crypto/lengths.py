"""Octets of key and salt that a transform takes: what SK_e, SK_a and KEYMAT are cut into."""

from __future__ import annotations

from ironswan.policy.transforms import Encr, Integ, Transform

_AES = frozenset(
    {
        Encr.AES_CBC, Encr.AES_CTR, Encr.AES_CCM_8, Encr.AES_CCM_12, Encr.AES_CCM_16, Encr.AES_GCM_8, Encr.AES_GCM_12,
        Encr.AES_GCM_16, Encr.NULL_AUTH_AES_GMAC, Encr.AES_CCM_8_IIV, Encr.AES_GCM_16_IIV,
    }
)  # fmt: skip
# Key Length attributes in bits, which AES must have (I46), and keys in octets.
_AES_KEYS: dict[int | None, int] = {128: 16, 192: 24, 256: 32}
_FIXED_KEYS = {Encr.CHACHA20_POLY1305: 32, Encr.CHACHA20_POLY1305_IIV: 32, Encr.DES3_CBC: 24, Encr.NULL: 0}
# RFC 3686 5.1, RFC 4309 7.1, RFC 4106 8.1, RFC 4543 5.2, RFC 7634 2; the same in IKE: RFC 5930 3, RFC 5282 7.1.
_SALTS = {
    Encr.AES_CTR: 4, Encr.AES_CCM_8: 3, Encr.AES_CCM_12: 3, Encr.AES_CCM_16: 3, Encr.AES_CCM_8_IIV: 3,
    Encr.AES_GCM_8: 4, Encr.AES_GCM_12: 4, Encr.AES_GCM_16: 4, Encr.AES_GCM_16_IIV: 4, Encr.NULL_AUTH_AES_GMAC: 4,
    Encr.CHACHA20_POLY1305: 4, Encr.CHACHA20_POLY1305_IIV: 4,
}  # fmt: skip
_INTEG_KEYS = {
    Integ.NONE: 0,
    Integ.HMAC_SHA1_96: 20,
    Integ.HMAC_SHA2_256_128: 32,
    Integ.HMAC_SHA2_256_96: 32,
    Integ.HMAC_SHA2_384_192: 48,
    Integ.HMAC_SHA2_512_256: 64,
    Integ.AES_XCBC_96: 16,
    Integ.AES_CMAC_96: 16,
}


def encryption_key(transform: Transform) -> int:
    """Octets of key, without salt. Raises ValueError when there is no such cipher with this Key Length (I46)."""
    if transform.id in _AES and transform.key_length in _AES_KEYS:
        return _AES_KEYS[transform.key_length]
    if transform.id in _FIXED_KEYS and transform.key_length is None:
        return _FIXED_KEYS[Encr(transform.id)]
    raise ValueError(f"encryption algorithm {transform.id} with a key of {transform.key_length} bits is not known")


def salt(encr: int) -> int:
    """Octets of salt (the nonce of RFC 3686) that follow the encryption key; 0 for most that are not AEAD."""
    return _SALTS.get(Encr(encr), 0)


def integrity_key(integ: int) -> int:
    """Octets of key. Raises ValueError for an unknown algorithm."""
    return _INTEG_KEYS[Integ(integ)]
