"""From the shared secret to every key of an IKE SA and its Child SAs (RFC 7296 2.14, 2.17, 2.18)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ironswan.crypto import lengths
from ironswan.crypto.prf import key_length, prf, prf_plus
from ironswan.policy.keywords import AEAD, IKE_SUPPORTED
from ironswan.policy.transforms import Integ, Proposal, Transform, TransformType

_NO_INTEG = Transform(TransformType.INTEG, Integ.NONE)


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

        encr, function, ke = one(TransformType.ENCR), one(TransformType.PRF), one(TransformType.KE).id
        integ = one(TransformType.INTEG) if proposal.of_type(TransformType.INTEG) else _NO_INTEG
        if not {encr, function, integ} <= IKE_SUPPORTED | {_NO_INTEG}:
            raise ValueError("encryption, integrity algorithm or PRF is not supported")
        suite = cls(encr.id, lengths.encryption_key(encr), function.id, integ.id, ke)
        if suite.aead != (integ == _NO_INTEG):
            raise ValueError("integrity must come from the cipher or from an algorithm of its own, and from one only")
        return suite

    @property
    def salt_length(self) -> int:
        """Octets of salt behind the encryption key."""
        return lengths.salt(self.encr)

    @property
    def aead(self) -> bool:
        """Whether encryption brings its own integrity."""
        return self.encr in AEAD


@dataclass(frozen=True, slots=True)
class IkeKeys:
    """The seven keys of an IKE SA. `sk_ei` and `sk_er` end in the salt, if any; AEAD suites have empty `sk_a*`."""

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
    integ = lengths.integrity_key(suite.integ)
    encr = suite.encr_key_length + suite.salt_length
    sizes = (derived, integ, integ, encr, encr, derived, derived)
    stream = prf_plus(suite.prf, skeyseed, nonce_i + nonce_r + spi_i + spi_r, sum(sizes))
    parts: list[bytes] = []
    for length in sizes:
        parts.append(stream[:length])
        stream = stream[length:]
    return IkeKeys(*parts)


def child_keymat(prf_id: int, sk_d: bytes, nonce_i: bytes, nonce_r: bytes, length: int, shared: bytes = b"") -> bytes:
    """`length` octets of KEYMAT for a Child SA (RFC 7296 2.17).

    The first half is for the direction from the initiator of the exchange; `shared` is the new secret with PFS (I73).
    """
    return prf_plus(prf_id, sk_d, shared + nonce_i + nonce_r, length)
