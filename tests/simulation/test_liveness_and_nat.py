"""Dead peers, NATs, floating to port 4500, following a peer that moved."""

from __future__ import annotations

import pytest
from scenarios import MOON, child, connection, established, mirrored, network
from simulator import endpoint

from ironswan.ike import events as ev
from ironswan.ike.types import Datagram
from ironswan.policy.connection import EndAction, Settings

KEEPALIVE = b"\xff"


def dead(**more):
    moon = connection((child(dpd_action=EndAction.START),), dpd_delay=30.0, **more)
    net = established(moon, mirrored(moon, dpd_delay=0.0))
    net.traffic = False
    return net


def test_peer_that_answers_nothing_is_declared_dead():
    """I25, I26."""
    net = dead()
    net.fate = lambda n, host, datagram: []
    net.run(400)
    assert [e.end_action for e in net.moon.of(ev.ChildRemoved)] == [EndAction.START]
    assert "no answer" in net.moon.of(ev.IkeRemoved)[0].reason
    assert not net.moon.engine.snapshot(net.now)


def test_peer_that_answers_stays():
    net = dead()
    net.run(1000)
    net.consistent()
    checks = [when for when, host, _ in net.sent if host is net.moon and when > 1010]
    assert 30 <= len(checks) <= 34


def test_inbound_traffic_counts_as_liveness():
    net = dead()
    before = len(net.sent)
    spi = net.moon.of(ev.ChildInstalled)[0].child.inbound_spi
    for _ in range(20):
        net.run(20)
        net.moon.engine.inbound_traffic(spi, net.now)
    assert len(net.sent) == before


def test_unprotected_errors_never_end_an_ike_sa():
    """I11, I25."""
    net = dead()
    sa = next(iter(net.moon.engine._context.sas.values()))
    from ironswan.wire.message import write_message
    from ironswan.wire.notify import NotifyPayload

    for number in (4, 7, 24, 14, 9):
        for response in (True, False):
            data = write_message(
                sa.spi_i,
                sa.spi_r,
                37,
                initiator=False,
                response=response,
                message_id=2,
                payloads=(NotifyPayload(number),),
            )
            net.moon.engine.receive(Datagram(net.moon.endpoint, net.sun.endpoint, data), net.now)
    net.run(100)
    assert net.moon.engine.snapshot(net.now)[0].state == "established"
    assert "unprotected" in net.moon.reasons()


def test_no_nat_stays_on_port_500():
    net = established()
    assert {d.remote.port for _, _, d in net.sent} == {500}
    assert not net.moon.of(ev.ChildInstalled)[0].child.udp_encap


@pytest.mark.parametrize("forced", ["moon", "sun", "both"])
def test_forced_encapsulation_moves_both_sides_to_port_4500(forced):
    """I93, I94: without a NAT, by a source hash that matches nothing."""
    moon = connection(encap=forced != "sun")
    net = established(moon, mirrored(moon, encap=forced != "moon"))
    for host in net.hosts:
        installed = host.of(ev.ChildInstalled)[0].child
        assert installed.udp_encap
        assert (installed.local.port, installed.remote.port) == (4500, 4500)
    assert [d.remote.port for _, _, d in net.sent][:4] == [500, 500, 4500, 4500]


class Nat:
    """A NAT in front of moon: `address`, and a port for each inside port; it can forget its mappings."""

    def __init__(self, net, address="203.0.113.9"):
        self.address, self.offset = address, 20000
        net.fate = self.fate
        self.net = net

    def fate(self, network, host, datagram):
        inside = network.moon.endpoint.address
        if host is network.moon:
            mapped = Datagram(endpoint(self.address, self.offset + datagram.local.port), datagram.remote, datagram.data)
            network._order += 1
            from heapq import heappush

            arriving = Datagram(mapped.remote, mapped.local, mapped.data)
            heappush(network.in_flight, (network.now + network.delay, network._order, network.sun, arriving))
            return []
        port = datagram.remote.port - self.offset
        if str(datagram.remote.address) != self.address or port not in (500, 4500):
            return []
        back = Datagram(endpoint(str(inside), port), datagram.local, datagram.data)
        network._order += 1
        from heapq import heappush

        heappush(
            network.in_flight,
            (network.now + network.delay, network._order, network.moon, Datagram(back.local, back.remote, back.data)),
        )
        return []


def behind_nat(**more):
    moon = connection(**more)
    net = network(moon, mirrored(moon, remote_addrs=("%any",)))
    nat = Nat(net)
    operation = net.initiate(net.moon)
    net.run(5)
    assert net.moon.outcome(operation).ok
    return net, nat


def test_nat_is_detected_and_the_responder_answers_to_the_mapped_port():
    """I93..I95."""
    net, _ = behind_nat()
    [moon], [sun] = (host.engine.snapshot(net.now) for host in net.hosts)
    assert (moon.local_natted, moon.remote_natted) == (True, False)
    assert (sun.local_natted, sun.remote_natted) == (False, True)
    assert str(sun.remote) == "203.0.113.9:24500"
    assert str(net.sun.of(ev.ChildInstalled)[0].child.remote) == "203.0.113.9:24500"


def test_only_the_side_behind_the_nat_sends_keepalives():
    """I97."""
    net, _ = behind_nat()
    net.run(100)
    from_moon = [d for _, host, d in net.sent if host is net.moon and d.data == KEEPALIVE]
    assert 4 <= len(from_moon) <= 5
    assert all(d.local.port == 4500 for d in from_moon)
    assert not [d for _, host, d in net.sent if host is net.sun and d.data == KEEPALIVE]


def test_peer_behind_nat_is_followed_after_a_fresh_protected_message():
    """I96, T18."""
    net, nat = behind_nat(dpd_delay=10.0)
    nat.offset = 30000
    net.run(30)
    assert [str(e.remote) for e in net.sun.of(ev.EndpointChanged)] == ["203.0.113.9:34500"]
    assert str(net.sun.engine.snapshot(net.now)[0].remote) == "203.0.113.9:34500"


def test_replayed_message_from_elsewhere_moves_nothing():
    """T18: old messages are recorded and sent again from another address."""
    net, _ = behind_nat(dpd_delay=10.0)
    net.run(30)
    recorded = [d.data for _, host, d in net.sent if host is net.moon]
    for data in recorded:
        net.sun.engine.receive(Datagram(net.sun.endpoint, endpoint("203.0.113.66", 4500), data), net.now)
    net.turn(net.sun)
    assert not net.sun.of(ev.EndpointChanged)


def test_peer_that_is_not_behind_nat_is_not_followed():
    """I96."""
    moon = connection(dpd_delay=10.0)
    net = established(moon, mirrored(moon, dpd_delay=0.0))
    net.traffic = False
    held = net.hold(net.moon)
    net.run(15)
    datagram = held.queue[0]
    net.sun.engine.receive(Datagram(datagram.remote, endpoint("203.0.113.66"), datagram.data), net.now)
    net.turn(net.sun)
    assert not net.sun.of(ev.EndpointChanged)
    assert "not_behind_nat" in net.sun.reasons()
    assert str(net.sun.engine.snapshot(net.now)[0].remote.address) == MOON


def test_esp_from_a_new_address_moves_only_a_peer_behind_nat():
    net, _ = behind_nat()
    spi = net.sun.of(ev.ChildInstalled)[0].child.inbound_spi
    net.sun.engine.peer_moved(spi, endpoint("203.0.113.9", 40000), net.now)
    net.turn(net.sun)
    assert [str(e.remote) for e in net.sun.of(ev.EndpointChanged)] == ["203.0.113.9:40000"]
    direct = established()
    spi = direct.sun.of(ev.ChildInstalled)[0].child.inbound_spi
    direct.sun.engine.peer_moved(spi, endpoint("203.0.113.9", 40000), direct.now)
    direct.turn(direct.sun)
    assert not direct.sun.of(ev.EndpointChanged)


def test_half_open_ike_sa_is_forgotten():
    """I40."""
    net = network(settings=Settings(half_open_timeout=10.0))
    held = net.hold(net.sun)
    net.initiate(net.moon)
    net.run(1)
    assert len(net.sun.engine.snapshot(net.now)) == 1
    net.moon.engine.delete_ike(net.moon.engine.snapshot(net.now)[0].id, net.now)
    net.run(20)
    assert held.queue
    assert not net.sun.engine._context.sas
    assert not net.sun.engine._context.init_requests
    assert net.sun.engine._context.half_open == 0
