"""A snapshot of every IKE SA and its children, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironswan.ike.lifetime import suite_text
from ironswan.ike.timers import TimerKind
from ironswan.ike.types import ChildState, ChildStatus, IkeSaStatus, IkeState

if TYPE_CHECKING:
    from ironswan.ike.children import Child
    from ironswan.ike.context import Context
    from ironswan.ike.session import IkeSa


def snapshot(context: Context, now: float) -> tuple[IkeSaStatus, ...]:
    """IKE SAs by age; those that only linger to repeat an answer are left out."""
    shown = sorted((sa for sa in context.sas.values() if sa.state is not IkeState.CLOSED), key=lambda sa: sa.id)
    return tuple(_ike(sa, now) for sa in shown)


def _ike(sa: IkeSa, now: float) -> IkeSaStatus:
    children = sorted(sa.children.values(), key=lambda child: child.id)
    return IkeSaStatus(
        id=sa.id,
        connection=sa.connection.name,
        state=sa.state.value,
        initiator=sa.initiator,
        spi_i=sa.spi_i.hex(),
        spi_r=sa.spi_r.hex(),
        local=sa.local,
        remote=sa.remote,
        local_id=str(sa.local_id or ""),
        remote_id=str(sa.remote_id or ""),
        suite=suite_text(sa),
        age=now - (sa.created if sa.established_at is None else sa.established_at),
        rekey_in=_left(sa, TimerKind.IKE_SOFT, 0, now),
        expires_in=_left(sa, TimerKind.IKE_HARD, 0, now),
        local_natted=sa.local_natted,
        remote_natted=sa.remote_natted,
        udp_encap=sa.udp_encap,
        children=tuple(_child(sa, child, now) for child in children if child.state is not ChildState.DELETED),
    )


def _child(sa: IkeSa, child: Child, now: float) -> ChildStatus:
    return ChildStatus(
        id=child.id,
        name=child.policy.name,
        state=child.state.value,
        inbound_spi=child.inbound_spi,
        outbound_spi=child.outbound_spi,
        suite=child.suite,
        ts_local=child.ts_local,
        ts_remote=child.ts_remote,
        mode=child.mode.value,
        age=now - child.created,
        rekey_in=_left(sa, TimerKind.CHILD_SOFT, child.inbound_spi, now),
        expires_in=_left(sa, TimerKind.CHILD_HARD, child.inbound_spi, now),
        outbound=child.outbound,
        worker=child.worker,
    )


def _left(sa: IkeSa, kind: TimerKind, key: int, now: float) -> float | None:
    deadline = sa.timers.get((kind, key))
    return None if deadline is None else max(0.0, deadline - now)
