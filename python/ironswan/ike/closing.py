"""Ending an IKE SA: what becomes of its children, its waiting exchanges, its keys."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from ironswan.ike.children import Child, remove
from ironswan.ike.events import IkeRemoved
from ironswan.ike.timers import TimerKind
from ironswan.ike.types import ChildState, IkeState, Outcome
from ironswan.policy.connection import EndAction

if TYPE_CHECKING:
    from ironswan.ike.session import IkeSa

LINGER = 60.0
# Who failed to authenticate may ask again after 4 and after 11 seconds. Until it is forgotten it counts as half-open.
UNAUTHENTICATED_LINGER = 12.0


class Ending(Enum):
    """Who ended it; decides which action of the child's policy applies."""

    OURS = "ours"
    PEER = "peer"
    DEAD = "dead"


def end_action(child: Child, ending: Ending) -> EndAction:
    """The action a child's policy asks for."""
    leaving = child.state in (ChildState.REKEYED, ChildState.DELETING, ChildState.DELETED)
    if leaving or ending is Ending.OURS:
        return child.delete_action
    return child.policy.close_action if ending is Ending.PEER else child.policy.dpd_action


def close_sa(
    sa: IkeSa, reason: str, now: float, ending: Ending, *, outcome: Outcome | None = None, lingering: bool = False
) -> None:
    """Remove the IKE SA and its children. `lingering` keeps it just to repeat its last response."""
    if sa.state is IkeState.CLOSED:
        return
    actions: dict[str, EndAction] = {}
    for child in tuple(sa.children.values()):
        action = end_action(child, ending)
        if actions.get(child.policy.name, EndAction.NONE) is not EndAction.NONE:
            action = EndAction.NONE  # two SAs of one child, in the middle of a rekey: its policy acts once
        else:
            actions[child.policy.name] = action
        remove(sa, child, reason, action)
    sa.state = IkeState.CLOSED
    sa.abandon_tasks(outcome or Outcome("closed", reason), now)
    if sa.announced:
        sa.context.emit(IkeRemoved(sa.id, sa.connection.name, reason, tuple(actions.items())))
    sa.timers.clear()
    if lingering:
        sa.arm(TimerKind.LINGER, now + (LINGER if sa.half_open_from is None else UNAUTHENTICATED_LINGER))
    else:
        sa.forget()
