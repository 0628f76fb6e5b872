"""Deleting Child SAs and IKE SAs, from one side and from both, and what the policy's close_action is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from protected import payloads_of, requests_and_answers
from scenarios import child, connection, established, mirrored, network
from test_ike_rekey import crossing, finish, sides

from ironswan.ike import events as ev
from ironswan.policy.connection import EndAction


@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_child_is_deleted_on_both_sides(starter):
    """I81: the close_action is the other side's."""
    net = established(connection((child(close_action=EndAction.TRAP),)))
    active, passive = sides(net, starter)
    net.traffic = False
    operation = active.engine.delete_child(active.child(), net.now)
    net.run(5)
    assert active.outcome(operation).kind == "deleted"
    assert [e.end_action for e in active.of(ev.ChildRemoved)] == [EndAction.NONE]
    assert [e.end_action for e in passive.of(ev.ChildRemoved)] == [EndAction.TRAP]
    assert [sa.state for sa in passive.engine.snapshot(net.now)] == ["established"]
    assert not net.moon.plane.inbound
    assert not net.sun.plane.inbound


@pytest.mark.parametrize("dropped", [None, "moon", "sun"])
def test_both_sides_delete_the_same_child(dropped):
    """I81, I84: the answers are empty."""
    net = established()
    net.traffic = False
    net.sent.clear()
    from_moon, from_sun, operations = crossing(
        net,
        moon=lambda h: h.engine.delete_child(h.child(), net.now),
        sun=lambda h: h.engine.delete_child(h.child(), net.now),
    )
    if dropped is not None:
        (from_moon if dropped == "moon" else from_sun).drop()
    finish(net, from_moon, from_sun)
    assert net.moon.outcome(operations[0]).kind == net.sun.outcome(operations[1]).kind == "deleted"
    assert not net.moon.plane.known
    assert not net.sun.plane.known
    assert [e.end_action for h in net.hosts for e in h.of(ev.ChildRemoved)] == [EndAction.NONE] * 2
    for host in net.hosts:
        answers = requests_and_answers(net, host, response=True)
        assert answers
        assert [payloads_of(host, answer) for answer in answers] == [()] * len(answers)


@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_child_delete_that_crosses_an_ike_delete(starter):
    net = established()
    net.traffic = False
    active, passive = sides(net, starter)
    action = {
        active.name: lambda h: h.engine.delete_child(h.child(), net.now),
        passive.name: lambda h: h.engine.delete_ike(h.ike(), net.now),
    }
    from_moon, from_sun, operations = crossing(net, moon=action["moon"], sun=action["sun"])
    finish(net, from_moon, from_sun)
    assert net.moon.outcome(operations[0]).kind == net.sun.outcome(operations[1]).kind == "deleted"
    assert not any(h.engine._context.sas for h in net.hosts)


@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_ike_sa_is_deleted_with_its_children(starter):
    net = established(connection((child(close_action=EndAction.START),)))
    net.traffic = False
    active, passive = sides(net, starter)
    operation = active.engine.delete_ike(active.ike(), net.now)
    net.run(100)
    assert active.outcome(operation).kind == "deleted"
    assert [e.end_action_children for e in active.of(ev.IkeRemoved)] == [(("net", EndAction.NONE),)]
    assert [e.end_action_children for e in passive.of(ev.IkeRemoved)] == [(("net", EndAction.START),)]
    assert not any(h.engine._context.sas or h.engine._context.children for h in net.hosts)


def test_both_sides_delete_the_ike_sa():
    net = established()
    net.traffic = False
    from_moon, from_sun, operations = crossing(
        net, moon=lambda h: h.engine.delete_ike(h.ike(), net.now), sun=lambda h: h.engine.delete_ike(h.ike(), net.now)
    )
    finish(net, from_moon, from_sun)
    assert net.moon.outcome(operations[0]).kind == net.sun.outcome(operations[1]).kind == "deleted"
    assert not any(h.engine._context.sas for h in net.hosts)


def test_answer_to_a_delete_is_repeated_when_it_was_lost():
    """I17."""
    net = established()
    net.traffic = False
    answers = iter([[]])
    net.fate = lambda n, host, datagram: next(answers, [n.delay]) if host is n.sun else [n.delay]
    operation = net.moon.engine.delete_ike(net.moon.ike(), net.now)
    net.run(10)
    assert net.moon.outcome(operation).kind == "deleted"


def test_shutdown_deletes_every_ike_sa():
    net = established()
    net.traffic = False
    operation = net.moon.engine.shutdown(net.now)
    net.run(5)
    assert net.moon.outcome(operation).kind == "deleted"
    assert not net.sun.plane.inbound


def test_connecting_is_abandoned_when_its_ike_sa_is_deleted():
    net = network()
    net.fate = lambda network, host, datagram: []
    operation = net.initiate(net.moon)
    net.run(1)
    net.moon.engine.delete_ike(net.moon.engine.snapshot(net.now)[0].id, net.now)
    net.run(1)
    assert net.moon.outcome(operation).kind == "closed"
    assert net.moon.engine.next_deadline() is None


@pytest.mark.parametrize("unique", ["no", "never", "replace", "keep"])
def test_unique_policy_decides_about_a_second_ike_sa_of_the_same_peer(unique):
    """I69: moon has forgotten its IKE SA without a word and comes again."""
    moon = connection(unique=unique)
    net = established(moon, mirrored(moon))
    net.traffic = False
    net.run(1)
    again = network(moon, mirrored(moon), seed=2)
    again.sun, again.hosts = net.sun, (again.moon, net.sun)
    again.moon.peer, net.sun.peer = net.sun, again.moon
    again.now = net.now
    operation = again.initiate(again.moon)
    again.run(10)
    count = len([s for s in net.sun.engine.snapshot(again.now) if s.state == "established"])
    assert (again.moon.outcome(operation).ok, count) == {
        "no": (True, 1),
        "never": (True, 2),
        "replace": (True, 1),
        "keep": (False, 1),
    }[unique]


def test_new_configuration_leaves_existing_sas_alone():
    net = established()
    configuration = net.moon.engine._context.configuration
    renamed = replace(configuration.connections[0], name="other")
    net.moon.engine.set_configuration(replace(configuration, connections=(renamed,)), net.now)
    operation = net.moon.engine.rekey_child(net.moon.child(), net.now)
    net.run(20)
    assert net.moon.outcome(operation).kind == "rekeyed"
    net.settled()
    assert net.moon.outcome(net.initiate(net.moon)) is None
    net.run(1)
    assert "no connection gw" in net.moon.of(ev.OperationDone)[-1].outcome.message
