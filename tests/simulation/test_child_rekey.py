"""Rekeying Child SAs: regular, refused, colliding. Both sides send all the time and no packet may be lost.

The four loops of a collision are the four nonces of which one is the lowest: moon's Ni, moon's Nr, sun's Ni, sun's Nr.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from scenarios import child, connection, esp, established, mirrored

from ironswan.ike import events as ev
from ironswan.ike.children import remove
from ironswan.policy.connection import EndAction

LOWEST = {
    "moon Ni": ((1, 9), (9, 9)),
    "moon Nr": ((9, 1), (9, 9)),
    "sun Ni": ((9, 9), (1, 9)),
    "sun Nr": ((9, 9), (9, 1)),
}
# The SA with the lowest nonce loses: moon's own SA has moon's Ni and sun's Nr.
MOON_LOSES = {"moon Ni": True, "moon Nr": False, "sun Ni": False, "sun Nr": True}
PFS = esp("aes128gcm16-x25519-ecp256")


def sides(net, starter):
    return (net.moon, net.sun) if starter == "moon" else (net.sun, net.moon)


def rekey(net, host):
    return host.engine.rekey_child(host.child(), net.now)


def colliding(lowest):
    """Both sides have sent a rekey request that has not arrived."""
    net = established()
    net.run(1)
    net.moon.bias, net.sun.bias = [list(b) for b in LOWEST[lowest]]
    from_moon, from_sun = net.hold(net.moon), net.hold(net.sun)
    operations = rekey(net, net.moon), rekey(net, net.sun)
    net.turn(net.moon)
    net.turn(net.sun)
    return net, from_moon, from_sun, operations


def finish(net, *held):
    """Let everything go its way again, and wait until old SAs are gone."""
    for each in held:
        each.release()
    net.run(20)


@pytest.mark.parametrize("starter", ["moon", "sun"])
@pytest.mark.parametrize("proposals", [esp("aes128gcm16"), PFS], ids=["plain", "pfs"])
def test_regular_rekey_replaces_the_child_without_losing_a_packet(starter, proposals):
    net = established(connection((child(esp_proposals=proposals),)))
    active, passive = sides(net, starter)
    old = active.child()
    operation = rekey(net, active)
    net.run(20)
    assert active.outcome(operation).kind == "rekeyed"
    net.settled()
    assert active.child() != old
    assert active.of(ev.ChildInstalled)[-1].child.replaces == old
    assert not passive.of(ev.ChildInstalled)[-1].outbound


@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_rekey_retries_with_the_key_exchange_method_the_peer_wants(starter):
    """I89."""
    moon = connection((child(esp_proposals=PFS),))
    sun = mirrored(moon)
    other = replace(sun.children[0], esp_proposals=esp("aes128gcm16-ecp256-x25519"))
    net = established(moon, replace(sun, children=(other,)))
    active, passive = sides(net, starter)
    operation = rekey(net, active)
    net.run(20)
    assert active.outcome(operation).kind == "rekeyed"
    assert "wrong_ke" in passive.reasons()
    net.settled()


def test_responder_answers_a_rekey_before_it_sends_on_the_new_sa():
    """I78: inbound first; outbound with the Delete or with traffic on the new SA."""
    net = established()
    net.traffic = False
    held = net.hold(net.sun)
    rekey(net, net.moon)
    net.run(0.5)
    installed = net.sun.of(ev.ChildInstalled)[-1]
    assert not installed.outbound
    assert installed.child.inbound_spi in net.sun.plane.inbound
    assert net.sun.plane.current["net"] != installed.child.child_id
    net.sun.engine.inbound_traffic(installed.child.inbound_spi, net.now)
    net.turn(net.sun)
    assert net.sun.plane.current["net"] == installed.child.child_id
    held.release()
    net.run(20)
    net.settled()


def test_old_inbound_stays_for_delete_rekeyed_delay():
    net = established()
    old = net.moon.of(ev.ChildInstalled)[0].child
    rekey(net, net.moon)
    net.run(1)
    assert old.inbound_spi in net.moon.plane.inbound
    assert old.child_id not in net.moon.plane.outbound
    net.run(5)
    assert old.inbound_spi not in net.moon.plane.inbound


def test_soft_expiry_while_the_peer_rekeys_is_ignored():
    net = established()
    held = net.hold(net.moon)
    rekey(net, net.moon)
    net.turn(net.moon)
    held.deliver()
    net.sun.engine.volume_expired(net.sun.of(ev.ChildInstalled)[0].child.inbound_spi, False, net.now)
    net.turn(net.sun)
    finish(net, held)
    net.settled()
    assert net.sun.plane.installed == 2


def test_hard_expiry_while_the_peer_rekeys_deletes_only_the_old_sa():
    net = established()
    held = net.hold(net.moon)
    rekey(net, net.moon)
    net.turn(net.moon)
    held.deliver()
    net.run(0.01)
    net.sun.engine.volume_expired(net.sun.of(ev.ChildInstalled)[0].child.inbound_spi, True, net.now)
    net.turn(net.sun)
    finish(net, held)
    net.consistent()
    assert len(net.moon.plane.known) == len(net.sun.plane.known) == 1
    assert set(net.moon.plane.current) == set(net.sun.plane.current) == {"net"}


def test_new_sa_deleted_by_the_peer_before_its_answer_arrives():
    net = established()
    net.traffic = False
    held = net.hold(net.sun)
    operation = rekey(net, net.moon)
    net.run(0.2)
    net.sun.engine.delete_child(net.sun.of(ev.ChildInstalled)[-1].child.child_id, net.now)
    net.turn(net.sun)
    held.deliver(1)
    finish(net, held)
    assert net.moon.outcome(operation).kind == "closed"
    net.consistent()


def test_child_the_peer_lost_is_created_anew():
    """I87."""
    net = established()
    net.traffic = False
    sun = net.sun.engine._context
    [(sa, lost)] = sun.children.values()
    remove(sa, lost, "forgotten")
    net.turn(net.sun)
    operation = rekey(net, net.moon)
    net.run(20)
    assert net.moon.outcome(operation).kind == "established"
    assert "child_not_found" in net.sun.reasons()
    net.consistent()
    assert len(net.moon.plane.known) == len(net.sun.plane.known) == 1


def lost_by_the_peer(action):
    """Moon has just learned that sun has lost the child, whose close_action is `action`."""
    net = established(connection((child(close_action=action),)))
    net.traffic = False
    [(sa, lost)] = net.sun.engine._context.children.values()
    remove(sa, lost, "forgotten")
    net.turn(net.sun)
    rekey(net, net.moon)
    net.run(20, until=lambda: bool(net.moon.of(ev.ChildRemoved)))
    return net


@pytest.mark.parametrize("action", EndAction)
def test_child_the_peer_lost_ends_as_its_policy_says(action):
    """It is asked for anew at once; the policy decides about further attempts should that fail."""
    net = lost_by_the_peer(action)
    assert [e.end_action for e in net.moon.of(ev.ChildRemoved)] == [action]


def test_child_the_peer_lost_is_created_once_though_its_policy_asks_for_it_too():
    net = lost_by_the_peer(EndAction.START)
    operation = net.initiate(net.moon)
    net.run(20)
    assert net.moon.outcome(operation).kind == "established"
    assert net.moon.plane.installed == 2
    net.consistent()


def test_peer_that_deletes_the_old_sa_itself_before_it_answers():
    net = established()
    held = net.hold(net.sun)
    operation = rekey(net, net.moon)
    net.run(0.2)
    old = net.sun.of(ev.ChildInstalled)[0].child
    net.sun.engine.delete_child(old.child_id, net.now)
    net.turn(net.sun)
    held.deliver(1)
    finish(net, held)
    assert net.moon.outcome(operation).kind == "rekeyed"
    net.consistent()
    assert len(net.moon.plane.known) == len(net.sun.plane.known) == 1
    assert set(net.moon.plane.current) == set(net.sun.plane.current) == {"net"}


def test_peer_that_dies_during_the_delete_makes_the_policy_act_once():
    """delete_timeout: the replaced SA must not be reported as a second loss."""
    net = established(connection((child(dpd_action=EndAction.START),)))
    net.traffic = False
    held = net.hold(net.moon)
    rekey(net, net.moon)
    net.turn(net.moon)
    held.deliver()
    net.run(1)
    net.fate = lambda n, host, datagram: []
    net.run(400)
    actions = [e.end_action for e in net.moon.of(ev.ChildRemoved)]
    assert sorted(actions) == [EndAction.NONE, EndAction.START]
    assert [e.end_action_children for e in net.moon.of(ev.IkeRemoved)] == [(("net", EndAction.START),)]
