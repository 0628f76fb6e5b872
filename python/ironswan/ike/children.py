"""Child SAs as the engine knows them, and the order in which the data plane learns of them: make before break."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ironswan.ike.events import ChildInstalled, ChildOutboundReady, ChildOutboundRemoved, ChildRemoved, ChildSa
from ironswan.ike.timers import TimerKind
from ironswan.ike.types import ChildState
from ironswan.policy.connection import ChildPolicy, EndAction, Mode
from ironswan.policy.selectors import Address, TrafficSelector
from ironswan.policy.transforms import Transform

if TYPE_CHECKING:
    from ironswan.ike.session import IkeSa


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A negotiated Child SA, ready to install."""

    policy: ChildPolicy
    inbound_spi: int
    outbound_spi: int
    suite: str
    esn: bool
    mode: Mode
    ts_local: tuple[TrafficSelector, ...]
    ts_remote: tuple[TrafficSelector, ...]
    keymat_in: bytes = field(repr=False)
    keymat_out: bytes = field(repr=False)
    nonces: tuple[bytes, bytes] = (b"", b"")
    ke_method: int = 0
    transforms: tuple[Transform, ...] = ()
    worker: int | None = None
    per_resource: bool = False
    nat_original: tuple[Address, Address] | None = None


@dataclass(slots=True, eq=False)
class Child:
    """A pair of ESP SAs. Keys are not kept: they went out with ChildInstalled.

    `replaces` is the SA this one was made to replace; `rival` the SA the peer made from this one while our own rekey of
    it was under way; `outbound` whether we send on it; `waiting` whether we are to, once the peer is known to receive.
    `unwanted`: the operator wants it gone, with what our rekey of it makes.

    `worker` has it for its own. `per_resource`: both sides agreed that there may be such beside this one, which is for
    all; `full`: the peer wants no more of them (RFC 9611).
    """

    id: int
    policy: ChildPolicy
    inbound_spi: int
    outbound_spi: int
    suite: str
    esn: bool
    mode: Mode
    ts_local: tuple[TrafficSelector, ...]
    ts_remote: tuple[TrafficSelector, ...]
    nonces: tuple[bytes, bytes]
    ke_method: int
    created: float
    outbound: bool
    waiting: bool
    transforms: tuple[Transform, ...] = ()
    worker: int | None = None
    per_resource: bool = False
    full: bool = False
    state: ChildState = ChildState.INSTALLED
    replaces: Child | None = None
    rival: Child | None = None
    unwanted: bool = False
    delete_action: EndAction = EndAction.NONE

    @property
    def alive(self) -> bool:
        """Whether the peer still has it, as far as we know."""
        return self.state is not ChildState.DELETED

    @property
    def live_rival(self) -> Child | None:
        """The peer's SA made from this one, unless it is gone again."""
        return self.rival if self.rival is not None and self.rival.alive else None

    @property
    def selectors(self) -> tuple[tuple[TrafficSelector, ...], tuple[TrafficSelector, ...]]:
        """Our side and the peer's."""
        return self.ts_local, self.ts_remote

    @property
    def usable(self) -> bool:
        """Whether it is there and not on its way out."""
        return self.state in (ChildState.INSTALLED, ChildState.REKEYING)


def install(sa: IkeSa, spec: ChildSpec, now: float, *, outbound: bool, replaces: Child | None = None) -> Child:
    """Register a Child SA, tell the data plane, start its lifetimes."""
    child = Child(
        id=sa.context.next_child_id(),
        policy=spec.policy,
        inbound_spi=spec.inbound_spi,
        outbound_spi=spec.outbound_spi,
        suite=spec.suite,
        esn=spec.esn,
        mode=spec.mode,
        ts_local=spec.ts_local,
        ts_remote=spec.ts_remote,
        nonces=spec.nonces,
        ke_method=spec.ke_method,
        created=now,
        outbound=outbound,
        waiting=not outbound,
        transforms=spec.transforms,
        worker=spec.worker,
        per_resource=spec.per_resource,
        replaces=replaces,
    )
    if replaces is not None:
        # RFC 9611 4: whatever the exchange said of resources, the new SA is bound as the old one was.
        child.worker, child.per_resource, child.full = replaces.worker, replaces.per_resource, replaces.full
    sa.children[child.inbound_spi] = child
    sa.context.children[child.inbound_spi] = (sa, child)
    sa.context.emit(ChildInstalled(_described(sa, spec, child), outbound))
    if outbound:
        _silence_family(sa, child)
    _arm_lifetimes(sa, child, now)
    return child


def _described(sa: IkeSa, spec: ChildSpec, child: Child) -> ChildSa:
    return ChildSa(
        child_id=child.id,
        ike_id=sa.id,
        connection=sa.connection.name,
        name=spec.policy.name,
        inbound_spi=spec.inbound_spi,
        outbound_spi=spec.outbound_spi,
        suite=spec.suite,
        keymat_in=spec.keymat_in,
        keymat_out=spec.keymat_out,
        ts_local=spec.ts_local,
        ts_remote=spec.ts_remote,
        mode=spec.mode,
        esn=spec.esn,
        replay_window=spec.policy.replay_window,
        local=sa.local,
        remote=sa.remote,
        udp_encap=sa.udp_encap,
        policy=spec.policy,
        replaces=child.replaces.id if child.replaces else None,
        worker=child.worker,
        per_resource=child.per_resource,
        initiator=sa.initiator,
        nat_original=spec.nat_original,
    )


def _arm_lifetimes(sa: IkeSa, child: Child, now: float) -> None:
    policy = child.policy
    if policy.rekey_time > 0:
        jitter = sa.context.environment.fraction() * min(policy.rand_time, policy.rekey_time)
        sa.arm(TimerKind.CHILD_SOFT, now + policy.rekey_time - jitter, child.inbound_spi)
    if policy.life_time > 0:
        sa.arm(TimerKind.CHILD_HARD, now + policy.life_time, child.inbound_spi)


def start_outbound(sa: IkeSa, child: Child) -> None:
    """Send on this SA from now on, and no longer on the one it replaces."""
    if child.outbound or not child.alive:
        return
    child.outbound = True
    child.waiting = False
    sa.context.emit(ChildOutboundReady(child.id))
    _silence_family(sa, child)


def _silence_family(sa: IkeSa, child: Child) -> None:
    """One SA of those that replace each other is sent on."""
    for other in tuple(sa.children.values()):
        if other is not child and (other is child.replaces or (child.replaces and other.replaces is child.replaces)):
            other.waiting = False
            stop_outbound(sa, other)


def stop_outbound(sa: IkeSa, child: Child) -> None:
    """Send no more on this SA; packets in flight towards us are still taken."""
    if child.outbound:
        child.outbound = False
        sa.context.emit(ChildOutboundRemoved(child.id))


def successor(sa: IkeSa, child: Child) -> Child | None:
    """The SA that carries on for this one: made from it, made from the same SA, or the one it was to replace."""
    usable = (ChildState.INSTALLED, ChildState.REKEYING)
    family = [
        other
        for other in sa.children.values()
        if other is not child
        and (
            (other.state in usable and other.replaces is child)
            or (other.state in usable and child.replaces is not None and other.replaces is child.replaces)
            or (other is child.replaces and other.state in (*usable, ChildState.REKEYED))
        )
    ]
    return max(family, key=lambda other: (other.outbound, other.id), default=None)


def newest(sa: IkeSa, child: Child) -> Child:
    """What carries the traffic of this SA now: itself, or what it was replaced by meanwhile."""
    while not child.usable and (follower := successor(sa, child)) is not None:
        child = follower
    return child


def hand_outbound_on(sa: IkeSa, child: Child) -> Child | None:
    """The peer no longer receives on this SA: switch to its successor if there is one, else stop."""
    follower = successor(sa, child)
    if follower is not None and child.outbound:
        start_outbound(sa, follower)
    stop_outbound(sa, child)
    return follower


def linger(sa: IkeSa, child: Child, now: float) -> None:
    """A replaced SA: outbound is gone, inbound stays for packets still in flight."""
    stop_outbound(sa, child)
    child.state = ChildState.DELETED
    _disarm(sa, child)
    sa.arm(TimerKind.CHILD_LINGER, now + sa.context.settings.delete_rekeyed_delay, child.inbound_spi)


def remove(sa: IkeSa, child: Child, reason: str, end_action: EndAction = EndAction.NONE) -> None:
    """The SA is gone, both halves."""
    if sa.children.pop(child.inbound_spi, None) is None:
        return
    child.state = ChildState.DELETED
    child.replaces = None
    _disarm(sa, child)
    sa.context.children.pop(child.inbound_spi, None)
    sa.context.emit(ChildRemoved(child.id, child.policy.name, sa.connection.name, sa.id, reason, end_action))


def _disarm(sa: IkeSa, child: Child) -> None:
    for kind in (TimerKind.CHILD_SOFT, TimerKind.CHILD_HARD, TimerKind.CHILD_LINGER, TimerKind.CHILD_CONFIRM):
        sa.disarm(kind, child.inbound_spi)


def adopt(sa: IkeSa, heir: IkeSa) -> None:
    """Move every child and its timers to another IKE SA (RFC 7296 2.18: the rekeyed IKE SA inherits them)."""
    for spi, child in tuple(sa.children.items()):
        heir.children[spi] = child
        heir.context.children[spi] = (heir, child)
    for (kind, key), deadline in tuple(sa.timers.items()):
        if key in sa.children:
            sa.disarm(kind, key)
            heir.arm(kind, deadline, key)
    sa.children.clear()


def by_outbound_spi(sa: IkeSa, spi: int) -> Child | None:
    """The child the peer names in Delete and REKEY_SA: by the SPI it receives on (RFC 7296 1.3.3, 1.4.1)."""
    return next((c for c in sa.children.values() if c.outbound_spi == spi and c.alive), None)
