"""The transforms of RFC 7296 3.3.2 as values: numbers and names, no meaning beyond them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Protocol(IntEnum):
    """Security protocol identifiers (RFC 7296 3.3.1)."""

    NONE = 0
    IKE = 1
    AH = 2
    ESP = 3


class TransformType(IntEnum):
    """Transform types (RFC 7296 3.3.2)."""

    ENCR = 1
    PRF = 2
    INTEG = 3
    KE = 4
    ESN = 5


class Encr(IntEnum):
    """Encryption algorithms (IANA IKEv2 transform type 1)."""

    DES3_CBC = 3
    NULL = 11
    AES_CBC = 12
    AES_CTR = 13
    AES_CCM_8 = 14
    AES_CCM_12 = 15
    AES_CCM_16 = 16
    AES_GCM_8 = 18
    AES_GCM_12 = 19
    AES_GCM_16 = 20
    NULL_AUTH_AES_GMAC = 21
    CHACHA20_POLY1305 = 28
    AES_CCM_8_IIV = 29
    AES_GCM_16_IIV = 30
    CHACHA20_POLY1305_IIV = 31


class Prf(IntEnum):
    """Pseudorandom functions (transform type 2)."""

    HMAC_SHA1 = 2
    AES128_XCBC = 4
    HMAC_SHA2_256 = 5
    HMAC_SHA2_384 = 6
    HMAC_SHA2_512 = 7
    AES128_CMAC = 8


class Integ(IntEnum):
    """Integrity algorithms (transform type 3)."""

    NONE = 0
    HMAC_SHA1_96 = 2
    AES_XCBC_96 = 5
    AES_CMAC_96 = 8
    HMAC_SHA2_256_128 = 12
    HMAC_SHA2_384_192 = 13
    HMAC_SHA2_512_256 = 14
    HMAC_SHA2_256_96 = 1026
    """Private use, numbered as strongSwan does: the truncation of an early draft."""


class KeyExchange(IntEnum):
    """Key exchange methods (transform type 4)."""

    NONE = 0
    MODP_1024 = 2
    MODP_1536 = 5
    MODP_2048 = 14
    MODP_3072 = 15
    MODP_4096 = 16
    MODP_6144 = 17
    MODP_8192 = 18
    ECP_256 = 19
    ECP_384 = 20
    ECP_521 = 21
    X25519 = 31
    X448 = 32


class Esn(IntEnum):
    """Extended sequence numbers (transform type 5)."""

    NO_ESN = 0
    ESN = 1


@dataclass(frozen=True, slots=True)
class Transform:
    """One transform: its type, its number within the type, and the Key Length attribute in bits, if any.

    `type` and `id` stay plain integers so that what a peer invents can be represented and refused. `attributes_known`
    is False when the peer attached an attribute we do not understand: that rules out this transform only (3.3.6).
    """

    type: int
    id: int
    key_length: int | None = None
    attributes_known: bool = True


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal: a protocol and, for each transform type, the acceptable transforms in order of preference.

    `number` and `spi` are what stands on the wire (RFC 7296 3.3.1); a configured proposal leaves them 0 and empty.
    """

    protocol: Protocol
    transforms: tuple[Transform, ...]
    number: int = 0
    spi: bytes = b""

    def of_type(self, transform_type: int) -> tuple[Transform, ...]:
        """The transforms of one type, in the order offered."""
        return tuple(t for t in self.transforms if t.type == transform_type)
