"""What each timer does when it comes: one function a kind, one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ironswan.ike import delete, exchange, nat, sa_init
from ironswan.ike.child_rekey import ChildRekeyTask
from ironswan.ike.children import remove, start_outbound
from ironswan.ike.closing import Ending, close_sa
from ironswan.ike.delete import ChildDeleteTask
from ironswan.ike.ike_rekey import IkeRekeyTask
from ironswan.ike.informational import LivenessTask
from ironswan.ike.lifetime import arm_liveness
from ironswan.ike.outcomes import timed_out
from ironswan.ike.timers import TimerKind
from ironswan.ike.types import ChildState, IkeState, Outcome
from ironswan.ike.window import CLOSE_AT_MESSAGE_ID, REKEY_AT_MESSAGE_ID

if TYPE_CHECKING:
    from ironswan.ike.context import Context
    from ironswan.ike.session import IkeSa
    from ironswan.ike.timers import TimerKey


def expire(context: Context, spi: bytes, key: TimerKey, now: float) -> None:
    """Act on a deadline that has come."""
    sa = context.sas.get(spi)
    if sa is None:
        return
    kind, number = key
    sa.disarm(kind, number)
    _HANDLERS[kind](sa, number, now)


def _retransmit(sa: IkeSa, _: int, now: float) -> None:
    if sa_init.give_up_if_refused(sa, now) or sa.retransmit(now):
        return
    outcome = timed_out(sa)
    close_sa(sa, outcome.message, now, Ending.DEAD, outcome=outcome)


def _half_open(sa: IkeSa, _: int, now: float) -> None:
    close_sa(sa, "the peer did not authenticate in time", now, Ending.DEAD)


def _liveness(sa: IkeSa, _: int, now: float) -> None:
    """RFC 7296 2.4: ask only if nothing fresh was heard, and if no request of ours is asking already."""
    if now - sa.last_heard < sa.connection.dpd_delay - 1e-6:
        arm_liveness(sa)
        return
    if sa.task is None:
        exchange.enqueue(sa, LivenessTask(), now)
    sa.arm(TimerKind.LIVENESS, now + sa.connection.dpd_delay)


def _keepalive(sa: IkeSa, _: int, now: float) -> None:
    nat.keepalive_due(sa, now)


def _ike_soft(sa: IkeSa, _: int, now: float) -> None:
    if sa.state is IkeState.ESTABLISHED:
        exchange.enqueue(sa, IkeRekeyTask(), now)


def _ike_hard(sa: IkeSa, _: int, now: float) -> None:
    delete.expire_ike(sa, "lifetime expired", now)


def _linger(sa: IkeSa, _: int, now: float) -> None:  # noqa: ARG001
    sa.forget()


def _redundant(sa: IkeSa, _: int, now: float) -> None:
    """A rekeyed or redundant IKE SA whose peer never deleted it."""
    predecessor = sa.predecessor
    if predecessor is not None and predecessor.collision is sa:
        predecessor.collision = None
    close_sa(sa, "replaced, and never deleted by the peer", now, Ending.OURS, outcome=Outcome("rekeyed", "rekeyed"))


def _fragments(sa: IkeSa, _: int, now: float) -> None:  # noqa: ARG001
    sa.reassembly.clear()


def child_soft(sa: IkeSa, spi: int, now: float) -> None:
    """Replace a child whose soft lifetime, in time or volume, is over."""
    child = sa.children.get(spi)
    if child is not None and child.state is ChildState.INSTALLED:
        exchange.enqueue(sa, ChildRekeyTask(child), now)


def child_hard(sa: IkeSa, spi: int, now: float) -> None:
    """Delete a child whose hard lifetime is over: it is not used any more (RFC 7296 2.8)."""
    child = sa.children.get(spi)
    if child is not None and child.state is not ChildState.DELETED:
        replaced = child.state is ChildState.REKEYED
        task = ChildDeleteTask(child, "lifetime expired", action=child.policy.close_action, replaced=replaced)
        exchange.enqueue(sa, task, now)


def _child_linger(sa: IkeSa, spi: int, now: float) -> None:  # noqa: ARG001
    child = sa.children.get(spi)
    if child is not None:
        remove(sa, child, "rekeyed")


def _child_confirm(sa: IkeSa, spi: int, now: float) -> None:  # noqa: ARG001
    child = sa.children.get(spi)
    if child is not None and child.waiting and child.usable:
        start_outbound(sa, child)


def message_ids_used(sa: IkeSa, now: float) -> None:
    """After each message: a new IKE SA before Message IDs run out, or at the end of them none (RFC 7296 2.2)."""
    highest = max(sa.requests.next_id, sa.responses.expected_id)
    if highest >= CLOSE_AT_MESSAGE_ID:
        delete.expire_ike(sa, "its message ids are used up", now)
    elif highest >= REKEY_AT_MESSAGE_ID and not sa.rekey_due:
        sa.rekey_due = True
        sa.arm(TimerKind.IKE_SOFT, now)


_HANDLERS: dict[TimerKind, Callable[[IkeSa, int, float], None]] = {
    TimerKind.RETRANSMIT: _retransmit,
    TimerKind.HALF_OPEN: _half_open,
    TimerKind.LIVENESS: _liveness,
    TimerKind.KEEPALIVE: _keepalive,
    TimerKind.IKE_SOFT: _ike_soft,
    TimerKind.IKE_HARD: _ike_hard,
    TimerKind.LINGER: _linger,
    TimerKind.REDUNDANT: _redundant,
    TimerKind.FRAGMENTS: _fragments,
    TimerKind.CHILD_SOFT: child_soft,
    TimerKind.CHILD_HARD: child_hard,
    TimerKind.CHILD_LINGER: _child_linger,
    TimerKind.CHILD_CONFIRM: _child_confirm,
}
