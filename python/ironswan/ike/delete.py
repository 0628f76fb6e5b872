"""Deleting SAs (RFC 7296 1.4.1, 2.25): Child SAs and the IKE SA, both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ironswan.ike import exchange, ike_rekey
from ironswan.ike.children import (
    Child,
    by_outbound_spi,
    hand_outbound_on,
    linger,
    newest,
    remove,
    stop_outbound,
    successor,
)
from ironswan.ike.closing import Ending, close_sa
from ironswan.ike.payloads import Payloads
from ironswan.ike.timers import RETRY_AFTER, RETRY_JITTER, TimerKind
from ironswan.ike.types import ChildState, IkeState, Outcome
from ironswan.policy.connection import EndAction
from ironswan.policy.transforms import Protocol
from ironswan.wire.delete import DeletePayload
from ironswan.wire.numbers import ExchangeType

if TYPE_CHECKING:
    from ironswan.ike.session import IkeSa

# One answer makes one Child SA; the others a peer may name are those whose Deletes crossed ours.
MOST_EARLY_DELETES = 64


@dataclass(slots=True)
class ChildDeleteTask:
    """Delete one Child SA, or with `follow` what has replaced it when its turn comes.

    `replaced`: another one carries its traffic, so what is in flight is still taken.
    """

    touches_children: ClassVar[bool] = True
    child: Child
    reason: str
    operation: int | None = None
    action: EndAction = EndAction.NONE
    replaced: bool = False
    follow: bool = False

    @property
    def exchange(self) -> ExchangeType:
        """INFORMATIONAL."""
        return ExchangeType.INFORMATIONAL

    def build(self, sa: IkeSa, now: float) -> Payloads | None:  # noqa: ARG002
        """Names the SPI we receive on; we stop sending before the peer stops receiving."""
        if self.follow:
            self.child = newest(sa, self.child)
        if self.child.inbound_spi not in sa.children or not self.child.alive:
            self._finish(sa)
            return None
        self.child.state = ChildState.DELETING
        self.child.delete_action = self.action
        hand_outbound_on(sa, self.child)
        return (DeletePayload(Protocol.ESP, (self.child.inbound_spi.to_bytes(4, "big"),)),)

    def response(self, sa: IkeSa, payloads: Payloads, now: float) -> None:  # noqa: ARG002
        """The peer closed its half too."""
        replaced = self.replaced or successor(sa, self.child) is not None
        if replaced and self.child.inbound_spi in sa.children:
            linger(sa, self.child, now)
        else:
            remove(sa, self.child, self.reason, self.action)
        self._finish(sa)

    def abandoned(self, sa: IkeSa, outcome: Outcome, now: float) -> None:  # noqa: ARG002
        """The IKE SA takes its children along."""
        self._finish(sa)

    def _finish(self, sa: IkeSa) -> None:
        text = f"child {self.child.policy.name} deleted"
        sa.context.operations.finish(self.operation, Outcome("deleted", text))


@dataclass(slots=True)
class IkeDeleteTask:
    """Delete the IKE SA; always the last request on it (RFC 7296 2.8).

    `expired`: because it could not be rekeyed, so not if it still is, and children do what their policy says.
    """

    touches_children: ClassVar[bool] = False
    reason: str
    operation: int | None = None
    expired: bool = False

    @property
    def exchange(self) -> ExchangeType:
        """INFORMATIONAL."""
        return ExchangeType.INFORMATIONAL

    def build(self, sa: IkeSa, now: float) -> Payloads:  # noqa: ARG002
        """One Delete payload for the IKE SA, no SPI. We send no ESP from now on."""
        if sa.state is IkeState.ESTABLISHED:
            sa.state = IkeState.DELETING
            for child in sa.children.values():
                if self.expired and child.usable:
                    child.delete_action = child.policy.close_action
                stop_outbound(sa, child)
        return (DeletePayload(Protocol.IKE, ()),)

    def response(self, sa: IkeSa, payloads: Payloads, now: float) -> None:  # noqa: ARG002
        """Gone on both sides."""
        self._finish(sa)
        close_sa(sa, self.reason, now, Ending.OURS)

    def abandoned(self, sa: IkeSa, outcome: Outcome, now: float) -> None:  # noqa: ARG002
        """No answer: it is gone on our side all the same."""
        self._finish(sa)

    def _finish(self, sa: IkeSa) -> None:
        text = f"IKE SA {sa.connection.name} deleted"
        sa.context.operations.finish(self.operation, Outcome("deleted", text))


def delete_unwanted(sa: IkeSa, child: Child, operation: int, now: float) -> None:
    """The operator wants the child gone, so what a rekey under way makes of it goes too."""
    child.unwanted = child.usable
    exchange.enqueue(sa, ChildDeleteTask(child, "deleted", operation, follow=child.usable), now)


def delete_ike(sa: IkeSa, reason: str, operation: int | None, now: float) -> None:
    """Delete an IKE SA; what was queued on it will not happen. One that has no peer yet just ends."""
    if sa.state in (IkeState.INIT_SENT, IkeState.AUTH_SENT, IkeState.HALF_OPEN):
        close_sa(sa, reason, now, Ending.OURS)
        sa.context.operations.finish(
            operation, Outcome("deleted", f"IKE SA {sa.connection.name} was not yet established")
        )
        return
    waiting, outcome = tuple(sa.queue), Outcome("closed", reason)
    sa.queue.clear()
    for task in waiting:
        task.abandoned(sa, outcome, now)
    exchange.enqueue(sa, IkeDeleteTask(reason, operation), now)


def expire_ike(sa: IkeSa, reason: str, now: float) -> None:
    """An IKE SA that may not be used any longer: before all that waits, but not before an answer to our rekey."""
    if sa.state is IkeState.ESTABLISHED and not any(isinstance(task, IkeDeleteTask) for task in sa.queue):
        exchange.enqueue(sa, IkeDeleteTask(reason, expired=True), now, first=True)


def respond_ike(sa: IkeSa, now: float) -> Payloads:
    """The peer deletes the IKE SA: an empty answer (RFC 7296 1.4.1). Close beats rekey (2.25.2)."""
    heir = ike_rekey.heir_of(sa)
    if heir is not None:
        ike_rekey.hand_over(sa, heir, now)
        close_sa(
            sa, "rekeyed", now, Ending.OURS, outcome=Outcome("rekeyed", "the peer rekeyed the IKE SA"), lingering=True
        )
        return ()
    ours = sa.state is IkeState.DELETING
    ending = Ending.OURS if ours else Ending.PEER
    close_sa(sa, "deleted" if ours else "deleted by the peer", now, ending, lingering=True)
    return ()


def respond_children(sa: IkeSa, payload: DeletePayload, now: float) -> Payloads:
    """The peer deletes Child SAs: answer with our halves, except of those we delete ourselves (RFC 7296 1.4.1)."""
    answered = []
    for spi in payload.spis:
        child = by_outbound_spi(sa, int.from_bytes(spi, "big"))
        if child is None:
            _remember_early(sa, int.from_bytes(spi, "big"))
        elif child.state is not ChildState.DELETING:
            answered.append(child.inbound_spi.to_bytes(4, "big"))
            _closed_by_peer(sa, child, now)
    return (DeletePayload(Protocol.ESP, tuple(answered)),) if answered else ()


def _remember_early(sa: IkeSa, spi: int) -> None:
    """A Delete of what is not there may have overtaken the answer that makes it, if we asked for one."""
    making = sa.task is not None and sa.task.touches_children and sa.task.exchange is ExchangeType.CREATE_CHILD_SA
    if making and len(sa.early_deletes) < MOST_EARLY_DELETES:
        sa.early_deletes.add(spi)


def _closed_by_peer(sa: IkeSa, child: Child, now: float) -> None:
    follower = hand_outbound_on(sa, child)
    if follower is not None and follower is child.replaces and follower.state is ChildState.REKEYED:
        # The peer rekeyed and did not want what came of it: the old one carries on, and may be rekeyed again.
        follower.state = ChildState.INSTALLED
        delay = RETRY_AFTER + RETRY_JITTER * sa.context.environment.fraction()
        sa.arm(TimerKind.CHILD_SOFT, now + delay, follower.inbound_spi)
    if follower is not None or child.state is ChildState.REKEYED:
        linger(sa, child, now)
    elif child.state is ChildState.REKEYING:
        # Our rekey of it is under way: whether this was a close or the peer's idea of a rekey shows in its answer.
        child.state = ChildState.DELETED
        child.delete_action = child.policy.close_action
    else:
        remove(sa, child, "deleted by the peer", child.policy.close_action)
