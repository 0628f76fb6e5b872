"""From the shared secret to every key of an IKE SA and its Child SAs (RFC 7296 2.14, 2.17, 2.18)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ironswan.crypto.prf import key_length, prf, prf_plus
from ironswan.policy.transforms import Encr, Integ, Proposal, TransformType

# Octets of salt that follow the encryption key in KEYMAT: RFC 5282 for GCM, RFC 7634 for ChaCha20-Poly1305.
_SALT_LENGTH = {Encr.AES_GCM_8: 4, Encr.AES_GCM_12: 4, Encr.AES_GCM_16: 4, Encr.CHACHA20_POLY1305: 4}
_FIXED_KEY_LENGTH = {Encr.CHACHA20_POLY1305: 32}
_INTEG_KEY_LENGTH = {
    Integ.NONE: 0,
    Integ.HMAC_SHA1_96: 20,
    Integ.HMAC_SHA2_256_128: 32,
    Integ.HMAC_SHA2_384_192: 48,
    Integ.HMAC_SHA2_512_256: 64,
}


@dataclass(frozen=True, slots=True)
class IkeSuite:
    """The algorithms of one IKE SA, as transform numbers; `encr_key_length` in octets, without salt."""

    encr: int
    encr_key_length: int
    prf: int
    integ: int
    ke: int

    @classmethod
    def from_proposal(cls, proposal: Proposal) -> IkeSuite:
        """The suite of a chosen proposal: one transform a type. Raises ValueError when it is not one."""

        def one(kind: TransformType) -> int:
            found = proposal.of_type(kind)
            if len(found) != 1:
                raise ValueError(f"{len(found)} transforms of type {kind.name} are not a choice")
            return found[0].id

        encr = one(TransformType.ENCR)
        bits = proposal.of_type(TransformType.ENCR)[0].key_length
        key_octets = _FIXED_KEY_LENGTH.get(Encr(encr)) or (bits or 0) // 8
        integ = proposal.of_type(TransformType.INTEG)
        integ_id = integ[0].id if integ else int(Integ.NONE)
        if integ_id not in _INTEG_KEY_LENGTH or not key_octets:
            raise ValueError("encryption or integrity algorithm is not supported")
        return cls(encr, key_octets, one(TransformType.PRF), integ_id, one(TransformType.KE))

    @property
    def salt_length(self) -> int:
        """Octets of salt behind the encryption key."""
        return _SALT_LENGTH.get(Encr(self.encr), 0)

    @property
    def aead(self) -> bool:
        """Whether encryption brings its own integrity."""
        return bool(self.salt_length)


@dataclass(frozen=True, slots=True)
class IkeKeys:
    """The seven keys of an IKE SA. `sk_ei` and `sk_er` end in the salt for AEAD suites, whose `sk_a*` are empty."""

    sk_d: bytes = field(repr=False)
    sk_ai: bytes = field(repr=False)
    sk_ar: bytes = field(repr=False)
    sk_ei: bytes = field(repr=False)
    sk_er: bytes = field(repr=False)
    sk_pi: bytes = field(repr=False)
    sk_pr: bytes = field(repr=False)


def derive_ike_keys(
    suite: IkeSuite,
    shared: bytes,
    nonce_i: bytes,
    nonce_r: bytes,
    spi_i: bytes,
    spi_r: bytes,
    old_sk_d: bytes | None = None,
    old_prf: int | None = None,
) -> IkeKeys:
    """The keys of a new IKE SA (RFC 7296 2.14), or of a rekeyed one when the old SK_d and PRF are given (2.18)."""
    if old_sk_d is None:
        skeyseed = prf(suite.prf, nonce_i + nonce_r, shared)
    else:
        skeyseed = prf(suite.prf if old_prf is None else old_prf, old_sk_d, shared + nonce_i + nonce_r)
    derived = key_length(suite.prf)
    integ = _INTEG_KEY_LENGTH[Integ(suite.integ)]
    encr = suite.encr_key_length + suite.salt_length
    lengths = (derived, integ, integ, encr, encr, derived, derived)
    stream = prf_plus(suite.prf, skeyseed, nonce_i + nonce_r + spi_i + spi_r, sum(lengths))
    parts: list[bytes] = []
    for length in lengths:
        parts.append(stream[:length])
        stream = stream[length:]
    return IkeKeys(*parts)


def child_keymat(prf_id: int, sk_d: bytes, nonce_i: bytes, nonce_r: bytes, length: int, shared: bytes = b"") -> bytes:
    """`length` octets of KEYMAT for a Child SA (RFC 7296 2.17).

    The first half is for the direction from the initiator of the exchange; `shared` is the new secret with PFS (I73).
    """
    return prf_plus(prf_id, sk_d, shared + nonce_i + nonce_r, length)
