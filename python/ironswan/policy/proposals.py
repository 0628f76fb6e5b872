"""Proposals: from keywords, and the choice between ours and theirs (RFC 7296 2.7, 3.3.6), or why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from ironswan.policy import keywords
from ironswan.policy.keywords import keyword, type_name
from ironswan.policy.transforms import Esn, Integ, KeyExchange, Proposal, Protocol, Transform, TransformType

_NONE_KE = keywords.KE["none"]
_TYPES = frozenset(map(int, TransformType))
_NO_INTEG = Transform(TransformType.INTEG, Integ.NONE)
_PRFS = "prfsha256-prfsha384-prfsha512"
_METHODS = "x25519-ecp256-ecp384-ecp521-modp2048-modp3072-modp4096"
# No SHA-1, no small groups unless asked for (RFC 8247 2; RFC 8221 5, 6). For ESP `none` leaves perfect forward secrecy
# to the peer.
DEFAULT_KEYWORDS: dict[Protocol, tuple[str, ...]] = {
    Protocol.IKE: (
        f"aes128gcm16-aes256gcm16-chacha20poly1305-{_PRFS}-{_METHODS}",
        f"aes128-aes192-aes256-sha256-sha384-sha512-{_PRFS}-{_METHODS}",
    ),
    Protocol.ESP: (
        f"aes128gcm16-aes256gcm16-chacha20poly1305-{_METHODS}-none",
        f"aes128-aes192-aes256-sha256-sha384-sha512-{_METHODS}-none",
    ),
}
_NEEDED = {
    Protocol.IKE: (TransformType.ENCR, TransformType.PRF, TransformType.KE),
    Protocol.ESP: (TransformType.ENCR,),
}
# An explanation is made of what a stranger sent: of its beginning, and cut to what somebody would read.
_EXAMINED_PROPOSALS, _EXAMINED_TRANSFORMS = 16, 64
_SHOWN, _SHOWN_LENGTH = 16, 320


@dataclass(frozen=True, slots=True)
class Selected:
    """A choice: our proposal, and what of it was chosen, with their number and SPI and one transform a type."""

    ours: Proposal
    chosen: Proposal


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Nothing can be chosen. Why is found out when it is asked for: a peer can cause more mismatches than are told."""

    ours: tuple[Proposal, ...]
    theirs: tuple[Proposal, ...]

    @property
    def transform_type(self) -> int | None:
        """The first transform type without anything in common, in the pair that comes closest."""
        return _closest(self.ours, _examined(self.theirs))

    @property
    def suggestion(self) -> str:
        """A line that would have matched; empty if there is none."""
        return _suggestion(_protocol(self.ours, self.theirs), _examined(self.theirs))

    def __str__(self) -> str:
        """One sentence: the type, both lists, and what to add."""
        kind, protocol = self.transform_type, _protocol(self.ours, self.theirs)
        what = "proposal" if kind is None else type_name(kind)
        ours, theirs = _listed(self.ours, kind), _listed(_examined(self.theirs), kind)
        text = f"no common {protocol.name} {what}: we allow {ours}; the peer offers {theirs}"
        suggestion = self.suggestion
        if not suggestion:
            return f"{text}; none of these is supported by this version"
        key = "proposals" if protocol is Protocol.IKE else "esp_proposals"
        return f'{text}; add "{suggestion}" to {key}{_warning(suggestion)}'


def _warning(suggestion: str) -> str:
    transforms = {keywords.ALL[word] for word in suggestion.split("-")}
    if transforms & keywords.UNENCRYPTED:
        return ", which does not encrypt"
    return ", which is for old peers only" if transforms & keywords.LEGACY else ""


def parse_proposal(text: str, protocol: Protocol) -> Proposal:
    """One proposal from keywords joined by `-`, in order of preference within each type. Raises ValueError in words."""
    transforms: list[Transform] = []
    for word in text.strip().lower().split("-"):
        if word not in keywords.ALL:
            close = get_close_matches(word, keywords.ALL, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{word!r} is not a proposal keyword{hint}")
        if keywords.ALL[word] not in transforms:
            transforms.append(keywords.ALL[word])
    completed = _complete(transforms, protocol)
    _check(text, completed, protocol)
    return Proposal(protocol, tuple(sorted(completed, key=lambda t: t.type)))


def _complete(transforms: list[Transform], protocol: Protocol) -> list[Transform]:
    """What keywords leave unsaid or say too much, as swanctl does."""
    kinds = {t.type for t in transforms}
    if protocol is Protocol.IKE:
        integ = [t for t in transforms if t.type == TransformType.INTEG]
        if TransformType.PRF not in kinds:
            transforms = transforms + [keywords.PRF_OF_INTEG[t.id] for t in integ]
        # Beside AEAD an integrity keyword has named the PRF, and means no more.
        unmeant = integ if any(map(_is_aead, transforms)) else []
        return [t for t in dict.fromkeys(transforms) if t.type != TransformType.ESN and t not in (_NONE_KE, *unmeant)]
    transforms = [t for t in transforms if t.type != TransformType.PRF]
    return transforms if TransformType.ESN in kinds else [*transforms, keywords.ESN["noesn"]]


def _is_aead(transform: Transform) -> bool:
    return transform.type == TransformType.ENCR and transform.id in keywords.AEAD


def _check(text: str, transforms: Sequence[Transform], protocol: Protocol) -> None:
    supported = keywords.IKE_SUPPORTED if protocol is Protocol.IKE else keywords.ESP_SUPPORTED
    if missing := [t for t in transforms if t not in supported]:
        kind = missing[0].type
        known = ", ".join(sorted({keyword(t) for t in supported if t.type == kind}))
        advice = f"; the {type_name(kind)} may be {known}" if known else f"; it takes no {type_name(kind)}"
        words = ", ".join(map(keyword, missing))
        raise ValueError(f"{words} in {text!r}: not supported for {protocol.name} by this version{advice}")
    kinds = {t.type for t in transforms}
    for needed in _NEEDED[protocol]:
        if needed not in kinds:
            raise ValueError(f"{text!r} has no {type_name(needed)}: {_ADVICE[needed]}")
    _check_integrity(text, transforms, protocol)


def _check_integrity(text: str, transforms: Sequence[Transform], protocol: Protocol) -> None:
    """Integrity comes from AEAD or an algorithm of its own, never from both or none (RFC 7296 3.3.3, RFC 8221 4)."""
    aead = [t for t in transforms if _is_aead(t)]
    plain = [t for t in transforms if t.type == TransformType.ENCR and t not in aead]
    integ = [t for t in transforms if t.type == TransformType.INTEG]

    def words(encr: list[Transform], integ: list[Transform]) -> str:
        others = [t for t in transforms if t.type not in (TransformType.ENCR, TransformType.INTEG)]
        return proposal_text(Proposal(protocol, tuple(sorted([*encr, *integ, *others], key=lambda t: t.type))))

    suggested = integ or [keywords.INTEG["sha256"]]
    if aead and plain:
        message = "mixes AEAD with other encryption algorithms: write two proposals"
        raise ValueError(f"{text!r} {message}, {words(aead, [])}, {words(plain, suggested)}")
    if aead and integ:
        raise ValueError(f"{text!r} has an integrity algorithm beside AEAD, which needs none: write {words(aead, [])}")
    if plain and not integ:
        raise ValueError(f"{text!r} has no integrity algorithm: write {words(plain, suggested)}")


_ADVICE = {
    TransformType.ENCR: "add one, for instance aes128gcm16",
    TransformType.PRF: "add one, for instance -prfsha256",
    TransformType.KE: "add one, for instance -x25519",
}


def default_proposals(protocol: Protocol) -> tuple[Proposal, ...]:
    """What `default` stands for."""
    return tuple(parse_proposal(text, protocol) for text in DEFAULT_KEYWORDS[protocol])


def proposal_text(proposal: Proposal) -> str:
    """The keywords of a proposal; `noesn` goes without saying."""
    unsaid = (keywords.ESN["noesn"], _NO_INTEG)
    return "-".join(keyword(t) for t in proposal.transforms if t not in unsaid)


def select(ours: Sequence[Proposal], theirs: Sequence[Proposal]) -> Selected | Mismatch:
    """The first of our proposals that one of theirs can meet, with one transform a type: the one we prefer."""
    for our in ours:
        for their in theirs:
            chosen = _choose(our, their)
            if chosen is not None:
                return Selected(our, Proposal(our.protocol, chosen, their.number, their.spi))
    return Mismatch(tuple(ours), tuple(theirs))


def _choose(our: Proposal, their: Proposal) -> tuple[Transform, ...] | None:
    if our.protocol != their.protocol or not {t.type for t in their.transforms} <= _TYPES:
        return None
    chosen: list[Transform] = []
    for kind in TransformType:
        a, b = our.of_type(kind), _usable(their, kind)
        if kind is TransformType.INTEG and not a and b == (_NO_INTEG,):
            chosen.append(_NO_INTEG)  # RFC 7296 3.3.3: NONE may be spelled out with AEAD, and is answered as offered.
            continue
        if kind is TransformType.KE and not a and _NONE_KE in b and our.protocol is not Protocol.IKE:
            chosen.append(_NONE_KE)
            continue
        common = next((t for t in a if t in b), None)
        if common is not None:
            chosen.append(common)
        elif not _may_be_absent(kind, our, their):
            return None
    return tuple(chosen)


def _usable(proposal: Proposal, kind: int) -> tuple[Transform, ...]:
    return tuple(t for t in proposal.of_type(kind) if t.attributes_known)


def _may_be_absent(kind: int, our: Proposal, their: Proposal) -> bool:
    """Whether a type without a common transform is one that neither side insists on."""
    if kind == TransformType.KE and our.protocol is not Protocol.IKE:
        return _optional_ke(our) and _optional_ke(their)
    return not our.of_type(kind) and not their.of_type(kind)


def _optional_ke(proposal: Proposal) -> bool:
    methods = proposal.of_type(TransformType.KE)
    return not methods or any(t.id == KeyExchange.NONE for t in methods)


def _protocol(ours: Sequence[Proposal], theirs: Sequence[Proposal]) -> Protocol:
    return next((p.protocol for p in (*ours, *theirs)), Protocol.IKE)


def _examined(theirs: Sequence[Proposal]) -> tuple[Proposal, ...]:
    """As much of what a peer offers as an explanation is worth."""
    few = theirs[:_EXAMINED_PROPOSALS]
    return tuple(replace(p, transforms=p.transforms[:_EXAMINED_TRANSFORMS]) for p in few)


def _closest(ours: Sequence[Proposal], theirs: Sequence[Proposal]) -> int | None:
    best: tuple[int, int | None] = (-1, None)
    for our in ours:
        for their in theirs:
            agreed, failed = _agreement(our, their)
            if agreed > best[0]:
                best = (agreed, failed)
    return best[1]


def _agreement(our: Proposal, their: Proposal) -> tuple[int, int | None]:
    """How many types agree, and the first that does not (RFC 7296's order)."""
    agreed, failed = 0, None
    for kind in TransformType:
        a, b = our.of_type(kind), _usable(their, kind)
        if any(t in b for t in a) or _may_be_absent(kind, our, their) or (not a and b == (_NO_INTEG,)):
            agreed += 1
        elif failed is None:
            failed = int(kind)
    return agreed, failed


def _listed(proposals: Iterable[Proposal], kind: int | None) -> str:
    """The transforms of one type, or else the proposals, as keywords; the first few of many."""
    texts = map(proposal_text, proposals) if kind is None else (keyword(t) for p in proposals for t in p.of_type(kind))
    words = tuple(dict.fromkeys(texts))
    shown = ", ".join(words[:_SHOWN]) or "none"
    cut = shown[:_SHOWN_LENGTH]
    return cut if len(words) <= _SHOWN and cut == shown else f"{cut} and more"


def _suggestion(protocol: Protocol, theirs: Sequence[Proposal]) -> str:
    """A line that would have matched: their first proposal that we can do, one transform a type, the weak ones last."""
    supported = keywords.IKE_SUPPORTED if protocol is Protocol.IKE else keywords.ESP_SUPPORTED
    for allowed in (supported - keywords.LEGACY - keywords.UNENCRYPTED, supported):
        for their in theirs:
            if their.protocol is protocol and (text := _possible(their, allowed)):
                return text
    return ""


def _possible(their: Proposal, allowed: frozenset[Transform]) -> str:
    """One transform of each type they offer, as keywords; empty if there is no such proposal."""
    chosen: list[Transform] = []
    for kind in TransformType:
        offered = [t for t in their.of_type(kind) if t != _NO_INTEG]
        picked = next((t for t in offered if t in allowed), None)
        if picked is not None and picked != _NONE_KE:
            chosen.append(picked)
        elif picked is None and offered:
            return ""
    return proposal_text(Proposal(their.protocol, tuple(chosen))) if _complete_choice(chosen, their.protocol) else ""


def _complete_choice(chosen: Sequence[Transform], protocol: Protocol) -> bool:
    """Whether one transform of each of these types makes a proposal (RFC 7296 3.3.3; I47)."""
    kinds = {t.type for t in chosen}
    aead = any(map(_is_aead, chosen))
    return kinds.issuperset(_NEEDED.get(protocol, ())) and aead != (TransformType.INTEG in kinds)


def is_answer_to(answer: Proposal, offered: Sequence[Proposal]) -> bool:
    """Whether an answer is one of our offers, with exactly one transform of each offered type, unmodified."""
    for offer in offered:
        if offer.protocol is answer.protocol and offer.number in (answer.number, 0) and _answers(answer, offer):
            return True
    return False


def _answers(answer: Proposal, offer: Proposal) -> bool:
    kinds = [t.type for t in answer.transforms]
    if len(set(kinds)) != len(kinds):
        return False
    # NONE may stand for an integrity algorithm only where none was asked for.
    implied = () if offer.of_type(TransformType.INTEG) else (_NO_INTEG,)
    if any(t not in offer.transforms and t not in implied for t in answer.transforms):
        return False
    missing = {t.type for t in offer.transforms} - set(kinds)
    return all(kind == TransformType.KE and _optional_ke(offer) for kind in missing)


def wants_esn(proposal: Proposal) -> bool:
    """Whether a chosen proposal has extended sequence numbers."""
    return any(t.id == Esn.ESN for t in proposal.of_type(TransformType.ESN))
