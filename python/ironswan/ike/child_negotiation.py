"""Negotiating one Child SA (RFC 7296 2.7, 2.9, 2.17): the offer, the answer and its check, for all exchanges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ironswan.crypto import ke
from ironswan.crypto.keys import child_keymat
from ironswan.ike.children import ChildSpec
from ironswan.ike.narrowing import Narrowed, Selectors, host_to_host, narrowed, seen_here, taken
from ironswan.ike.payloads import Payloads, find, find_ts, notify
from ironswan.ike.refusal import Refusal
from ironswan.ike.suites import (
    EspSuite,
    esp_suite,
    ke_method,
    numbered,
    of_suite,
    offered_ke_methods,
    uses_esn,
    without_ke,
)
from ironswan.ike.types import Because
from ironswan.policy.connection import ChildPolicy, Mode
from ironswan.policy.proposals import Mismatch, is_answer_to, select
from ironswan.policy.selectors import are_within
from ironswan.policy.transforms import Proposal, Transform
from ironswan.wire.ke import KePayload
from ironswan.wire.message import Payload
from ironswan.wire.nonce import NoncePayload
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import NotifyType
from ironswan.wire.sa import SaPayload
from ironswan.wire.ts import TsPayload

if TYPE_CHECKING:
    from ironswan.ike.session import IkeSa

NONCE_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Place:
    """Where a Child SA is used (RFC 9611): by `worker` or by all, alone or beside others, which have `suite`."""

    worker: int | None = None
    per_resource: bool = False
    suite: tuple[Transform, ...] = ()

    def payloads(self) -> Payloads:
        """What tells the peer; the identifier is for its log."""
        identifier = b"" if self.worker is None else self.worker.to_bytes(4, "big")
        return (NotifyPayload(NotifyType.SA_RESOURCE_INFO, identifier),) if self.per_resource else ()


SERVES_ALL = Place()


@dataclass(frozen=True, slots=True)
class ChildOffer:
    """What we asked for. `ke` is None without PFS; in IKE_AUTH `nonce` is empty, for the IKE SA's nonces serve."""

    policy: ChildPolicy
    proposals: tuple[Proposal, ...]
    inbound_spi: int
    ts_local: Selectors
    ts_remote: Selectors
    mode: Mode = Mode.TUNNEL
    nonce: bytes = b""
    ke: ke.KeyExchangeState | None = field(default=None, repr=False)
    ke_method: int = 0
    place: Place = SERVES_ALL


def make_offer(
    sa: IkeSa,
    policy: ChildPolicy,
    selectors: tuple[Selectors, Selectors],
    place: Place,
    *,
    mode: Mode,
    in_auth: bool = False,
    method: int = 0,
) -> ChildOffer:
    """A fresh offer: new SPI, nonce and key exchange. `method` is the KE method to try first, 0 for our preference.

    Transport mode is asked for between the two hosts only (RFC 7296 2.23.1).
    """
    environment = sa.context.environment
    inbound_spi = environment.allocate_spi(place.worker)
    proposals = of_suite(policy.esp_proposals, place.suite) if place.suite else policy.esp_proposals
    proposals = without_ke(proposals) if in_auth else proposals
    methods = offered_ke_methods(proposals)
    chosen = method if method in methods else (methods[0] if methods else 0)
    return ChildOffer(
        policy=policy,
        proposals=numbered(proposals, inbound_spi.to_bytes(4, "big")),
        inbound_spi=inbound_spi,
        ts_local=selectors[0],
        ts_remote=selectors[1],
        mode=mode if host_to_host(sa, *selectors) else Mode.TUNNEL,
        nonce=b"" if in_auth else environment.entropy(NONCE_LENGTH),
        ke=ke.new(chosen, environment.entropy) if chosen else None,
        ke_method=chosen,
        place=place,
    )


def offer_payloads(offer: ChildOffer) -> Payloads:
    """The request's payloads, in RFC order: SA, Ni, KEi, TSi, TSr."""
    payloads: list[Payload] = []
    if offer.mode is Mode.TRANSPORT:
        payloads.append(NotifyPayload(NotifyType.USE_TRANSPORT_MODE))
    payloads += [*offer.place.payloads(), SaPayload(offer.proposals)]
    if offer.nonce:
        payloads.append(NoncePayload(offer.nonce))
    if offer.ke is not None:
        payloads.append(KePayload(offer.ke_method, offer.ke.public))
    payloads += [TsPayload(True, offer.ts_local), TsPayload(False, offer.ts_remote)]
    return tuple(payloads)


def accept(sa: IkeSa, offer: ChildOffer, payloads: Payloads) -> ChildSpec | Refusal:
    """Check the response against the offer and derive the keys (RFC 7296 2.7, 3.3.6: nothing we did not offer)."""
    answer, ts_i, ts_r = find(payloads, SaPayload), find_ts(payloads, True), find_ts(payloads, False)
    if answer is None or ts_i is None or ts_r is None or len(answer.proposals) != 1:
        return Refusal(NotifyType.INVALID_SYNTAX, Because.MISSING_PAYLOAD, "the answer lacks SA, TSi or TSr")
    proposal = answer.proposals[0]
    suite = esp_suite(proposal, sha256_96=offer.policy.sha256_96)
    if suite is None or not is_answer_to(proposal, offer.proposals) or not _valid_spi(proposal.spi):
        return Refusal(NotifyType.NO_PROPOSAL_CHOSEN, Because.NOT_OUR_OFFER, "the peer chose what we did not offer")
    agreed = _agreed(sa, offer, ts_i.selectors, ts_r.selectors, payloads)
    if isinstance(agreed, Refusal):
        return agreed
    if offer.place.suite and (set(agreed.local), set(agreed.remote)) != (set(offer.ts_local), set(offer.ts_remote)):
        # RFC 9611 4: it has the same properties as the SA beside it.
        return Refusal(NotifyType.TS_UNACCEPTABLE, Because.SELECTORS, "the peer narrowed the SA of a single worker")
    shared = _shared_as_initiator(offer, proposal, payloads)
    if isinstance(shared, Refusal):
        return shared
    nonces = _nonces(sa, offer.nonce, payloads, initiating=True)
    if isinstance(nonces, Refusal):
        return nonces
    keys = _keymat(sa, suite, nonces, shared)
    return ChildSpec(
        offer.policy, offer.inbound_spi, int.from_bytes(proposal.spi, "big"), suite.keyword, uses_esn(proposal),
        agreed.mode, agreed.local, agreed.remote, keys[1], keys[0], nonces, offer.ke_method,
        without_ke((proposal,))[0].transforms, offer.place.worker,
        offer.place.per_resource and _names_resource(payloads), agreed.nat_original,
    )  # fmt: skip


def _names_resource(payloads: Payloads) -> bool:
    return notify(payloads, NotifyType.SA_RESOURCE_INFO) is not None


def _agreed(
    sa: IkeSa, offer: ChildOffer, ts_local: Selectors, ts_remote: Selectors, payloads: Payloads
) -> Narrowed | Refusal:
    """Mode and selectors of the answer. A peer that does not echo USE_TRANSPORT_MODE chose tunnel mode (1.3.1)."""
    agreed: Narrowed | None = Narrowed(Mode.TUNNEL, ts_local, ts_remote)
    if notify(payloads, NotifyType.USE_TRANSPORT_MODE) is not None:
        if offer.mode is not Mode.TRANSPORT:
            detail = "the peer chose transport mode, which we did not ask for"
            return Refusal(NotifyType.NO_PROPOSAL_CHOSEN, Because.MODE, detail)
        agreed = seen_here(sa, ts_local, ts_remote)
    if agreed is None:
        detail = "the peer answered with more than one address a side for transport mode behind a NAT"
        return Refusal(NotifyType.TS_UNACCEPTABLE, Because.SELECTORS, detail)
    if not _answer_within(agreed.local, offer.ts_local) or not _answer_within(agreed.remote, offer.ts_remote):
        return Refusal(NotifyType.TS_UNACCEPTABLE, Because.SELECTORS, "the peer widened the traffic selectors")
    return agreed


def _answer_within(answered: Selectors, offered: Selectors) -> bool:
    return bool(answered) and are_within(answered, offered)


def _valid_spi(spi: bytes) -> bool:
    return len(spi) == 4 and int.from_bytes(spi, "big") > 0


def _shared_as_initiator(offer: ChildOffer, proposal: Proposal, payloads: Payloads) -> bytes | Refusal:
    if ke_method(proposal) == 0:
        return b""
    answer = find(payloads, KePayload)
    if answer is None or offer.ke is None or answer.method != offer.ke_method or ke_method(proposal) != offer.ke_method:
        return Refusal(NotifyType.INVALID_SYNTAX, Because.WRONG_KE, "the answer's key exchange does not fit the offer")
    try:
        return offer.ke.shared(answer.data)
    except ke.InvalidPublicValue as error:
        return Refusal(NotifyType.INVALID_SYNTAX, Because.BAD_KE, str(error), fatal=True)


def _nonces(sa: IkeSa, ours: bytes, payloads: Payloads, *, initiating: bool) -> tuple[bytes, bytes] | Refusal:
    if not ours:
        return sa.nonce_i, sa.nonce_r
    theirs = find(payloads, NoncePayload)
    if theirs is None or not 16 <= len(theirs.data) <= 256:
        return Refusal(NotifyType.INVALID_SYNTAX, Because.BAD_NONCE, "no nonce of 16 to 256 octets", fatal=True)
    return (ours, theirs.data) if initiating else (theirs.data, ours)


def _keymat(sa: IkeSa, suite: EspSuite, nonces: tuple[bytes, bytes], shared: bytes) -> tuple[bytes, bytes]:
    """Key material initiator-to-responder, then responder-to-initiator (RFC 7296 2.17)."""
    assert sa.suite is not None
    assert sa.keys is not None
    length = suite.keymat_length
    material = child_keymat(sa.suite.prf, sa.keys.sk_d, *nonces, 2 * length, shared)
    return material[:length], material[length:]


def answer(
    sa: IkeSa, policy: ChildPolicy, payloads: Payloads, place: Place, *, mode: Mode, in_auth: bool = False
) -> tuple[ChildSpec, Payloads] | Refusal:
    """Grant a request under a policy, in `mode` if the peer asks for it: choose, narrow, derive; or say why not."""
    request, ts_i, ts_r = find(payloads, SaPayload), find_ts(payloads, True), find_ts(payloads, False)
    if request is None or ts_i is None or ts_r is None:
        return Refusal(
            NotifyType.INVALID_SYNTAX, Because.MISSING_PAYLOAD, "the request lacks SA, TSi or TSr", fatal=True
        )
    ours = of_suite(policy.esp_proposals, place.suite) if place.suite else policy.esp_proposals
    proposal = _choose(ours, request.proposals, in_auth)
    if isinstance(proposal, Refusal):
        return proposal
    suite = esp_suite(proposal, sha256_96=policy.sha256_96)
    assert suite is not None
    granted = narrowed(sa, policy, ts_r.selectors, ts_i.selectors, mode=requested_mode(payloads, mode))
    if not granted.local or not granted.remote:
        return Refusal(NotifyType.TS_UNACCEPTABLE, Because.SELECTORS, _selector_text(ts_i, ts_r, policy))
    if taken(sa, granted):
        detail = f"another peer behind the NAT at {sa.remote.address} has child {policy.name} in transport mode"
        return Refusal(NotifyType.TS_UNACCEPTABLE, Because.SELECTORS, detail)
    exchanged = _answer_ke(sa, proposal, payloads)
    if isinstance(exchanged, Refusal):
        return exchanged
    shared, ke_payloads = exchanged
    nonce = b"" if in_auth else sa.context.environment.entropy(NONCE_LENGTH)
    nonces = _nonces(sa, nonce, payloads, initiating=False)
    if isinstance(nonces, Refusal):
        return nonces
    keys = _keymat(sa, suite, nonces, shared)
    spi = sa.context.environment.allocate_spi(place.worker)
    spec = ChildSpec(
        policy, spi, int.from_bytes(proposal.spi, "big"), suite.keyword, uses_esn(proposal),
        granted.mode, granted.local, granted.remote, *keys, nonces, ke_method(proposal),
        without_ke((proposal,))[0].transforms, place.worker, place.per_resource, granted.nat_original,
    )  # fmt: skip
    resource = place.payloads() if _names_resource(payloads) else ()
    return spec, (*resource, *_answer_payloads(spec, proposal, nonce, ke_payloads))


def requested_mode(payloads: Payloads, mode: Mode) -> Mode:
    """`mode` if the peer asks for it; tunnel mode needs no asking (RFC 7296 1.3.1)."""
    return mode if notify(payloads, NotifyType.USE_TRANSPORT_MODE) is not None else Mode.TUNNEL


def _answer_payloads(spec: ChildSpec, proposal: Proposal, nonce: bytes, ke_payloads: Payloads) -> Payloads:
    """SA with our SPI, Nr, [KEr], TSi, TSr."""
    chosen = Proposal(proposal.protocol, proposal.transforms, proposal.number, spec.inbound_spi.to_bytes(4, "big"))
    return (
        *((NotifyPayload(NotifyType.USE_TRANSPORT_MODE),) if spec.mode is Mode.TRANSPORT else ()),
        SaPayload((chosen,)),
        *((NoncePayload(nonce),) if nonce else ()),
        *ke_payloads,
        TsPayload(True, spec.ts_remote),
        TsPayload(False, spec.ts_local),
    )


def _choose(ours: tuple[Proposal, ...], theirs: tuple[Proposal, ...], in_auth: bool) -> Proposal | Refusal:
    usable = tuple(p for p in (without_ke(theirs) if in_auth else theirs) if _valid_spi(p.spi))
    selected = select(without_ke(ours) if in_auth else ours, usable)
    if isinstance(selected, Mismatch):
        return Refusal(NotifyType.NO_PROPOSAL_CHOSEN, Because.NO_PROPOSAL, selected)
    if esp_suite(selected.chosen) is None:
        return Refusal(NotifyType.NO_PROPOSAL_CHOSEN, Because.NO_PROPOSAL, "the data plane has no such suite")
    return selected.chosen


def _answer_ke(sa: IkeSa, proposal: Proposal, payloads: Payloads) -> tuple[bytes, Payloads] | Refusal:
    method = ke_method(proposal)
    if method == 0:
        return b"", ()
    theirs = find(payloads, KePayload)
    if theirs is None or theirs.method != method:
        detail = f"the peer guessed another key exchange method than {method}"
        return Refusal(NotifyType.INVALID_KE_PAYLOAD, Because.WRONG_KE, detail, method.to_bytes(2, "big"))
    state = ke.new(method, sa.context.environment.entropy)
    try:
        return state.shared(theirs.data), (KePayload(method, state.public),)
    except ke.InvalidPublicValue as error:
        return Refusal(NotifyType.INVALID_SYNTAX, Because.BAD_KE, str(error), fatal=True)


def _selector_text(ts_i: TsPayload, ts_r: TsPayload, policy: ChildPolicy) -> str:
    def joined(ts: TsPayload) -> str:
        return ", ".join(str(s) for s in ts.selectors[:8])

    return (
        f"the peer asks for {joined(ts_i)} === {joined(ts_r)}, which child {policy.name} does not allow: "
        "compare local_ts and remote_ts on both sides"
    )
