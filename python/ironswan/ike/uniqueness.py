"""One IKE SA a peer, where policy says so (RFC 7296 2.4: INITIAL_CONTACT counts only after authentication)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironswan.ike import delete
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
    """IKE SAs whose peer makes no further Child SAs are given up for this new one."""
    for other in _others(sa):
        if other.no_additional_sas:
            delete.delete_ike(other, "replaced: the peer makes no further Child SAs on it", None, now)
