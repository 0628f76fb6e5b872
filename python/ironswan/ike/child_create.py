"""CREATE_CHILD_SA for a new Child SA (RFC 7296 1.3.1), both ways, and how the setup of any child ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ironswan.ike import delete, exchange, resources
from ironswan.ike.child_negotiation import (
    ChildOffer,
    Place,
    accept,
    answer,
    make_offer,
    offer_payloads,
    requested_mode,
)
from ironswan.ike.children import Child, ChildSpec, install
from ironswan.ike.narrowing import narrowed, own_selectors, packet_selectors
from ironswan.ike.outcomes import peer_refused
from ironswan.ike.payloads import Payloads, error_notify, find, find_ts
from ironswan.ike.refusal import Refusal
from ironswan.ike.suites import offered_ke_methods
from ironswan.ike.types import Because, Outcome
from ironswan.policy.connection import ChildPolicy
from ironswan.wire.delete import DeletePayload
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import ExchangeType, NotifyType
from ironswan.wire.sa import SaPayload

if TYPE_CHECKING:
    from ironswan.ike.session import IkeSa
    from ironswan.ike.wanted import WantedChild

MAX_KE_RETRIES = 2


@dataclass(slots=True)
class ChildCreateTask:
    """Ask for one more Child SA."""

    touches_children: ClassVar[bool] = True
    wanted: WantedChild
    method: int = 0
    retries: int = 0
    offer: ChildOffer | None = None

    @property
    def exchange(self) -> ExchangeType:
        """CREATE_CHILD_SA."""
        return ExchangeType.CREATE_CHILD_SA

    def build(self, sa: IkeSa, now: float) -> Payloads | None:  # noqa: ARG002
        """SA, Ni, [KEi], TSi, TSr."""
        policy, worker = self.wanted.policy, self.wanted.worker
        if worker is None:
            selectors, mode = packet_selectors(sa, policy, self.wanted.packet), policy.mode
            place = Place(per_resource=policy.per_resource)
        else:
            beside = resources.still_wanted(sa, self.wanted, worker)
            if isinstance(beside, str):
                outcome = Outcome("closed", f"child {policy.name}: {beside}")
                sa.context.operations.finish(self.wanted.operation, outcome)
                return None
            selectors, mode, place = beside.selectors, beside.mode, resources.place(beside, worker)
        self.offer = make_offer(sa, policy, selectors, place, mode=mode, method=self.method)
        return offer_payloads(self.offer)

    def response(self, sa: IkeSa, payloads: Payloads, now: float) -> None:
        """Install, try another key exchange method, or report."""
        assert self.offer is not None
        failure = error_notify(payloads)
        if failure is not None and find(payloads, SaPayload) is None:
            method = retry_method(self.offer, failure)
            if method and self.retries < MAX_KE_RETRIES:
                release(sa, self.offer)
                self.method, self.retries = method, self.retries + 1
                exchange.enqueue(sa, self, now, first=True)
                return
            refused(sa, self.offer, failure, self.wanted.operation, now)
            return
        spec = accept(sa, self.offer, payloads)
        if isinstance(spec, Refusal):
            not_acceptable(sa, self.offer, spec, payloads, self.wanted.operation, now)
            return
        if spec.outbound_spi in sa.early_deletes:
            release(sa, self.offer)
            sa.context.operations.finish(self.wanted.operation, Outcome("closed", "the peer deleted the child at once"))
            return
        succeeded(sa, install(sa, spec, now, outbound=True), self.wanted.operation)

    def abandoned(self, sa: IkeSa, outcome: Outcome, now: float) -> None:  # noqa: ARG002
        """No answer, or the IKE SA was closed."""
        if self.offer is not None:
            release(sa, self.offer)
        sa.context.operations.finish(self.wanted.operation, outcome)


def create(sa: IkeSa, wanted: WantedChild, now: float) -> None:
    """Ask the peer for a child on an established IKE SA."""
    exchange.enqueue(sa, ChildCreateTask(wanted), now)


def retry_method(offer: ChildOffer, failure: NotifyPayload) -> int:
    """The key exchange method to try next after INVALID_KE_PAYLOAD, 0 if there is none (RFC 7296 1.3)."""
    if failure.type != NotifyType.INVALID_KE_PAYLOAD or len(failure.data) != 2:
        return 0
    method = int.from_bytes(failure.data, "big")
    return method if method != offer.ke_method and method in offered_ke_methods(offer.proposals) else 0


def release(sa: IkeSa, offer: ChildOffer) -> None:
    """An offer that became nothing: its SPI is free again."""
    sa.context.environment.release_spi(offer.inbound_spi)


def refused(sa: IkeSa, offer: ChildOffer, failure: NotifyPayload, operation: int | None, now: float) -> None:
    """The peer refused the child; the IKE SA stays."""
    release(sa, offer)
    resources.refused(sa, offer, failure)
    if failure.type == NotifyType.NO_ADDITIONAL_SAS:
        sa.no_additional_sas = True
    outcome = peer_refused(sa, failure.type, offer.proposals, f"child {offer.policy.name}")
    sa.reject(failure.type, Because.PEER_REFUSED, outcome.message, now)
    sa.context.operations.finish(operation, outcome)


def not_acceptable(
    sa: IkeSa, offer: ChildOffer, refusal: Refusal, payloads: Payloads, operation: int | None, now: float
) -> None:
    """The peer's answer is not what we asked for: it has an SA we do not want, so tell it (RFC 7296 1.3.1)."""
    sa.reject(None, refusal.because, refusal.detail, now)
    outcome = Outcome("local_refused", f"child {offer.policy.name}: {refusal.detail}")
    sa.context.operations.finish(operation, outcome)
    chosen = find(payloads, SaPayload)
    if refusal.fatal or chosen is None:
        release(sa, offer)
        if refusal.fatal:
            delete.delete_ike(sa, refusal.detail, None, now)
        return
    exchange.enqueue(sa, UnwantedChildTask(offer, refusal.detail), now)


@dataclass(slots=True)
class UnwantedChildTask:
    """Delete a Child SA that the peer made and we never installed."""

    touches_children: ClassVar[bool] = True
    offer: ChildOffer
    reason: str

    @property
    def exchange(self) -> ExchangeType:
        """INFORMATIONAL."""
        return ExchangeType.INFORMATIONAL

    def build(self, sa: IkeSa, now: float) -> Payloads:  # noqa: ARG002
        """Names our SPI."""
        return (DeletePayload(self.offer.proposals[0].protocol, (self.offer.inbound_spi.to_bytes(4, "big"),)),)

    def response(self, sa: IkeSa, payloads: Payloads, now: float) -> None:  # noqa: ARG002
        """Gone."""
        release(sa, self.offer)

    def abandoned(self, sa: IkeSa, outcome: Outcome, now: float) -> None:  # noqa: ARG002
        """Gone with the IKE SA."""
        release(sa, self.offer)


def succeeded(sa: IkeSa, child: Child, operation: int | None) -> None:
    """A child is up."""
    local, remote = (", ".join(str(ts) for ts in side) for side in (child.ts_local, child.ts_remote))
    text = f"child {child.policy.name} established: {local} === {remote}, {child.suite}"
    sa.context.operations.finish(operation, Outcome("established", text))


def policy_for(sa: IkeSa, payloads: Payloads) -> ChildPolicy | Refusal:
    """The child policy whose selectors fit the request; an exact fit before a partial one, in configured order."""
    ts_i, ts_r = find_ts(payloads, True), find_ts(payloads, False)
    if ts_i is None or ts_r is None:
        return Refusal(NotifyType.INVALID_SYNTAX, Because.MISSING_PAYLOAD, "the request lacks TSi or TSr", fatal=True)
    best: tuple[int, ChildPolicy] | None = None
    for policy in sa.connection.children:
        local, remote = own_selectors(sa, policy)
        mode = requested_mode(payloads, policy.mode)
        kept = narrowed(sa, policy, ts_r.selectors, ts_i.selectors, mode=mode)
        if not kept.local or not kept.remote:
            continue
        exact = (kept.local == local) + (kept.remote == remote)
        if best is None or exact > best[0]:
            best = (exact, policy)
    if best is not None:
        return best[1]
    asked = f"{', '.join(map(str, ts_i.selectors[:8]))} === {', '.join(map(str, ts_r.selectors[:8]))}"
    detail = f"the peer asks for {asked}, which no child of {sa.connection.name} allows"
    return Refusal(NotifyType.TS_UNACCEPTABLE, Because.SELECTORS, detail)


def grant(sa: IkeSa, payloads: Payloads, *, in_auth: bool = False) -> tuple[ChildSpec, Payloads] | Refusal:
    """The Child SA that a request gets and the payloads that say so, or why there is none."""
    policy = policy_for(sa, payloads)
    if isinstance(policy, Refusal):
        return policy
    place = resources.admit(sa, policy, payloads)
    if isinstance(place, Refusal):
        return place
    return answer(sa, policy, payloads, place, mode=policy.mode, in_auth=in_auth)


def respond(sa: IkeSa, payloads: Payloads, now: float) -> Payloads | Refusal:
    """Grant one more Child SA."""
    granted = resources.too_many(sa) or grant(sa, payloads)
    if isinstance(granted, Refusal):
        return granted
    spec, reply = granted
    child = install(sa, spec, now, outbound=spec.worker is None)
    resources.await_peer(sa, child, now)
    return reply


def live_child(sa: IkeSa, name: str) -> Child | None:
    """An installed child of that name, for all workers, that is not on its way out."""
    return next((c for c in sa.children.values() if c.policy.name == name and c.worker is None and c.usable), None)
