"""ESP suites as the data plane names them: from a negotiated proposal to a keyword and an amount of key material."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ironswan.policy.transforms import Encr, Esn, KeyExchange, Proposal, TransformType


@dataclass(frozen=True, slots=True)
class EspSuite:
    """Keyword and octets of key material (cipher key and salt) for one direction."""

    keyword: str
    keymat_length: int


_SUITES: dict[tuple[int, int | None], EspSuite] = {
    (Encr.AES_GCM_16, 128): EspSuite("aes128gcm16", 20),
    (Encr.AES_GCM_16, 256): EspSuite("aes256gcm16", 36),
    (Encr.CHACHA20_POLY1305, None): EspSuite("chacha20poly1305", 36),
}


def esp_suite(proposal: Proposal) -> EspSuite | None:
    """The suite of a chosen ESP proposal; None if the data plane has none for it."""
    encr = next(iter(proposal.of_type(TransformType.ENCR)), None)
    return _SUITES.get((encr.id, encr.key_length)) if encr else None


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


def numbered(proposals: tuple[Proposal, ...], spi: bytes) -> tuple[Proposal, ...]:
    """Configured proposals as they go on the wire."""
    return tuple(replace(p, number=n, spi=spi) for n, p in enumerate(proposals, start=1))
