"""Rekeying a Child SA (RFC 7296 1.3.3, 2.8, 2.8.1, 2.25.1), both ways, with every collision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ironswan.ike import exchange, resources, sa_init
from ironswan.ike.child_create import ChildCreateTask, not_acceptable, release, retry_method
from ironswan.ike.child_negotiation import ChildOffer, accept, answer, make_offer, offer_payloads
from ironswan.ike.children import Child, ChildSpec, by_outbound_spi, install, linger, remove
from ironswan.ike.delete import ChildDeleteTask
from ironswan.ike.narrowing import between_hosts
from ironswan.ike.outcomes import peer_refused
from ironswan.ike.payloads import Payloads, error_notify, find
from ironswan.ike.refusal import Refusal
from ironswan.ike.timers import RETRY_AFTER, RETRY_JITTER, TimerKind
from ironswan.ike.types import Because, ChildState, Outcome
from ironswan.ike.wanted import WantedChild
from ironswan.policy.connection import Mode
from ironswan.policy.transforms import Protocol
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import ExchangeType, NotifyType
from ironswan.wire.sa import SaPayload

if TYPE_CHECKING:
    from ironswan.ike.session import IkeSa

MAX_KE_RETRIES = 2


@dataclass(slots=True)
class ChildRekeyTask:
    """Replace one Child SA by a new one with the same selectors."""

    touches_children: ClassVar[bool] = True
    child: Child
    operation: int | None = None
    method: int = 0
    retries: int = 0
    offer: ChildOffer | None = None

    @property
    def exchange(self) -> ExchangeType:
        """CREATE_CHILD_SA."""
        return ExchangeType.CREATE_CHILD_SA

    def build(self, sa: IkeSa, now: float) -> Payloads | None:
        """N(REKEY_SA) with the SPI we receive on; the selectors in use, never fewer (RFC 7296 2.9.2)."""
        child = self.child
        if child.inbound_spi not in sa.children or not child.usable:
            self._finish(sa, Outcome("closed", f"child {child.policy.name} is already replaced or gone"))
            return None
        if child.unwanted:
            self._finish(sa, Outcome("closed", f"child {child.policy.name} is to be deleted"))
            return None
        if not child.outbound:
            # The peer's rekey, which made it or is about to end it, is not over: it waits to be sent on, or is idle.
            sa.arm(TimerKind.CHILD_SOFT, now + RETRY_AFTER, child.inbound_spi)
            self._finish(sa, Outcome("closed", f"the peer is rekeying child {child.policy.name} just now"))
            return None
        child.state = ChildState.REKEYING
        method = self.method or child.ke_method
        selectors, place = child.selectors, resources.place_of(child)
        if child.mode is Mode.TRANSPORT:
            selectors = between_hosts(sa, *selectors)
        self.offer = make_offer(sa, child.policy, selectors, place, mode=child.mode, method=method)
        spi = child.inbound_spi.to_bytes(4, "big")
        return (NotifyPayload(NotifyType.REKEY_SA, protocol=Protocol.ESP, spi=spi), *offer_payloads(self.offer))

    def response(self, sa: IkeSa, payloads: Payloads, now: float) -> None:
        """Take the new SA over, or lose the collision, or fail and try later."""
        assert self.offer is not None
        failure = error_notify(payloads)
        if failure is not None and find(payloads, SaPayload) is None:
            release(sa, self.offer)
            self._refused(sa, failure, now)
            return
        spec = accept(sa, self.offer, payloads)
        if isinstance(spec, Refusal):
            not_acceptable(sa, self.offer, spec, payloads, None, now)
            self._failed(sa, Outcome("local_refused", spec.detail), now)
        elif spec.outbound_spi in sa.early_deletes:
            release(sa, self.offer)
            self._deleted_early(sa, now)
        elif self._lost(spec):
            self._concede(sa, spec, now)
        else:
            self._take_over(sa, spec, now)

    def _lost(self, spec: ChildSpec) -> bool:
        """RFC 7296 2.8.1: the SA made with the lowest of the four nonces is closed by who created it."""
        rival = self.child.live_rival
        return rival is not None and min(spec.nonces) < min(rival.nonces)

    def _concede(self, sa: IkeSa, spec: ChildSpec, now: float) -> None:
        loser = install(sa, spec, now, outbound=False, replaces=self.child)
        # At once, though its Delete may have to wait: nobody is to rekey it or send on it meanwhile.
        loser.state, loser.waiting = ChildState.DELETING, False
        if self.child.alive:
            self.child.state = ChildState.REKEYED
        else:
            self._let_go(sa, now)
        sa.reject(
            None, Because.COLLISION, f"both sides rekeyed {self.child.policy.name}; ours had the lowest nonce", now
        )
        exchange.enqueue(sa, ChildDeleteTask(loser, "lost a rekey collision"), now)
        self._finish(sa, Outcome("rekeyed", f"child {self.child.policy.name} rekeyed by the peer at the same time"))

    def _take_over(self, sa: IkeSa, spec: ChildSpec, now: float) -> None:
        child = install(sa, spec, now, outbound=True, replaces=self.child)
        if self.child.alive:
            self.child.state = ChildState.REKEYED
            exchange.enqueue(sa, ChildDeleteTask(self.child, "rekeyed", replaced=True), now)
        else:
            self._let_go(sa, now)
        self._finish(sa, Outcome("rekeyed", f"child {child.policy.name} rekeyed, {child.suite}"))

    def _let_go(self, sa: IkeSa, now: float) -> None:
        """The peer deleted the old SA while we waited: what is in flight on it is still taken."""
        if self.child.inbound_spi in sa.children:
            linger(sa, self.child, now)

    def _deleted_early(self, sa: IkeSa, now: float) -> None:
        """The peer deleted the new SA before its answer reached us: it wants neither."""
        self._finish(sa, Outcome("closed", f"the peer deleted child {self.child.policy.name} while it was rekeyed"))
        if self.child.state is ChildState.REKEYING:
            self.child.state = ChildState.INSTALLED
            action = self.child.policy.close_action
            exchange.enqueue(sa, ChildDeleteTask(self.child, "the peer deleted its successor", action=action), now)
        elif self.child.inbound_spi in sa.children and self.child.live_rival is None:
            remove(sa, self.child, "deleted by the peer", self.child.delete_action)

    def _refused(self, sa: IkeSa, failure: NotifyPayload, now: float) -> None:
        needed = self.child.alive and self.child.live_rival is None and not self.child.unwanted
        assert self.offer is not None
        method = retry_method(self.offer, failure)
        if needed and method and self.retries < MAX_KE_RETRIES:
            self.method, self.retries = method, self.retries + 1
            exchange.enqueue(sa, self, now, first=True)
        elif needed and failure.type == NotifyType.NO_ADDITIONAL_SAS and self.child.worker is None:
            self._start_over(sa, now)
        elif needed and failure.type == NotifyType.CHILD_SA_NOT_FOUND:
            self._recreate(sa)
        else:
            self._failed(
                sa, peer_refused(sa, failure.type, self.offer.proposals, f"child {self.child.policy.name}"), now
            )

    def _start_over(self, sa: IkeSa, now: float) -> None:
        """RFC 7296 4: a minimal peer makes no second Child SA; a new IKE SA replaces this one once it stands."""
        self.child.state = ChildState.INSTALLED
        sa.no_additional_sas = True
        wanted = [WantedChild(self.child.policy, self.operation)]
        sa_init.connect(sa.context, sa.connection, wanted, (sa.local, sa.remote), now)

    def _recreate(self, sa: IkeSa) -> None:
        """RFC 7296 2.25: the peer has lost it; drop it silently and ask for a new one.

        Whoever starts the child because of its `close_action` joins this operation, and goes on should it fail.
        """
        lost, operation = self.child, self.operation or sa.context.operations.begin()
        wanted = WantedChild(lost.policy, operation, worker=lost.worker, selectors=lost.selectors)
        sa.queue.appendleft(ChildCreateTask(wanted))
        remove(sa, lost, "the peer no longer had it", lost.policy.close_action)

    def _failed(self, sa: IkeSa, outcome: Outcome, now: float) -> None:
        """Not by us: if the peer did it, all is well; if the SA lives, try later, until its hard lifetime ends it."""
        child = self.child
        if child.live_rival is not None:
            if child.alive:
                child.state = ChildState.REKEYED
            outcome = Outcome("rekeyed", f"child {child.policy.name} rekeyed by the peer at the same time")
        elif child.state is ChildState.DELETED and (TimerKind.CHILD_LINGER, child.inbound_spi) not in sa.timers:
            remove(sa, child, "deleted by the peer", child.delete_action)
        elif child.state is ChildState.REKEYING:
            child.state = ChildState.INSTALLED
            delay = RETRY_AFTER + RETRY_JITTER * sa.context.environment.fraction()
            sa.arm(TimerKind.CHILD_SOFT, now + delay, child.inbound_spi)
            sa.reject(outcome.notify, Because.PEER_REFUSED, outcome.message, now)
        self._finish(sa, outcome)

    def abandoned(self, sa: IkeSa, outcome: Outcome, now: float) -> None:  # noqa: ARG002
        """The IKE SA ended; its children with it, or they moved to another one."""
        if self.offer is not None:
            release(sa, self.offer)
        if self.child.state is ChildState.REKEYING:
            self.child.state = ChildState.INSTALLED
        self._finish(sa, outcome)

    def _finish(self, sa: IkeSa, outcome: Outcome) -> None:
        sa.context.operations.finish(self.operation, outcome)


def respond(sa: IkeSa, rekey: NotifyPayload, payloads: Payloads, now: float) -> Payloads | Refusal:
    """The peer rekeys a child (RFC 7296 2.25.1). The new inbound half is ready before the answer leaves."""
    child = by_outbound_spi(sa, int.from_bytes(rekey.spi, "big")) if len(rekey.spi) == 4 else None
    if child is None:
        detail = f"the peer rekeys a Child SA we do not have ({rekey.spi.hex()})"
        return Refusal(
            NotifyType.CHILD_SA_NOT_FOUND, Because.CHILD_NOT_FOUND, detail, protocol=Protocol.ESP, spi=rekey.spi
        )
    if not child.usable or child.unwanted or child.live_rival is not None:
        # RFC 7296 2.25.1. One whose Delete still waits to be sent is being closed as well.
        detail = f"child {child.policy.name} is being deleted or already rekeyed"
        return Refusal(NotifyType.TEMPORARY_FAILURE, Because.COLLISION, detail)
    place = resources.place_of(child)
    granted = resources.too_many_replaced(sa) or answer(sa, child.policy, payloads, place, mode=child.mode)
    if isinstance(granted, Refusal):
        return granted
    spec, reply = granted
    fresh = install(sa, spec, now, outbound=False, replaces=child)
    if child.state is ChildState.REKEYING:
        child.rival = fresh
    else:
        child.state = ChildState.REKEYED
    return reply
