"""Rekeying the IKE SA: regular, refused, colliding. Children move to the survivor and go on carrying traffic.

The four loops of a collision are the four nonces of which one is the lowest: moon's Ni, moon's Nr, sun's Ni, sun's Nr.
Each 32-octet draw may be biased: Ni and then the key of a request, the key and then Nr of an answer.
"""

from __future__ import annotations

import pytest
from scenarios import connection, established, ike, mirrored

from ironswan.ike import events as ev

LOWEST = {
    "moon Ni": ((1, 9, 9, 9), (9, 9, 9, 9)),
    "moon Nr": ((9, 9, 9, 1), (9, 9, 9, 9)),
    "sun Ni": ((9, 9, 9, 9), (1, 9, 9, 9)),
    "sun Nr": ((9, 9, 9, 9), (9, 9, 9, 1)),
}
MOON_LOSES = {"moon Ni": True, "moon Nr": False, "sun Ni": False, "sun Nr": True}


def sides(net, starter):
    return (net.moon, net.sun) if starter == "moon" else (net.sun, net.moon)


def rekey(net, host):
    return host.engine.rekey_ike(host.ike(), net.now)


def crossing(net, *, moon, sun):
    """Both sides have sent a request that has not arrived."""
    from_moon, from_sun = net.hold(net.moon), net.hold(net.sun)
    operations = moon(net.moon), sun(net.sun)
    net.turn(net.moon)
    net.turn(net.sun)
    return from_moon, from_sun, operations


def colliding(lowest):
    net = established()
    net.run(1)
    net.moon.bias, net.sun.bias = [list(b) for b in LOWEST[lowest]]
    return net, *crossing(net, moon=lambda h: rekey(net, h), sun=lambda h: rekey(net, h))


def finish(net, *held):
    for each in held:
        each.release()
    net.run(200)


def rekeyed(net):
    """One IKE SA and one child on both sides, under the same SPIs; traffic never stopped."""
    net.settled()
    [moon], [sun] = (host.engine.snapshot(net.now) for host in net.hosts)
    assert (moon.spi_i, moon.spi_r) == (sun.spi_i, sun.spi_r)
    for host in net.hosts:
        assert len(host.engine._context.sas) == 1
        assert not host.of(ev.IkeRemoved)
        assert len(host.of(ev.IkeRekeyed)) == 1
        assert host.of(ev.IkeRekeyed)[0].new == host.ike()
    operation = net.moon.engine.rekey_child(net.moon.child(), net.now)
    net.run(20)
    assert net.moon.outcome(operation).kind == "rekeyed", "children work on the new IKE SA"
    net.settled()


@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_regular_rekey_moves_the_children(starter):
    net = established()
    active, _ = sides(net, starter)
    operation = rekey(net, active)
    net.run(200)
    assert active.outcome(operation).kind == "rekeyed"
    rekeyed(net)


def test_message_ids_start_anew_after_a_rekey():
    """I24."""
    net = established()
    for _ in range(5):
        rekey(net, net.moon)
        net.run(100)
    sa = next(iter(net.moon.engine._context.sas.values()))
    assert (sa.requests.next_id, sa.responses.expected_id) == (0, 0)


@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_rekey_retries_with_the_key_exchange_method_the_peer_wants(starter):
    moon = connection(proposals=ike("aes128gcm16-prfsha256-x25519-ecp256"))
    sun = mirrored(moon, proposals=ike("aes128gcm16-prfsha256-ecp256-x25519"))
    net = established(moon, sun)
    for host in net.hosts:
        for sa in host.engine._context.sas.values():
            sa.proposal = ike("aes128gcm16-prfsha256-x25519")[0]
    active, _ = sides(net, starter)
    operation = rekey(net, active)
    net.run(200)
    assert active.outcome(operation).kind == "rekeyed"
    rekeyed(net)


@pytest.mark.parametrize("lowest", LOWEST)
def test_lowest_nonce_loses_when_both_sides_rekey_the_ike_sa(lowest):
    """I83."""
    net, from_moon, from_sun, operations = colliding(lowest)
    finish(net, from_moon, from_sun)
    rekeyed(net)
    loser = net.moon if MOON_LOSES[lowest] else net.sun
    assert "collision" in loser.reasons()
    assert net.moon.outcome(operations[0]).kind == net.sun.outcome(operations[1]).kind == "rekeyed"


@pytest.mark.parametrize("lowest", LOWEST)
def test_collision_in_which_one_answer_is_delayed(lowest):
    net, from_moon, from_sun, _ = colliding(lowest)
    from_moon.deliver()
    from_sun.deliver()
    from_moon.deliver()
    answer = from_sun.queue.pop(0)
    from_moon.release()
    from_sun.release()
    net.run(2)
    from_sun.arrive(answer)
    net.run(200)
    rekeyed(net)


@pytest.mark.parametrize("lowest", LOWEST)
def test_collision_in_which_both_sides_guessed_the_wrong_key_exchange(lowest):
    moon = connection(proposals=ike("aes128gcm16-prfsha256-x25519-ecp256"))
    sun = mirrored(moon, proposals=ike("aes128gcm16-prfsha256-ecp256-x25519"))
    net = established(moon, sun)
    for host in net.hosts:
        for sa in host.engine._context.sas.values():
            sa.proposal = ike("aes128gcm16-prfsha256-" + ("ecp256" if host is net.sun else "x25519"))[0]
    from_moon, from_sun, _ = crossing(net, moon=lambda h: rekey(net, h), sun=lambda h: rekey(net, h))
    net.moon.bias, net.sun.bias = [list(b) for b in LOWEST[lowest]]
    finish(net, from_moon, from_sun)
    rekeyed(net)


@pytest.mark.parametrize("lowest", LOWEST)
def test_request_that_never_arrives_while_the_peer_rekeys(lowest):
    """Sun knows of no collision and deletes the old IKE SA; moon follows."""
    net, from_moon, from_sun, _ = colliding(lowest)
    from_moon.drop()
    finish(net, from_moon, from_sun)
    rekeyed(net)


@pytest.mark.parametrize("lowest", LOWEST)
def test_request_that_arrives_while_the_peer_deletes_the_old_ike_sa(lowest):
    """I85: TEMPORARY_FAILURE, and moon goes over to sun's new IKE SA."""
    net, from_moon, from_sun, operations = colliding(lowest)
    from_sun.deliver()
    from_moon.deliver(1)
    from_moon.deliver()
    finish(net, from_sun, from_moon)
    rekeyed(net)
    assert net.moon.outcome(operations[0]).kind == "rekeyed"


@pytest.mark.parametrize("lowest", LOWEST)
def test_request_that_arrives_after_the_old_ike_sa_is_deleted(lowest):
    net, from_moon, from_sun, operations = colliding(lowest)
    request = from_moon.queue.pop(0)
    from_sun.deliver()
    from_moon.deliver()
    from_sun.deliver()
    from_moon.deliver()
    from_moon.arrive(request)
    finish(net, from_sun, from_moon)
    rekeyed(net)
    assert net.moon.outcome(operations[0]).kind == "rekeyed"


@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_delete_beats_rekey(starter):
    """I85."""
    net = established()
    net.traffic = False
    active, passive = sides(net, starter)
    action = {active.name: lambda h: rekey(net, h), passive.name: lambda h: h.engine.delete_ike(h.ike(), net.now)}
    from_moon, from_sun, operations = crossing(net, moon=action["moon"], sun=action["sun"])
    finish(net, from_moon, from_sun)
    outcomes = {"moon": net.moon.outcome(operations[0]), "sun": net.sun.outcome(operations[1])}
    assert outcomes[active.name].kind in ("closed", "peer_refused")
    assert outcomes[passive.name].kind == "deleted"
    for host in net.hosts:
        assert not host.engine._context.sas
        assert not host.plane.inbound


@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_delete_beats_rekey_when_the_first_delete_is_lost(starter):
    net = established()
    net.traffic = False
    active, passive = sides(net, starter)
    action = {active.name: lambda h: rekey(net, h), passive.name: lambda h: h.engine.delete_ike(h.ike(), net.now)}
    from_moon, from_sun, _ = crossing(net, moon=action["moon"], sun=action["sun"])
    (from_sun if passive is net.sun else from_moon).drop()
    finish(net, from_moon, from_sun)
    for host in net.hosts:
        assert not host.engine._context.sas
        assert not host.plane.inbound


@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_child_delete_that_crosses_an_ike_rekey(starter):
    net = established()
    net.traffic = False
    active, passive = sides(net, starter)
    action = {active.name: lambda h: h.engine.delete_child(h.child(), net.now), passive.name: lambda h: rekey(net, h)}
    from_moon, from_sun, _ = crossing(net, moon=action["moon"], sun=action["sun"])
    finish(net, from_moon, from_sun)
    net.run(60)
    net.consistent()
    assert not net.moon.plane.known
    assert len(passive.of(ev.IkeRekeyed)) == 1
    assert [len(h.engine._context.sas) for h in net.hosts] == [1, 1]
    assert all(host.admitted == set(host.engine._context.sas) for host in net.hosts)


@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_child_create_that_crosses_an_ike_rekey_is_refused_for_now(starter):
    """Both get TEMPORARY_FAILURE."""
    net = established()
    active, passive = sides(net, starter)
    from_active, from_passive = net.hold(active), net.hold(passive)
    policy = active.engine._context.configuration.connections[0].children[0]
    from ironswan.ike import child_create
    from ironswan.ike.wanted import WantedChild

    [sa] = active.engine._context.sas.values()
    operation = active.engine._context.operations.begin()
    child_create.create(sa, WantedChild(policy, operation), net.now)
    other = rekey(net, passive)
    net.turn(active)
    net.turn(passive)
    finish(net, from_active, from_passive)
    assert active.outcome(operation).notify == 43
    assert passive.outcome(other).notify == 43
    net.consistent()


@pytest.mark.parametrize("seed", range(60))
def test_simultaneous_rekeys_through_a_bad_network_keep_one_ike_sa(seed):
    net = established(seed=seed)
    net.fate = lambda n, host, datagram: [n.random.random() for _ in range(n.random.choice([0, 1, 1, 1, 2]))]
    for _ in range(5):
        for host in net.hosts:
            newest = max(sa.id for sa in host.engine.snapshot(net.now))
            host.engine.rekey_ike(newest, net.now)
            net.run(net.random.random())
        net.run(120)
    net.fate = None
    net.run(200)
    net.settled()
    assert [len(h.engine._context.sas) for h in net.hosts] == [1, 1]
    assert all(host.admitted == set(host.engine._context.sas) for host in net.hosts)


@pytest.mark.parametrize("arrival", ["at once", "while the old one is deleted", "after the old one is gone"])
def test_retry_after_a_wrong_guess_arrives_late_in_a_collision(arrival):
    moon = connection(proposals=ike("aes128gcm16-prfsha256-x25519-ecp256"))
    net = established(moon, mirrored(moon, proposals=ike("aes128gcm16-prfsha256-ecp256")))
    for sa in net.moon.engine._context.sas.values():
        sa.proposal = ike("aes128gcm16-prfsha256-x25519")[0]
    from_moon, from_sun, operations = crossing(net, moon=lambda h: rekey(net, h), sun=lambda h: rekey(net, h))
    from_moon.deliver()
    from_sun.deliver(1)
    retry = from_moon.queue.pop(0)
    if arrival == "at once":
        from_moon.arrive(retry)
        finish(net, from_moon, from_sun)
    else:
        from_sun.deliver()
        from_moon.deliver()
        if arrival == "after the old one is gone":
            from_sun.deliver()
            from_moon.deliver()
        from_moon.arrive(retry)
        finish(net, from_sun, from_moon)
    rekeyed(net)
    assert net.moon.outcome(operations[0]).kind == net.sun.outcome(operations[1]).kind == "rekeyed"
