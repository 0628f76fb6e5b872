"""Rekeying the IKE SA (RFC 7296 1.3.2, 2.8.2, 2.18, 2.25.2), both ways, with every collision.

The new IKE SA is an object of its own. While both sides rekey, the peer's new SA waits as REDUNDANT until it is clear
which one survives; children move once, to the survivor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ironswan.crypto import ke
from ironswan.crypto.keys import IkeSuite, derive_ike_keys
from ironswan.ike import delete, exchange
from ironswan.ike.child_negotiation import NONCE_LENGTH
from ironswan.ike.children import adopt
from ironswan.ike.events import IkeRekeyed
from ironswan.ike.lifetime import established, ike_ke_method
from ironswan.ike.outcomes import peer_refused
from ironswan.ike.payloads import Payloads, error_notify, find
from ironswan.ike.refusal import Refusal
from ironswan.ike.session import IkeSa
from ironswan.ike.suites import ke_method, numbered, offered_ke_methods
from ironswan.ike.timers import RETRY_AFTER, RETRY_JITTER, TimerKind
from ironswan.ike.types import Because, IkeState, Outcome
from ironswan.policy.proposals import Mismatch, is_answer_to, select
from ironswan.policy.transforms import Proposal
from ironswan.wire.ke import KePayload
from ironswan.wire.nonce import NoncePayload
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import ExchangeType, NotifyType
from ironswan.wire.sa import SaPayload

MAX_KE_RETRIES = 2
REDUNDANT_TIMEOUT = 60.0


@dataclass(slots=True)
class IkeRekeyTask:
    """Replace the IKE SA."""

    touches_children: ClassVar[bool] = False
    operation: int | None = None
    method: int = 0
    retries: int = 0
    spi: bytes = b""
    nonce: bytes = b""
    state: ke.KeyExchangeState | None = field(default=None, repr=False)

    @property
    def exchange(self) -> ExchangeType:
        """CREATE_CHILD_SA."""
        return ExchangeType.CREATE_CHILD_SA

    def build(self, sa: IkeSa, now: float) -> Payloads | None:  # noqa: ARG002
        """SA with our new SPI, Ni, KEi; a fresh key exchange always."""
        if sa.state is not IkeState.ESTABLISHED:
            self._finish(sa, Outcome("closed", "the IKE SA is already replaced or closing"))
            return None
        methods = offered_ke_methods(sa.connection.proposals)
        preferred = self.method or ike_ke_method(sa)
        self.method = preferred if preferred in methods else methods[0]
        entropy = sa.context.environment.entropy
        self.spi, self.nonce, self.state = sa.context.new_ike_spi(), entropy(NONCE_LENGTH), ke.new(self.method, entropy)
        return (
            SaPayload(numbered(sa.connection.proposals, self.spi)),
            NoncePayload(self.nonce),
            KePayload(self.method, self.state.public),
        )

    def response(self, sa: IkeSa, payloads: Payloads, now: float) -> None:
        """Derive the new IKE SA and decide who survives."""
        failure = error_notify(payloads)
        if failure is not None and find(payloads, SaPayload) is None:
            self._refused(sa, failure, now)
            return
        fresh = self._accept(sa, payloads, now)
        if isinstance(fresh, Refusal):
            sa.reject(None, fresh.because, fresh.detail, now)
            self._finish(sa, Outcome("local_refused", fresh.detail))
            delete.delete_ike(sa, fresh.detail, None, now)
        elif self._lost(sa, fresh):
            self._concede(sa, fresh, now)
        else:
            self._take_over(sa, fresh, now)

    def _accept(self, sa: IkeSa, payloads: Payloads, now: float) -> IkeSa | Refusal:
        answer, key, nonce = find(payloads, SaPayload), find(payloads, KePayload), find(payloads, NoncePayload)
        if answer is None or key is None or nonce is None or len(answer.proposals) != 1 or self.state is None:
            return Refusal(NotifyType.INVALID_SYNTAX, Because.MISSING_PAYLOAD, "the answer lacks SA, Nonce or KE")
        proposal = answer.proposals[0]
        offered = numbered(sa.connection.proposals, self.spi)
        if not is_answer_to(proposal, offered) or not valid_spi(proposal.spi) or ke_method(proposal) != self.method:
            return Refusal(NotifyType.NO_PROPOSAL_CHOSEN, Because.NOT_OUR_OFFER, "the peer chose what we did not offer")
        if key.method != self.method or not 16 <= len(nonce.data) <= 256:
            return Refusal(NotifyType.INVALID_SYNTAX, Because.BAD_NONCE, "wrong key exchange method or nonce length")
        try:
            shared = self.state.shared(key.data)
        except ke.InvalidPublicValue as error:
            return Refusal(NotifyType.INVALID_SYNTAX, Because.BAD_KE, str(error))
        fresh = _make(sa, proposal, now, initiator=True, spi_i=self.spi, spi_r=proposal.spi)
        _derive(sa, fresh, shared, self.nonce, nonce.data)
        return fresh

    def _lost(self, sa: IkeSa, fresh: IkeSa) -> bool:
        """RFC 7296 2.8.2: the IKE SA made with the lowest of the four nonces loses; ours too if the other is in use."""
        if sa.state is IkeState.REKEYED:
            return True
        rival = live_rival(sa)
        return rival is not None and min(fresh.rekey_nonces) < min(rival.rekey_nonces)

    def _take_over(self, sa: IkeSa, fresh: IkeSa, now: float) -> None:
        hand_over(sa, fresh, now)
        exchange.enqueue(sa, delete.IkeDeleteTask("rekeyed"), now, first=True)
        self._finish(sa, Outcome("rekeyed", f"IKE SA {sa.connection.name} rekeyed"))

    def _concede(self, sa: IkeSa, fresh: IkeSa, now: float) -> None:
        """Ours goes, by a Delete on itself; the peer deletes the old one."""
        fresh.state = IkeState.DELETING
        exchange.enqueue(fresh, delete.IkeDeleteTask("lost a rekey collision"), now)
        detail = f"both sides rekeyed IKE SA {sa.connection.name}; ours had the lowest nonce"
        sa.reject(None, Because.COLLISION, detail, now)
        adopt_rival(sa, now)
        self._finish(sa, Outcome("rekeyed", f"IKE SA {sa.connection.name} rekeyed by the peer at the same time"))

    def _refused(self, sa: IkeSa, failure: NotifyPayload, now: float) -> None:
        method = int.from_bytes(failure.data, "big") if len(failure.data) == 2 else 0
        if heir_of(sa) is not None:
            adopt_rival(sa, now)
            self._finish(sa, Outcome("rekeyed", f"IKE SA {sa.connection.name} rekeyed by the peer at the same time"))
        elif failure.type == NotifyType.INVALID_KE_PAYLOAD and self._may_retry(sa, method):
            self.method, self.retries = method, self.retries + 1
            exchange.enqueue(sa, self, now, first=True)
        else:
            # RFC 7296 2.25: not again at once; the hard lifetime ends an IKE SA that cannot be rekeyed.
            delay = RETRY_AFTER + RETRY_JITTER * sa.context.environment.fraction()
            sa.arm(TimerKind.IKE_SOFT, now + delay)
            outcome = peer_refused(sa, failure.type, sa.connection.proposals, "the rekeying of the IKE SA")
            sa.reject(failure.type, Because.PEER_REFUSED, outcome.message, now)
            self._finish(sa, outcome)

    def _may_retry(self, sa: IkeSa, method: int) -> bool:
        offered = offered_ke_methods(sa.connection.proposals)
        return self.retries < MAX_KE_RETRIES and method != self.method and method in offered

    def abandoned(self, sa: IkeSa, outcome: Outcome, now: float) -> None:  # noqa: ARG002
        """The old IKE SA ended first."""
        self._finish(sa, outcome)

    def _finish(self, sa: IkeSa, outcome: Outcome) -> None:
        sa.context.operations.finish(self.operation, outcome)


def valid_spi(spi: bytes) -> bool:
    """Eight octets, not zero (RFC 7296 3.3.1)."""
    return len(spi) == 8 and spi != bytes(8)


def respond(sa: IkeSa, payloads: Payloads, now: float) -> Payloads | Refusal:
    """The peer rekeys the IKE SA."""
    offer, key, nonce = find(payloads, SaPayload), find(payloads, KePayload), find(payloads, NoncePayload)
    if offer is None or key is None or nonce is None or not 16 <= len(nonce.data) <= 256:
        detail = "the request to rekey the IKE SA lacks SA, KE or a proper Nonce"
        return Refusal(NotifyType.INVALID_SYNTAX, Because.MISSING_PAYLOAD, detail, fatal=True)
    if _children_pending(sa) or live_rival(sa) is not None:
        return Refusal(NotifyType.TEMPORARY_FAILURE, Because.COLLISION, "Child SA work is pending on this IKE SA")
    selected = select(sa.connection.proposals, tuple(p for p in offer.proposals if valid_spi(p.spi)))
    if isinstance(selected, Mismatch):
        return Refusal(NotifyType.NO_PROPOSAL_CHOSEN, Because.NO_PROPOSAL, str(selected))
    method = ke_method(selected.chosen)
    if method == 0:
        return Refusal(
            NotifyType.NO_PROPOSAL_CHOSEN, Because.NO_PROPOSAL, "an IKE SA is rekeyed with a key exchange only"
        )
    if method != key.method:
        detail = f"the peer guessed key exchange method {key.method}, we choose {method}"
        return Refusal(NotifyType.INVALID_KE_PAYLOAD, Because.WRONG_KE, detail, method.to_bytes(2, "big"))
    state = ke.new(method, sa.context.environment.entropy)
    try:
        shared = state.shared(key.data)
    except ke.InvalidPublicValue as error:
        return Refusal(NotifyType.INVALID_SYNTAX, Because.BAD_KE, str(error), fatal=True)
    return _grant(sa, selected.chosen, shared, nonce.data, KePayload(method, state.public), now)


def _grant(sa: IkeSa, chosen: Proposal, shared: bytes, nonce_i: bytes, key: KePayload, now: float) -> Payloads:
    spi_r, nonce_r = sa.context.new_ike_spi(), sa.context.environment.entropy(NONCE_LENGTH)
    fresh = _make(sa, chosen, now, initiator=False, spi_i=chosen.spi, spi_r=spi_r)
    _derive(sa, fresh, shared, nonce_i, nonce_r)
    if isinstance(sa.task, IkeRekeyTask):
        sa.collision, fresh.predecessor = fresh, sa
        fresh.state = IkeState.REDUNDANT
        fresh.arm(TimerKind.REDUNDANT, now + REDUNDANT_TIMEOUT + sa.context.settings.half_open_timeout)
    else:
        hand_over(sa, fresh, now)
    answer = Proposal(chosen.protocol, chosen.transforms, chosen.number, spi_r)
    return (SaPayload((answer,)), NoncePayload(nonce_r), key)


def _children_pending(sa: IkeSa) -> bool:
    """RFC 7296 2.25.2: Child SAs we create, rekey or delete just now keep the peer from rekeying the IKE SA."""
    return sa.task is not None and sa.task.touches_children


def _make(sa: IkeSa, proposal: Proposal, now: float, *, initiator: bool, spi_i: bytes, spi_r: bytes) -> IkeSa:
    fresh = IkeSa(
        sa.context, sa.connection, initiator=initiator, spi_i=spi_i, spi_r=spi_r,
        local=sa.local, remote=sa.remote, now=now,
    )  # fmt: skip
    fresh.proposal, fresh.suite = proposal, IkeSuite.from_proposal(proposal)
    fresh.local_id, fresh.remote_id = sa.local_id, sa.remote_id
    fresh.peer_fragments, fresh.udp_encap = sa.peer_fragments, sa.udp_encap
    fresh.local_natted, fresh.remote_natted = sa.local_natted, sa.remote_natted
    fresh.established_at = now
    return fresh


def _derive(sa: IkeSa, fresh: IkeSa, shared: bytes, nonce_i: bytes, nonce_r: bytes) -> None:
    """RFC 7296 2.18: the old SK_d and the old PRF make the new SKEYSEED."""
    assert sa.keys is not None
    assert sa.suite is not None
    assert fresh.suite is not None
    fresh.rekey_nonces = (nonce_i, nonce_r)
    fresh.keys = derive_ike_keys(
        fresh.suite, shared, nonce_i, nonce_r, fresh.spi_i, fresh.spi_r, old_sk_d=sa.keys.sk_d, old_prf=sa.suite.prf
    )


def live_rival(sa: IkeSa) -> IkeSa | None:
    """The IKE SA the peer made from this one while we were rekeying it, unless it is gone again."""
    rival = sa.collision
    return rival if rival is not None and rival.state is not IkeState.CLOSED else None


def heir_of(sa: IkeSa) -> IkeSa | None:
    """The peer's rekeyed IKE SA that still waits to take over from this one."""
    rival = sa.collision
    return rival if rival is not None and rival.state is IkeState.REDUNDANT else None


def adopt_rival(sa: IkeSa, now: float) -> None:
    """The peer's new IKE SA survives."""
    heir = heir_of(sa)
    if heir is not None:
        hand_over(sa, heir, now)


def hand_over(sa: IkeSa, heir: IkeSa, now: float) -> None:
    """The new IKE SA inherits children and waiting exchanges; the old one takes only Deletes from now on."""
    established(heir, now)
    heir.predecessor = None
    adopt(sa, heir)
    waiting = tuple(sa.queue)
    sa.queue.clear()
    for task in waiting:
        if isinstance(task, IkeRekeyTask) or (isinstance(task, delete.IkeDeleteTask) and task.expired):
            task.abandoned(sa, Outcome("rekeyed", f"IKE SA {sa.connection.name} rekeyed"), now)
        else:
            heir.queue.append(task)
    sa.state = IkeState.REKEYED
    sa.announced = False
    for kind in (TimerKind.IKE_SOFT, TimerKind.IKE_HARD, TimerKind.LIVENESS, TimerKind.KEEPALIVE):
        sa.disarm(kind)
    sa.arm(TimerKind.REDUNDANT, now + REDUNDANT_TIMEOUT + sa.context.settings.half_open_timeout)
    sa.context.emit(IkeRekeyed(sa.id, heir.id))
    exchange.pump(heir, now)
