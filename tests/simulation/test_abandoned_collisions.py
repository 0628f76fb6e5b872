"""Both sides rekey, and the peer gives its new SA up again: what is left is as if only we had rekeyed."""

from __future__ import annotations

import pytest
from scenarios import established
from simulator import Network

from ironswan.ike import protect
from ironswan.ike.child_rekey import ChildRekeyTask
from ironswan.ike.ike_rekey import IkeRekeyTask
from ironswan.ike.payloads import Payloads
from ironswan.ike.session import IkeSa
from ironswan.ike.types import ChildState, Datagram, IkeState
from ironswan.policy.transforms import Protocol
from ironswan.wire.delete import DeletePayload
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import ExchangeType, NotifyType

BUSY = NotifyPayload(NotifyType.TEMPORARY_FAILURE)


def ike_sa(host, state=IkeState.ESTABLISHED) -> IkeSa:
    [found] = [sa for sa in host.engine._context.sas.values() if sa.state is state]
    return found


def to_moon(net: Network, sa: IkeSa, exchange: int, payloads: Payloads, answers: int | None = None) -> None:
    """Sun sends what its engine would not: a request of its own or an answer to moon's."""
    response = answers is not None
    message_id = sa.requests.next_id if answers is None else answers
    for data in protect.seal(sa, exchange, message_id, payloads, response=response):
        net.moon.engine.receive(Datagram(net.moon.endpoint, net.sun.endpoint, data), net.now)
    sa.requests.next_id += not response
    net.turn(net.moon)


def rekey_request(net: Network, sa: IkeSa) -> tuple[int, Payloads]:
    """Of sun's child: the new SPI and what asks for it."""
    [child] = sa.children.values()
    task = ChildRekeyTask(child)
    payloads = task.build(sa, net.now)
    child.state = ChildState.INSTALLED
    return task.offer.inbound_spi, payloads


def test_child_can_be_rekeyed_by_the_peer_after_it_gave_up_an_earlier_rekey():
    net = established()
    net.traffic = False
    net.hold(net.moon)
    net.moon.engine.rekey_child(net.moon.child(), net.now)
    net.turn(net.moon)
    sun, moon = ike_sa(net.sun), ike_sa(net.moon)
    spi, payloads = rekey_request(net, sun)
    to_moon(net, sun, ExchangeType.CREATE_CHILD_SA, payloads)
    to_moon(net, sun, ExchangeType.INFORMATIONAL, (DeletePayload(Protocol.ESP, (spi.to_bytes(4, "big"),)),))
    to_moon(net, sun, ExchangeType.CREATE_CHILD_SA, (BUSY,), moon.requests.outstanding.message_id)
    spi, payloads = rekey_request(net, sun)
    to_moon(net, sun, ExchangeType.CREATE_CHILD_SA, payloads)
    assert net.moon.reasons() == ["peer_refused"]
    assert spi in [c.outbound_spi for c in moon.children.values() if c.state is ChildState.INSTALLED]


@pytest.mark.parametrize("asks", ["for a child", "to rekey the IKE SA"])
def test_ike_sa_is_as_before_after_the_peer_gave_up_its_rekeyed_one(asks):
    net = established()
    net.traffic = False
    from_moon, from_sun = net.hold(net.moon), net.hold(net.sun)
    for host in net.hosts:
        host.engine.rekey_ike(host.ike(), net.now)
        net.turn(host)
    old, moon = ike_sa(net.sun), ike_sa(net.moon)
    from_sun.deliver()
    from_moon.deliver(1)
    from_sun.queue.clear()
    to_moon(net, ike_sa(net.sun), ExchangeType.INFORMATIONAL, (DeletePayload(Protocol.IKE, ()),))
    to_moon(net, old, ExchangeType.CREATE_CHILD_SA, (BUSY,), moon.requests.outstanding.message_id)
    before = len(from_moon.queue)
    if asks == "for a child":
        fresh = established(seed=2)
        _, payloads = rekey_request(fresh, ike_sa(fresh.sun))
        payloads = payloads[1:]
    else:
        payloads = IkeRekeyTask().build(ike_sa(established(seed=2).sun), net.now)
    old.requests.next_id = moon.responses.expected_id
    to_moon(net, old, ExchangeType.CREATE_CHILD_SA, payloads)
    assert len(from_moon.queue) == before + 1
    assert net.moon.reasons() == ["peer_refused"]
