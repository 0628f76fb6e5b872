"""NAT detection and where to send (RFC 7296 2.23): hashes, conclusions, the float to port 4500, following a peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironswan.crypto.natd import nat_detection_hash
from ironswan.ike.events import EndpointChanged
from ironswan.ike.payloads import Payloads, notifies
from ironswan.ike.timers import TimerKind
from ironswan.ike.types import Because, Endpoint, IkeState
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import NotifyType

if TYPE_CHECKING:
    from ironswan.ike.context import Context
    from ironswan.ike.session import IkeSa

HASH_LENGTH = 20


def detection_payloads(
    context: Context, spi_i: bytes, spi_r: bytes, local: Endpoint, remote: Endpoint, *, force_encap: bool
) -> Payloads:
    """Both notifications. With `force_encap` our source hash matches nothing, so both sides go to UDP 4500."""
    source = (
        context.environment.entropy(HASH_LENGTH)
        if force_encap
        else nat_detection_hash(spi_i, spi_r, local.address, local.port)
    )
    destination = nat_detection_hash(spi_i, spi_r, remote.address, remote.port)
    return (
        NotifyPayload(NotifyType.NAT_DETECTION_SOURCE_IP, source),
        NotifyPayload(NotifyType.NAT_DETECTION_DESTINATION_IP, destination),
    )


def learn(
    sa: IkeSa, payloads: Payloads, spi_i: bytes, spi_r: bytes, local: Endpoint, remote: Endpoint, force: bool
) -> None:
    """Conclude who is behind a NAT; several SOURCE notifications may stand for several interfaces of the peer."""
    sources = [n.data for n in notifies(payloads, NotifyType.NAT_DETECTION_SOURCE_IP)]
    destinations = [n.data for n in notifies(payloads, NotifyType.NAT_DETECTION_DESTINATION_IP)]
    if not sources or not destinations:
        return
    sa.remote_natted = nat_detection_hash(spi_i, spi_r, remote.address, remote.port) not in sources
    sa.local_natted = nat_detection_hash(spi_i, spi_r, local.address, local.port) not in destinations
    sa.udp_encap = force or sa.remote_natted or sa.local_natted


def float_to_nat_t(sa: IkeSa) -> None:
    """The initiator moves to port 4500; a peer on a port of its own choice keeps it."""
    settings = sa.context.settings
    sa.local = Endpoint(sa.local.address, settings.port_nat_t)
    if sa.remote.port == 500:
        sa.remote = Endpoint(sa.remote.address, 4500)


def follow(sa: IkeSa, local: Endpoint, remote: Endpoint, now: float) -> None:
    """A fresh authenticated packet came from elsewhere: follow only a peer behind NAT (RFC 7296 2.23)."""
    if (sa.local, sa.remote) == (local, remote):
        return
    floating = sa.state is IkeState.HALF_OPEN
    if not floating and not sa.remote_natted:
        sa.reject(None, Because.NOT_BEHIND_NAT, f"stays at {sa.remote}, packet came from {remote}", now)
        return
    sa.local, sa.remote = local, remote
    if not floating:
        sa.context.emit(EndpointChanged(sa.id, local, remote))


def arm_keepalive(sa: IkeSa, now: float) -> None:
    """Only the side behind the NAT keeps the mapping alive (RFC 3948 4)."""
    interval = sa.context.settings.keep_alive
    if sa.local_natted and interval > 0:
        sa.arm(TimerKind.KEEPALIVE, now + interval)


def keepalive_due(sa: IkeSa, now: float) -> None:
    """Send one octet, unless something was sent within the interval anyway."""
    interval = sa.context.settings.keep_alive
    if now - sa.last_sent >= interval:
        sa.transmit((b"\xff",), now)
    sa.arm(TimerKind.KEEPALIVE, sa.last_sent + interval)
