"""Hours and days of rekeying on a virtual clock: nothing is lost, nothing is left over."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scenarios import child, connection, esp, established, mirrored, network

from ironswan.ike import events as ev
from ironswan.ike import exchange, ike_rekey, requests
from ironswan.ike.informational import LivenessTask
from ironswan.ike.refusal import Refusal
from ironswan.ike.types import Because
from ironswan.policy.connection import EndAction
from ironswan.wire.numbers import NotifyType


def test_a_day_of_hourly_rekeys_loses_no_packet_and_leaves_nothing_behind():
    """T28: as many SAs and timers after a day as after a minute."""
    moon = connection(
        (child(rekey_time=3600.0, life_time=3960.0, rand_time=360.0, esp_proposals=esp("aes128gcm16-x25519")),),
        rekey_time=14400.0,
        over_time=1440.0,
        rand_time=1440.0,
        dpd_delay=60.0,
    )
    net = established(moon)
    net.run(60)
    timers = [len(next(iter(h.engine._context.sas.values())).timers) for h in net.hosts]
    net.run(24 * 3600)
    net.traffic = False
    net.run(300)
    net.settled()
    assert net.moon.plane.installed >= 24
    assert len(net.moon.of(ev.IkeRekeyed)) >= 6
    for host, before in zip(net.hosts, timers, strict=True):
        assert len(host.engine._context.sas) == 1
        assert len(next(iter(host.engine._context.sas.values())).timers) == before
        assert len(host.engine._context.timers._heap) < 100
        assert not host.engine._context.init_requests or len(host.engine._context.init_requests) == 1


def test_soft_lifetimes_are_jittered():
    """I88."""
    firsts = set()
    for seed in range(8):
        net = established(connection((child(rekey_time=3600.0, rand_time=360.0),)), seed=seed)
        firsts.add(round(net.moon.engine.snapshot(net.now)[0].children[0].rekey_in))
    assert len(firsts) > 4
    assert all(3230 <= first <= 3600 for first in firsts)


def test_child_that_cannot_be_rekeyed_ends_with_its_hard_lifetime():
    """I88: retried while it lives, not used afterwards."""
    moon = connection((child(rekey_time=100.0, rand_time=10.0, life_time=200.0, close_action=EndAction.START),))
    net = established(moon, mirrored(moon))
    net.traffic = False
    for sa in net.sun.engine._context.sas.values():
        for each in sa.children.values():
            sa.timers.clear()
            object.__setattr__(each.policy, "esp_proposals", esp("chacha20poly1305"))
    net.run(400)
    assert net.sun.reasons().count("no_proposal") >= 3
    assert [e.end_action for e in net.moon.of(ev.ChildRemoved)] == [EndAction.START]
    assert not net.moon.plane.inbound
    assert not net.sun.plane.inbound


def test_ike_sa_that_cannot_be_rekeyed_ends_with_its_hard_lifetime():
    net = established(connection(rekey_time=100.0, rand_time=10.0, over_time=50.0))
    net.traffic = False
    for sa in net.sun.engine._context.sas.values():
        sa.connection = mirrored(sa.connection, proposals=())
        sa.timers.clear()
    net.run(400)
    assert "lifetime expired" in net.moon.of(ev.IkeRemoved)[0].reason
    assert not net.sun.plane.inbound


def test_ike_sa_that_cannot_be_rekeyed_makes_its_children_do_what_their_policy_says():
    """As a Child SA does that cannot be rekeyed; of two children each its own."""
    children = (
        child(close_action=EndAction.START),
        child("trapped", "10.3.0.0/16", "10.4.0.0/16", close_action=EndAction.TRAP),
    )
    moon = connection(children, rekey_time=100.0, rand_time=10.0, over_time=50.0)
    net = network(moon, mirrored(moon, rekey_time=0.0))
    net.initiate(net.moon, child=None)
    net.run(5)
    for sa in net.sun.engine._context.sas.values():
        sa.connection = replace(sa.connection, proposals=())
    net.run(400)
    [removed] = net.moon.of(ev.IkeRemoved)
    assert removed.reason == "lifetime expired"
    assert dict(removed.end_action_children) == {"net": EndAction.START, "trapped": EndAction.TRAP}


def hard_lifetime_comes_during_a_rekey():
    """The rekey request of moon's is under way when its IKE SA's hard lifetime comes; sun has not answered yet."""
    moon = connection(rekey_time=100.0, rand_time=0.0, over_time=10.0)
    net = established(moon, mirrored(moon, rekey_time=0.0))
    held = net.hold(net.sun)
    begun = net.moon.engine._context.sa_by_id(net.moon.ike()).established_at
    net.run(begun + 105 - net.now)
    return net, held


def test_hard_lifetime_that_comes_during_the_rekey_leaves_the_new_ike_sa_alone():
    net, held = hard_lifetime_comes_during_a_rekey()
    net.run(10)
    held.release()
    net.run(80)
    net.traffic = False
    net.settled()
    assert len(net.moon.of(ev.IkeRekeyed)) == 1


def test_hard_lifetime_that_comes_during_the_rekey_does_not_drop_what_the_operator_asked_for():
    net, held = hard_lifetime_comes_during_a_rekey()
    net.traffic = False
    operation = net.moon.engine.delete_child(net.moon.child(), net.now)
    net.run(10)
    held.release()
    net.run(20)
    assert net.moon.outcome(operation).kind == "deleted"
    assert not net.moon.plane.known
    assert not net.sun.plane.known


@pytest.mark.parametrize("hard", [False, True])
def test_volume_limits_rekey_or_delete(hard):
    net = established()
    net.traffic = not hard
    spi = net.moon.of(ev.ChildInstalled)[0].child.outbound_spi
    net.moon.engine.volume_expired(spi, hard, net.now)
    net.run(20)
    if hard:
        assert not net.moon.plane.known
        assert not net.sun.plane.known
    else:
        net.settled()
        assert net.moon.plane.installed == 2


def test_temporary_failure_is_not_retried_at_once():
    """I86."""
    net = established()
    [sa] = net.sun.engine._context.sas.values()
    [theirs] = sa.children.values()
    from ironswan.ike.types import ChildState

    theirs.state = ChildState.DELETING
    net.moon.engine.rekey_child(net.moon.child(), net.now)
    net.run(8)
    assert net.sun.reasons().count("collision") == 1
    theirs.state = ChildState.INSTALLED
    net.run(30)
    net.settled()
    assert net.moon.plane.installed == 2


def test_peer_without_additional_child_sas_gets_a_new_ike_sa(monkeypatch):
    """I90: the new IKE SA and its child stand before the old ones go."""
    net = established()
    refusal = Refusal(35, Because.COLLISION, "minimal implementation")
    monkeypatch.setattr(requests, "_create_child_sa", lambda sa, payloads, now: refusal)
    operation = net.moon.engine.rekey_child(net.moon.child(), net.now)
    net.run(20)
    assert net.moon.outcome(operation).kind == "established"
    assert [sa.state for sa in net.moon.engine.snapshot(net.now)] == ["established"]
    assert len(net.moon.plane.known) == len(net.sun.plane.known) == 1
    assert set(net.moon.plane.current) == set(net.sun.plane.current) == {"net"}


@pytest.fixture(params=["moon", "sun"])
def many_requests(request):
    """Both sides are established, and one of them has sent so many requests; it checks liveness every minute."""
    net = established(connection(dpd_delay=60.0), mirrored(connection()))
    net.traffic = False
    sender, other = (net.moon, net.sun) if request.param == "moon" else (net.sun, net.moon)
    [ours], [theirs] = (host.engine._context.sas.values() for host in (sender, other))

    def sent(count):
        ours.requests.next_id = theirs.responses.expected_id = count
        exchange.enqueue(ours, LivenessTask(), net.now)
        net.run(1)

    return net, sent


def test_ike_sa_is_rekeyed_long_before_message_ids_run_out(many_requests):
    """I24: both counters start at 0 on the new one."""
    net, sent = many_requests
    sent(2**31 - 2)
    assert not net.moon.of(ev.IkeRekeyed)
    sent(2**31 - 1)
    net.run(100)
    assert net.moon.of(ev.IkeRekeyed)
    net.settled()
    for host in net.hosts:
        [sa] = host.engine._context.sas.values()
        assert max(sa.requests.next_id, sa.responses.expected_id) < 10


def test_ike_sa_that_the_peer_will_not_rekey_is_tried_again_now_and_then(many_requests, monkeypatch):
    net, sent = many_requests
    refusal = Refusal(NotifyType.TEMPORARY_FAILURE, Because.COLLISION, "not now")
    monkeypatch.setattr(ike_rekey, "respond", lambda sa, payloads, now: refusal)
    sent(2**31)
    net.run(100)
    asked = sum(host.reasons().count("collision") for host in net.hosts)
    assert 4 <= asked <= 22
    monkeypatch.undo()
    net.run(60)
    net.settled()
    assert net.moon.of(ev.IkeRekeyed)


def test_ike_sa_that_cannot_be_rekeyed_is_deleted_before_message_ids_run_out(many_requests, monkeypatch):
    """I24."""
    net, sent = many_requests
    refusal = Refusal(NotifyType.TEMPORARY_FAILURE, Because.COLLISION, "not now")
    monkeypatch.setattr(ike_rekey, "respond", lambda sa, payloads, now: refusal)
    sent(2**32 - 2**16)
    net.run(10)
    assert not net.moon.engine.snapshot(net.now)
    assert not net.sun.engine.snapshot(net.now)
