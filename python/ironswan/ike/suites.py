"""ESP suites as the data plane names them: from a negotiated proposal to a keyword and an amount of key material."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ironswan.crypto import lengths
from ironswan.policy import keywords
from ironswan.policy.keywords import keyword
from ironswan.policy.transforms import Esn, Integ, KeyExchange, Proposal, Transform, TransformType

_NO_INTEG = Transform(TransformType.INTEG, Integ.NONE)


@dataclass(frozen=True, slots=True)
class EspSuite:
    """Keyword, and octets of key material for one direction: encryption key, salt, integrity key (RFC 7296 2.17)."""

    keyword: str
    keymat_length: int


def esp_suite(proposal: Proposal, *, sha256_96: bool = False) -> EspSuite | None:
    """The suite of a chosen ESP proposal; None if the data plane has none for it.

    `sha256_96` cuts the ICV of HMAC-SHA-256 off at 96 bits, for peers that do so without saying it.
    """
    encr, integ = _one(proposal, TransformType.ENCR), _one(proposal, TransformType.INTEG)
    if encr is None or (encr.id in keywords.AEAD) != (integ is None):
        return None
    if not {encr, integ or encr} <= keywords.ESP_SUPPORTED:
        return None
    if sha256_96 and integ == keywords.INTEG["sha256"]:
        integ = keywords.INTEG["sha256_96"]
    length = lengths.encryption_key(encr) + lengths.salt(encr.id)
    if integ is None:
        return EspSuite(keyword(encr), length)
    return EspSuite(f"{keyword(encr)}-{keyword(integ)}", length + lengths.integrity_key(integ.id))


def _one(proposal: Proposal, kind: TransformType) -> Transform | None:
    return next((t for t in proposal.of_type(kind) if t != _NO_INTEG), None)


def uses_esn(proposal: Proposal) -> bool:
    """Whether extended sequence numbers were chosen."""
    return any(t.id == Esn.ESN for t in proposal.of_type(TransformType.ESN))


def ke_method(proposal: Proposal) -> int:
    """The key exchange method of a chosen proposal, 0 for none."""
    return next((t.id for t in proposal.of_type(TransformType.KE)), int(KeyExchange.NONE))


def offered_ke_methods(proposals: tuple[Proposal, ...]) -> tuple[int, ...]:
    """Every key exchange method in a list of proposals, in order, NONE left out."""
    methods = [t.id for p in proposals for t in p.of_type(TransformType.KE) if t.id != KeyExchange.NONE]
    return tuple(dict.fromkeys(methods))


def without_ke(proposals: tuple[Proposal, ...]) -> tuple[Proposal, ...]:
    """ESP proposals for IKE_AUTH, which has no key exchange of its own for the Child SA."""
    stripped = (replace(p, transforms=tuple(t for t in p.transforms if t.type != TransformType.KE)) for p in proposals)
    return tuple(dict.fromkeys(stripped))


def of_suite(proposals: tuple[Proposal, ...], suite: tuple[Transform, ...]) -> tuple[Proposal, ...]:
    """What of configured proposals has exactly these transforms, with the key exchange methods that go with them."""
    fitting = (p for p in proposals if set(suite) <= set(p.transforms))
    return tuple(dict.fromkeys(replace(p, transforms=(*suite, *p.of_type(TransformType.KE))) for p in fitting))


def numbered(proposals: tuple[Proposal, ...], spi: bytes) -> tuple[Proposal, ...]:
    """Configured proposals as they go on the wire."""
    return tuple(replace(p, number=n, spi=spi) for n, p in enumerate(proposals, start=1))
