"""One IKE SA a peer, where policy says so (RFC 7296 2.4: INITIAL_CONTACT counts only after authentication)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironswan.ike import delete, exchange
from ironswan.ike.closing import Ending, close_sa
from ironswan.ike.types import IkeState

if TYPE_CHECKING:
    from ironswan.ike.session import IkeSa


def _others(sa: IkeSa) -> list[IkeSa]:
    """Established IKE SAs between the same two identities."""
    return [
        other
        for other in sa.context.sas.values()
        if other is not sa
        and other.state is IkeState.ESTABLISHED
        and (other.local_id, other.remote_id) == (sa.local_id, sa.remote_id)
    ]


def refused_as_duplicate(sa: IkeSa) -> bool:
    """Under `keep`, whoever came first stays."""
    return sa.connection.unique == "keep" and bool(_others(sa))


def enforce(sa: IkeSa, now: float, *, initial_contact: bool) -> None:
    """Close older IKE SAs of the same peer: lost ones at once, those we merely replace with a Delete."""
    for other in _others(sa):
        older = other.established_at is not None and other.established_at <= sa.created
        if initial_contact and older and sa.connection.unique != "never":
            close_sa(other, "the peer started anew (INITIAL_CONTACT)", now, Ending.OURS)
        elif sa.connection.unique == "replace":
            delete.delete_ike(other, "replaced by a newer IKE SA of the same peer", None, now)


def retire_minimal(sa: IkeSa, now: float) -> None:
    """What stands on this new IKE SA is given up where the peer makes no further Child SAs (RFC 7296 4).

    An IKE SA of which nothing is left goes too; children that are not on the new one stay where they are.
    """
    replacing = {child.policy.name for child in sa.children.values() if child.usable}
    for other in _others(sa):
        if not other.no_additional_sas:
            continue
        standing = [child for child in other.children.values() if child.usable]
        replaced = [child for child in standing if child.policy.name in replacing]
        if len(replaced) == len(standing):
            delete.delete_ike(other, "replaced: the peer makes no further Child SAs on it", None, now)
            continue
        for child in replaced:
            task = delete.ChildDeleteTask(child, "replaced by one on a newer IKE SA", replaced=True)
            exchange.enqueue(other, task, now)
