"""INITIAL_CONTACT (RFC 7296 2.4): it speaks of what was before, and of nobody else. And policies that act once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scenarios import MOON_ID, SECRET, child, connection, established, mirrored, network
from simulator import Host, Network
from test_resources import add, per_cpu

from ironswan.ike import events as ev
from ironswan.policy.connection import Configuration, EndAction, LocalAuth, RemoteAuth
from ironswan.policy.identity import Identity, IdType

MARS = "203.0.113.9"
MARS_ID = Identity(IdType.FQDN, b"mars.example")


def states(host):
    return [sa.state for sa in host.engine.snapshot(0)]


def crossing_handshakes(unique="no"):
    """Moon's IKE_AUTH, with INITIAL_CONTACT in it, is on the way while sun sets an IKE SA of its own up."""
    moon = connection(unique=unique)
    net = network(moon, mirrored(moon))
    from_moon = net.hold(net.moon)
    first = net.initiate(net.moon)
    net.turn(net.moon)
    from_moon.deliver()
    net.run(0.2)
    [late] = from_moon.queue
    from_moon.queue.clear()
    second = net.initiate(net.sun)
    net.run(0.2)
    from_moon.deliver()
    net.run(0.2)
    from_moon.deliver()
    net.run(0.2)
    assert net.sun.outcome(second).ok
    from_moon.arrive(late)
    from_moon.release()
    net.run(5)
    assert net.moon.outcome(first).ok
    return net


def test_initial_contact_leaves_an_ike_sa_alone_that_is_newer_than_the_handshake_that_says_it():
    net = crossing_handshakes()
    assert [states(host) for host in net.hosts] == [["established"] * 2] * 2
    assert not any(host.of(ev.IkeRemoved) for host in net.hosts)
    net.consistent()


def third(net, conf):
    """A network in which another host than moon talks to sun."""
    host = Host("moon", MARS, conf, 7)
    other = Network(host, net.sun, 7)
    other.now = net.now
    return other


@pytest.mark.parametrize("unique", ["no", "replace", "keep"])
def test_initial_contact_of_one_peer_leaves_the_ike_sas_of_others_alone(unique):
    moon = connection(unique=unique)
    at_sun = mirrored(moon, remote_addrs=("%any",))
    for_mars = replace(at_sun, name="mars", remote=RemoteAuth(id=MARS_ID))
    net = established(moon, at_sun)
    net.traffic = False
    net.run(10)
    group = (replace(SECRET, ids=()),)
    sun = net.sun.engine
    sun.set_configuration(Configuration((at_sun, for_mars), group, sun._context.settings), net.now)
    mars = replace(moon, local=LocalAuth(id=MARS_ID), local_addrs=(MARS,))
    again = third(net, Configuration((mars,), group))
    operation = again.initiate(again.moon)
    again.run(5)
    assert again.moon.outcome(operation).ok
    assert sorted(sa.remote_id for sa in net.sun.engine.snapshot(0)) == ["mars.example", str(MOON_ID)]
    assert not net.sun.of(ev.IkeRemoved)


def test_initial_contact_ends_what_its_sender_has_forgotten_without_a_word_to_it():
    moon = connection()
    net = established(moon, mirrored(moon))
    net.traffic = False
    net.run(10)
    again = third(net, net.moon.engine._context.configuration)
    again.moon.endpoint = net.moon.endpoint
    net.sent.clear()
    operation = again.initiate(again.moon)
    again.run(5)
    assert again.moon.outcome(operation).ok
    assert states(net.sun) == ["established"]
    assert ["INITIAL_CONTACT" in e.reason for e in net.sun.of(ev.IkeRemoved)] == [True]
    assert len([1 for _, host, _ in again.sent if host is net.sun]) == 2, "its two answers, and no Delete"


@pytest.mark.parametrize("ending", ["closed", "dead"])
def test_policy_of_a_child_with_several_sas_acts_once_when_the_ike_sa_ends(ending):
    """One for all and two for workers (RFC 9611): they are one child, which is to be started again once."""
    actions = {"close_action": EndAction.START, "dpd_action": EndAction.START}
    moon = per_cpu(**actions)
    net = established(replace(moon, dpd_delay=30.0), mirrored(per_cpu()), workers=(2, 2))
    net.traffic = False
    assert [add(net, net.moon, worker).ok for worker in (0, 1)] == [True, True]
    if ending == "closed":
        net.sun.engine.delete_ike(net.sun.ike(), net.now)
    else:
        net.fate = lambda *_: []
    net.run(400)
    removed = net.moon.of(ev.ChildRemoved)
    assert len(removed) == 3
    assert sorted(e.end_action.value for e in removed) == ["none", "none", "start"]
    assert [e.end_action_children for e in net.moon.of(ev.IkeRemoved)] == [(("net", EndAction.START),)]


def test_policy_acts_for_the_sa_in_use_when_the_ike_sa_ends_amid_a_rekey():
    """The old SA is still there to receive what is in flight; the child lives by the new one."""
    net = established(connection((child(close_action=EndAction.TRAP),)))
    net.traffic = False
    net.moon.engine.rekey_child(net.moon.child(), net.now)
    net.run(1)
    assert len(net.moon.plane.known) == 2
    net.sun.engine.delete_ike(net.sun.ike(), net.now)
    net.run(2)
    removed = {e.child_id: e.end_action for e in net.moon.of(ev.ChildRemoved)}
    old, new = (e.child.child_id for e in net.moon.of(ev.ChildInstalled))
    assert removed == {old: EndAction.NONE, new: EndAction.TRAP}
