"""The operator takes a child down while it is being rekeyed: nothing of it may be left, whoever rekeys."""

from __future__ import annotations

import pytest
from scenarios import child, connection, established
from test_child_rekey import LOWEST, colliding, finish, rekey, sides

from ironswan.ike import child_rekey, exchange
from ironswan.ike import events as ev
from ironswan.ike.children import remove
from ironswan.ike.informational import LivenessTask
from ironswan.ike.refusal import Refusal
from ironswan.ike.types import Because
from ironswan.policy.connection import EndAction
from ironswan.wire.numbers import NotifyType


def down(net, host):
    """What `ironswan down` asks the engine for: every SA of the child that is up."""
    net.traffic = False
    alive = [c.id for sa in host.engine.snapshot(net.now) for c in sa.children if c.state in ("installed", "rekeying")]
    operations = [host.engine.delete_child(number, net.now) for number in alive]
    net.turn(host)
    return operations


def gone(net, host, operations):
    assert [host.outcome(operation).kind for operation in operations] == ["deleted"] * len(operations)
    for each in net.hosts:
        assert not each.plane.known
        assert [sa.state for sa in each.engine.snapshot(net.now)] == ["established"]
    assert {e.end_action for e in host.of(ev.ChildRemoved)} == {EndAction.NONE}


@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_child_that_is_being_rekeyed_by_us_is_deleted_with_its_successor(starter):
    net = established(connection((child(close_action=EndAction.START),)))
    active, _ = sides(net, starter)
    rekey(net, active)
    operations = down(net, active)
    net.run(20)
    gone(net, active, operations)


@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_rekey_request_that_comes_before_our_delete_went_out_is_refused(starter):
    net = established()
    active, passive = sides(net, starter)
    held, answers = net.hold(active), net.hold(passive)
    [sa] = active.engine._context.sas.values()
    exchange.enqueue(sa, LivenessTask(), net.now)
    net.turn(active)
    operations = down(net, active)
    rekey(net, passive)
    net.turn(passive)
    answers.deliver()
    finish(net, held, answers)
    gone(net, active, operations)
    assert "collision" in active.reasons()


@pytest.mark.parametrize("lowest", LOWEST)
@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_child_that_both_sides_rekey_is_deleted_with_every_successor(starter, lowest):
    net, from_moon, from_sun, _ = colliding(lowest)
    active, _ = sides(net, starter)
    from_moon.deliver()
    from_sun.deliver()
    operations = down(net, active)
    finish(net, from_moon, from_sun)
    gone(net, active, operations)


def test_rekey_that_waits_is_not_made_of_a_child_that_is_to_go():
    net = established()
    net.traffic = False
    [sa] = net.moon.engine._context.sas.values()
    exchange.enqueue(sa, LivenessTask(), net.now)
    operation = rekey(net, net.moon)
    operations = down(net, net.moon)
    net.run(20)
    gone(net, net.moon, operations)
    assert net.moon.outcome(operation).kind == "closed"
    assert net.moon.plane.installed == 1


def test_child_that_is_to_go_is_not_created_anew_when_the_peer_has_lost_it():
    net = established()
    net.traffic = False
    [(sa, lost)] = net.sun.engine._context.children.values()
    remove(sa, lost, "forgotten")
    net.turn(net.sun)
    rekey(net, net.moon)
    operations = down(net, net.moon)
    net.run(20)
    gone(net, net.moon, operations)
    assert "child_not_found" in net.sun.reasons()


def test_child_that_is_to_go_gets_no_new_ike_sa_from_a_minimal_peer(monkeypatch):
    net = established()
    refusal = Refusal(NotifyType.NO_ADDITIONAL_SAS, Because.RESOURCES, "one Child SA an IKE SA")
    monkeypatch.setattr(child_rekey, "respond", lambda sa, notify, payloads, now: refusal)
    rekey(net, net.moon)
    operations = down(net, net.moon)
    net.run(20)
    gone(net, net.moon, operations)


@pytest.mark.parametrize("seed", range(30))
def test_child_deleted_amid_rekeys_through_a_bad_network_leaves_nothing(seed):
    net = established(seed=seed)
    net.fate = lambda n, host, datagram: [n.random.random() for _ in range(n.random.choice([0, 1, 1, 1, 2]))]
    for host in net.random.sample(net.hosts, 2):
        host.engine.rekey_child(max(host.plane.known), net.now)
        net.run(net.random.random())
    active = net.random.choice(net.hosts)
    operations = down(net, active)
    net.run(200)
    gone(net, active, operations)
