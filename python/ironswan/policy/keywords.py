"""The proposal keywords of swanctl and the transforms they stand for."""

from __future__ import annotations

from ironswan.policy.transforms import Encr, Esn, Integ, KeyExchange, Prf, Transform, TransformType

_AES = (128, 192, 256)


def _aes() -> dict[str, Transform]:
    modes: dict[str, Encr] = {"": Encr.AES_CBC, "ctr": Encr.AES_CTR}
    for name, ids in {
        "gcm": (Encr.AES_GCM_8, Encr.AES_GCM_12, Encr.AES_GCM_16),
        "ccm": (Encr.AES_CCM_8, Encr.AES_CCM_12, Encr.AES_CCM_16),
    }.items():
        for octets, number in zip((8, 12, 16), ids, strict=True):
            modes[f"{name}{octets}"] = number
            modes[f"{name}{octets * 8}"] = number
        modes[name] = ids[2]
    # swanctl has no implicit IVs (RFC 8750): these words are ours.
    modes |= {"gmac": Encr.NULL_AUTH_AES_GMAC, "gcm16iiv": Encr.AES_GCM_16_IIV, "ccm8iiv": Encr.AES_CCM_8_IIV}
    return {
        f"aes{bits}{suffix}": Transform(TransformType.ENCR, number, bits)
        for bits in _AES
        for suffix, number in modes.items()
    }


# Of several words for one transform the first is its name. Only AES has a Key Length attribute (RFC 7296 3.3.5).
ENCR: dict[str, Transform] = {
    **_aes(),
    "aes": Transform(TransformType.ENCR, Encr.AES_CBC, 128),
    "chacha20poly1305": Transform(TransformType.ENCR, Encr.CHACHA20_POLY1305),
    "chacha20poly1305iiv": Transform(TransformType.ENCR, Encr.CHACHA20_POLY1305_IIV),
    "null": Transform(TransformType.ENCR, Encr.NULL),
    "3des": Transform(TransformType.ENCR, Encr.DES3_CBC),
}
INTEG: dict[str, Transform] = {
    name: Transform(TransformType.INTEG, number)
    for name, number in {
        "sha256": Integ.HMAC_SHA2_256_128,
        "sha2_256": Integ.HMAC_SHA2_256_128,
        "sha384": Integ.HMAC_SHA2_384_192,
        "sha2_384": Integ.HMAC_SHA2_384_192,
        "sha512": Integ.HMAC_SHA2_512_256,
        "sha2_512": Integ.HMAC_SHA2_512_256,
        "sha1": Integ.HMAC_SHA1_96,
        "sha": Integ.HMAC_SHA1_96,
        "sha256_96": Integ.HMAC_SHA2_256_96,
        "sha2_256_96": Integ.HMAC_SHA2_256_96,
        "aesxcbc": Integ.AES_XCBC_96,
        "aescmac": Integ.AES_CMAC_96,
    }.items()
}
PRF: dict[str, Transform] = {
    "prfsha256": Transform(TransformType.PRF, Prf.HMAC_SHA2_256),
    "prfsha384": Transform(TransformType.PRF, Prf.HMAC_SHA2_384),
    "prfsha512": Transform(TransformType.PRF, Prf.HMAC_SHA2_512),
    "prfsha1": Transform(TransformType.PRF, Prf.HMAC_SHA1),
    "prfaesxcbc": Transform(TransformType.PRF, Prf.AES128_XCBC),
    "prfaescmac": Transform(TransformType.PRF, Prf.AES128_CMAC),
}
KE: dict[str, Transform] = {
    name: Transform(TransformType.KE, number)
    for name, number in {
        "x25519": KeyExchange.X25519,
        "curve25519": KeyExchange.X25519,
        "x448": KeyExchange.X448,
        "curve448": KeyExchange.X448,
        "ecp256": KeyExchange.ECP_256,
        "ecp384": KeyExchange.ECP_384,
        "ecp521": KeyExchange.ECP_521,
        "modp2048": KeyExchange.MODP_2048,
        "modp3072": KeyExchange.MODP_3072,
        "modp4096": KeyExchange.MODP_4096,
        "modp6144": KeyExchange.MODP_6144,
        "modp8192": KeyExchange.MODP_8192,
        "modp1536": KeyExchange.MODP_1536,
        "modp1024": KeyExchange.MODP_1024,
        "none": KeyExchange.NONE,
        "modpnone": KeyExchange.NONE,
    }.items()
}
ESN: dict[str, Transform] = {
    "noesn": Transform(TransformType.ESN, Esn.NO_ESN),
    "esn": Transform(TransformType.ESN, Esn.ESN),
}
ALL: dict[str, Transform] = {**ENCR, **INTEG, **PRF, **KE, **ESN}
_NAMES: dict[Transform, str] = {transform: name for name, transform in reversed(ALL.items())}
_TYPE_NAMES: dict[int, str] = {
    TransformType.ENCR: "encryption algorithm",
    TransformType.PRF: "pseudorandom function",
    TransformType.INTEG: "integrity algorithm",
    TransformType.KE: "key exchange method",
    TransformType.ESN: "sequence number size",
}
# The PRF that goes with an integrity keyword when a proposal names none, as swanctl does it.
PRF_OF_INTEG: dict[int, Transform] = {
    Integ.HMAC_SHA1_96: PRF["prfsha1"],
    Integ.HMAC_SHA2_256_128: PRF["prfsha256"],
    Integ.HMAC_SHA2_256_96: PRF["prfsha256"],
    Integ.HMAC_SHA2_384_192: PRF["prfsha384"],
    Integ.HMAC_SHA2_512_256: PRF["prfsha512"],
    Integ.AES_XCBC_96: PRF["prfaesxcbc"],
    Integ.AES_CMAC_96: PRF["prfaescmac"],
}
AEAD: frozenset[int] = frozenset(
    {
        Encr.AES_CCM_8, Encr.AES_CCM_12, Encr.AES_CCM_16, Encr.AES_GCM_8, Encr.AES_GCM_12, Encr.AES_GCM_16,
        Encr.CHACHA20_POLY1305, Encr.NULL_AUTH_AES_GMAC, Encr.AES_CCM_8_IIV, Encr.AES_GCM_16_IIV,
        Encr.CHACHA20_POLY1305_IIV,
    }
)  # fmt: skip

# What is no encryption, and what is only for old peers (RFC 8221 5, 6): suggested when there is nothing better.
UNENCRYPTED: frozenset[Transform] = frozenset([ENCR["null"]] + [ENCR[f"aes{bits}gmac"] for bits in _AES])
LEGACY: frozenset[Transform] = frozenset([ENCR[f"aes{bits}gcm8"] for bits in _AES] + [ENCR["3des"], INTEG["sha256_96"]])

# What this version can do. A proposal with anything else is refused where it is configured, and never negotiated.
_KE_SUPPORTED = [KE[name] for name in ("x25519", "ecp256", "ecp384", "ecp521", "modp2048", "modp3072", "modp4096")]
_IKE_MODES = ("", "ctr", "gcm8", "gcm12", "gcm16", "ccm8", "ccm12", "ccm16")
# An implicit IV is the sequence number of ESP (RFC 8750 4): IKE has none.
IKE_SUPPORTED: frozenset[Transform] = frozenset(
    [ENCR[f"aes{bits}{mode}"] for bits in _AES for mode in _IKE_MODES]
    + [ENCR["chacha20poly1305"]]
    + [INTEG[name] for name in ("sha1", "sha256", "sha384", "sha512")]
    + [PRF[name] for name in ("prfsha1", "prfsha256", "prfsha384", "prfsha512")]
    + _KE_SUPPORTED
)
ESP_SUPPORTED: frozenset[Transform] = frozenset(
    [*ENCR.values(), *INTEG.values(), *_KE_SUPPORTED, KE["none"], *ESN.values()]
)


def keyword(transform: Transform) -> str:
    """The keyword of a transform, or its numbers when it has none."""
    plain = Transform(transform.type, transform.id, transform.key_length)
    if plain in _NAMES:
        return _NAMES[plain]
    length = f"/{transform.key_length}" if transform.key_length is not None else ""
    return f"{type_name(transform.type)} {transform.id}{length}"


def type_name(transform_type: int) -> str:
    """What a transform type is called."""
    return _TYPE_NAMES.get(transform_type, f"transform type {transform_type}")
