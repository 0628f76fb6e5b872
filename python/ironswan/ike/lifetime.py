"""When an IKE SA is established: announcement, lifetimes, liveness. Also what its timers mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironswan.ike import nat
from ironswan.ike.events import IkeEstablished
from ironswan.ike.suites import ke_method
from ironswan.ike.timers import TimerKind
from ironswan.ike.types import IkeState
from ironswan.policy.proposals import proposal_text

if TYPE_CHECKING:
    from ironswan.ike.session import IkeSa


def suite_text(sa: IkeSa) -> str:
    """The negotiated IKE suite in configuration keywords."""
    return proposal_text(sa.proposal) if sa.proposal else ""


def ike_ke_method(sa: IkeSa) -> int:
    """The key exchange method this IKE SA was made with."""
    return ke_method(sa.proposal) if sa.proposal else 0


def established(sa: IkeSa, now: float) -> None:
    """Both sides are authenticated (or a rekey is complete): start every clock."""
    sa.state = IkeState.ESTABLISHED
    sa.established_at = sa.last_heard = now
    sa.announced = True
    sa.disarm(TimerKind.HALF_OPEN)
    sa.disarm(TimerKind.REDUNDANT)
    sa.context.settled(sa)
    sa.context.environment.admit_ike(sa.spi)
    _arm_lifetimes(sa, now)
    arm_liveness(sa)
    nat.arm_keepalive(sa, now)


def announce(sa: IkeSa) -> None:
    """Tell the gateway about a newly authenticated IKE SA."""
    sa.context.emit(
        IkeEstablished(
            sa.id,
            sa.connection.name,
            sa.local,
            sa.remote,
            str(sa.local_id),
            str(sa.remote_id),
            suite_text(sa),
            sa.initiator,
        )
    )


def _arm_lifetimes(sa: IkeSa, now: float) -> None:
    connection = sa.connection
    if connection.rekey_time > 0:
        jitter = sa.context.environment.fraction() * min(connection.rand_time, connection.rekey_time)
        sa.arm(TimerKind.IKE_SOFT, now + connection.rekey_time - jitter)
        if connection.over_time > 0:
            sa.arm(TimerKind.IKE_HARD, now + connection.rekey_time + connection.over_time)


def arm_liveness(sa: IkeSa) -> None:
    """A check is due when nothing protected arrived for dpd_delay (RFC 7296 2.4)."""
    if sa.connection.dpd_delay > 0:
        sa.arm(TimerKind.LIVENESS, sa.last_heard + sa.connection.dpd_delay)
