"""Which IKE SPIs the world hears are ours, so that a flood of other messages does not drown theirs."""

from __future__ import annotations

from scenarios import network


def test_the_initiator_is_heard_from_its_first_request_and_the_responder_once_the_peer_has_authenticated():
    net = network()
    net.initiate(net.moon)
    (sa,) = net.moon.engine.snapshot(net.now)
    assert net.moon.admitted == {bytes.fromhex(sa.spi_i)}
    net.run(0.12)
    (half_open,) = net.sun.engine.snapshot(net.now)
    assert half_open.state == "half-open"
    assert not net.sun.admitted
    net.run(10)
    assert net.sun.admitted == {bytes.fromhex(half_open.spi_r)}


def test_an_ike_sa_that_is_gone_is_a_stranger_again():
    net = network()
    net.initiate(net.moon)
    net.run(10)
    net.moon.engine.delete_ike(net.moon.ike(), net.now)
    net.run(10)
    assert not net.moon.admitted
    assert net.sun.admitted, "it still answers the delete if that comes again"
    net.run(200)
    assert [host.admitted for host in net.hosts] == [set(), set()]


def test_a_peer_that_never_answers_leaves_nothing_admitted():
    net = network()
    net.fate = lambda *_: []
    net.initiate(net.moon)
    net.run(1000)
    assert not net.moon.engine.snapshot(net.now)
    assert not net.moon.admitted
