"""From the shared secret to every key of an IKE SA and its Child SAs (RFC 7296 2.14, 2.17, 2.18)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ironswan.crypto.prf import key_length, prf, prf_plus
from ironswan.crypto.prf import supported as supported_prfs
from ironswan.policy.transforms import Encr, Integ, Proposal, Transform, TransformType

# Octets of salt that follow the encryption key in KEYMAT: RFC 5282 for GCM, RFC 7634 for ChaCha20-Poly1305.
_SALT_LENGTH = {Encr.AES_GCM_8: 4, Encr.AES_GCM_12: 4, Encr.AES_GCM_16: 4, Encr.CHACHA20_POLY1305: 4}
# Key Length attributes in bits; None stands for the absent one, which a fixed-key cipher must not have (I46).
_AES_KEY_LENGTHS: dict[int | None, int] = {128: 16, 192: 24, 256: 32}
_KEY_LENGTHS: dict[int, dict[int | None, int]] = {
    Encr.AES_CBC: _AES_KEY_LENGTHS,
    Encr.AES_GCM_8: _AES_KEY_LENGTHS,
    Encr.AES_GCM_12: _AES_KEY_LENGTHS,
    Encr.AES_GCM_16: _AES_KEY_LENGTHS,
    Encr.CHACHA20_POLY1305: {None: 32},
}
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
        """The suite of a chosen proposal: one transform a type. Raises ValueError when it is not one that is sound.

        An AEAD cipher goes without integrity algorithm, any other never does (I47).
        """

        def one(kind: TransformType) -> Transform:
            found = proposal.of_type(kind)
            if len(found) != 1:
                raise ValueError(f"{len(found)} transforms of type {kind.name} are not a choice")
            return found[0]

        encr, prf_id, ke = one(TransformType.ENCR), one(TransformType.PRF).id, one(TransformType.KE).id
        integ = one(TransformType.INTEG).id if proposal.of_type(TransformType.INTEG) else int(Integ.NONE)
        key_octets = _KEY_LENGTHS.get(encr.id, {}).get(encr.key_length)
        if key_octets is None or integ not in _INTEG_KEY_LENGTH or prf_id not in supported_prfs():
            raise ValueError("encryption, integrity algorithm or PRF is not supported")
        suite = cls(encr.id, key_octets, prf_id, integ, ke)
        if suite.aead != (integ == Integ.NONE):
            raise ValueError("integrity must come from the cipher or from an algorithm of its own, and from one only")
        return suite

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
