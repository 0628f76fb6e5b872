"""Both sides rekey the same Child SA, or one rekeys what the other deletes: every order of arrival.

Both sides send all the time and no packet may be lost.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from scenarios import child, connection, esp, established, mirrored
from test_child_rekey import LOWEST, MOON_LOSES, PFS, colliding, finish, rekey, sides

from ironswan.ike import events as ev
from ironswan.ike import exchange
from ironswan.ike.informational import LivenessTask


@pytest.mark.parametrize("lowest", LOWEST)
def test_lowest_nonce_loses_when_both_sides_rekey_the_child(lowest):
    """I82."""
    net, from_moon, from_sun, operations = colliding(lowest)
    finish(net, from_moon, from_sun)
    net.settled()
    loser, winner = (net.moon, net.sun) if MOON_LOSES[lowest] else (net.sun, net.moon)
    assert "collision" in loser.reasons()
    assert "collision" not in winner.reasons()
    assert net.moon.outcome(operations[0]).kind == net.sun.outcome(operations[1]).kind == "rekeyed"


@pytest.mark.parametrize("lowest", LOWEST)
def test_collision_in_which_one_answer_is_delayed(lowest):
    """The other side decides alone, and the delayed side must come to the same conclusion later."""
    net, from_moon, from_sun, _ = colliding(lowest)
    from_moon.deliver()
    from_sun.deliver()
    from_moon.deliver()
    answer = from_sun.queue.pop(0)
    from_moon.release()
    from_sun.release()
    net.run(2)
    from_sun.arrive(answer)
    net.run(20)
    net.settled()


@pytest.mark.parametrize("lowest", LOWEST)
def test_collision_in_which_the_delete_overtakes_the_answer(lowest):
    net, from_moon, from_sun, _ = colliding(lowest)
    from_moon.deliver()
    from_sun.deliver()
    from_moon.deliver()
    net.turn(net.sun)
    assert len(from_sun.queue) == 2
    from_sun.deliver(1)
    from_moon.release()
    finish(net, from_sun)
    net.settled()


@pytest.mark.parametrize("lowest", LOWEST)
def test_request_that_arrives_while_the_old_sa_is_being_deleted_gets_temporary_failure(lowest):
    """I84: sun has not seen moon's request when it takes over; moon does not rekey again."""
    net, from_moon, from_sun, operations = colliding(lowest)
    from_sun.deliver()
    from_moon.deliver(1)
    from_moon.deliver()
    assert "collision" in net.sun.reasons()
    finish(net, from_sun, from_moon)
    net.settled()
    assert net.moon.outcome(operations[0]).kind == "rekeyed"


@pytest.mark.parametrize("lowest", LOWEST)
def test_delete_that_overtakes_the_temporary_failure(lowest):
    net, from_moon, from_sun, operations = colliding(lowest)
    from_sun.deliver()
    from_moon.deliver(1)
    from_moon.deliver()
    assert len(from_sun.queue) == 2
    from_sun.deliver(0)
    finish(net, from_sun, from_moon)
    net.settled()
    assert net.moon.outcome(operations[0]).kind == "rekeyed"


@pytest.mark.parametrize("lowest", LOWEST)
def test_request_that_arrives_after_the_old_sa_is_gone_is_not_repeated(lowest):
    """I84, I87: CHILD_SA_NOT_FOUND, and no second child because the peer's rekey already replaced it."""
    net, from_moon, from_sun, operations = colliding(lowest)
    from_sun.deliver()
    request = from_moon.queue.pop(0)
    from_moon.deliver()
    from_sun.deliver()
    from_moon.deliver()
    from_moon.queue.append(request)
    from_moon.deliver()
    assert "child_not_found" in net.sun.reasons()
    finish(net, from_sun, from_moon)
    net.settled()
    assert net.moon.outcome(operations[0]).kind == "rekeyed"


@pytest.mark.parametrize("lowest", LOWEST)
def test_collision_in_which_both_sides_guessed_the_wrong_key_exchange(lowest):
    moon = connection((child(esp_proposals=PFS),))
    sun = mirrored(moon)
    other = replace(sun.children[0], esp_proposals=esp("aes128gcm16-ecp256-x25519"))
    net = established(moon, replace(sun, children=(other,)))
    net.run(1)
    from_moon, from_sun = net.hold(net.moon), net.hold(net.sun)
    rekey(net, net.moon)
    rekey(net, net.sun)
    net.turn(net.moon)
    net.turn(net.sun)
    net.moon.bias, net.sun.bias = [list(b) for b in LOWEST[lowest]]
    finish(net, from_moon, from_sun)
    net.settled()


@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_rekey_that_crosses_a_delete_of_the_same_child(starter):
    """I84: the rekey gets TEMPORARY_FAILURE, the Delete is answered; nothing is left."""
    net = established()
    active, passive = sides(net, starter)
    from_moon, from_sun = net.hold(net.moon), net.hold(net.sun)
    operation = rekey(net, active)
    deletion = passive.engine.delete_child(passive.child(), net.now)
    net.turn(net.moon)
    net.turn(net.sun)
    net.traffic = False
    finish(net, from_moon, from_sun)
    assert active.outcome(operation).kind == "peer_refused"
    assert passive.outcome(deletion).kind == "deleted"
    assert not net.moon.plane.known
    assert not net.sun.plane.known


@pytest.mark.parametrize("dropped", ["rekey", "delete"])
@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_rekey_that_crosses_a_delete_and_one_of_them_is_lost(starter, dropped):
    net = established()
    net.traffic = False
    active, passive = sides(net, starter)
    from_active, from_passive = net.hold(active), net.hold(passive)
    rekey(net, active)
    passive.engine.delete_child(passive.child(), net.now)
    net.turn(net.moon)
    net.turn(net.sun)
    (from_active if dropped == "rekey" else from_passive).drop()
    finish(net, from_active, from_passive)
    assert not net.moon.plane.known
    assert not net.sun.plane.known


@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_child_rekey_that_crosses_an_ike_rekey_is_put_off(starter):
    """I85: both get TEMPORARY_FAILURE and both try again later, with jitter."""
    net = established()
    active, passive = sides(net, starter)
    from_moon, from_sun = net.hold(net.moon), net.hold(net.sun)
    rekey(net, active)
    passive.engine.rekey_ike(passive.ike(), net.now)
    net.turn(net.moon)
    net.turn(net.sun)
    finish(net, from_moon, from_sun)
    net.run(30)
    net.settled()
    assert len(passive.of(ev.IkeRekeyed)) == 1
    assert active.plane.installed == 2


@pytest.mark.parametrize("starter", ["moon", "sun"])
def test_child_rekey_that_crosses_an_ike_delete_ends_with_it(starter):
    net = established()
    net.traffic = False
    active, passive = sides(net, starter)
    from_moon, from_sun = net.hold(net.moon), net.hold(net.sun)
    operation = rekey(net, active)
    passive.engine.delete_ike(passive.ike(), net.now)
    net.turn(net.moon)
    net.turn(net.sun)
    finish(net, from_moon, from_sun)
    assert active.outcome(operation).kind in ("closed", "peer_refused")
    assert not net.moon.plane.known
    assert not net.sun.plane.known
    assert not net.moon.engine.snapshot(net.now)


@pytest.mark.parametrize("seed", range(60))
def test_simultaneous_rekeys_through_a_bad_network_lose_no_packet(seed):
    net = established(seed=seed)
    net.fate = lambda n, host, datagram: [n.random.random() for _ in range(n.random.choice([0, 1, 1, 1, 2]))]
    for _ in range(5):
        for host in net.hosts:
            newest = max(c.id for sa in host.engine.snapshot(net.now) for c in sa.children)
            host.engine.rekey_child(newest, net.now)
            net.run(net.random.random())
        net.run(120)
    net.fate = None
    net.run(60)
    net.settled()


def wrong_guess_by_moon():
    moon = connection((child(esp_proposals=PFS),))
    sun = mirrored(moon)
    net = established(moon, replace(sun, children=(replace(sun.children[0], esp_proposals=esp("aes128gcm16-ecp256")),)))
    from_moon, from_sun = net.hold(net.moon), net.hold(net.sun)
    operations = rekey(net, net.moon), rekey(net, net.sun)
    net.turn(net.moon)
    net.turn(net.sun)
    from_moon.deliver()
    assert "wrong_ke" in net.sun.reasons()
    return net, from_moon, from_sun, operations


@pytest.mark.parametrize("arrival", ["at once", "while the old one is deleted", "after the old one is gone"])
def test_retry_after_a_wrong_guess_arrives_late_in_a_collision(arrival):
    net, from_moon, from_sun, operations = wrong_guess_by_moon()
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
    net.settled()
    assert net.moon.outcome(operations[0]).kind == net.sun.outcome(operations[1]).kind == "rekeyed"


def test_wrong_guess_is_not_repeated_when_the_peer_has_rekeyed_meanwhile():
    net, from_moon, from_sun, operations = wrong_guess_by_moon()
    from_sun.deliver()
    finish(net, from_sun, from_moon)
    net.settled()
    assert net.moon.outcome(operations[0]).kind == "rekeyed"
    assert net.moon.plane.installed == 2


@pytest.mark.parametrize("lowest", LOWEST)
def test_collision_in_which_the_peer_deletes_the_old_sa_itself(lowest):
    net, from_moon, from_sun, _ = colliding(lowest)
    old = net.sun.of(ev.ChildInstalled)[0].child
    from_moon.deliver()
    from_sun.deliver()
    from_moon.deliver()
    net.sun.engine.delete_child(old.child_id, net.now)
    net.turn(net.sun)
    finish(net, from_moon, from_sun)
    net.consistent()
    assert len(net.moon.plane.known) == len(net.sun.plane.known) == 1
    assert set(net.moon.plane.current) == set(net.sun.plane.current) == {"net"}


def rekey_everything(net, host):
    """What `ironswan rekey` asks for."""
    installed = [c.id for sa in host.engine.snapshot(net.now) for c in sa.children if c.state == "installed"]
    for number in installed:
        host.engine.rekey_child(number, net.now)
    net.turn(host)


@pytest.mark.parametrize("lowest", LOWEST)
@pytest.mark.parametrize("asked", ["loser", "winner"])
def test_sa_that_lost_a_collision_is_not_rekeyed_while_its_delete_waits(lowest, asked):
    """On the loser's side another request comes first, which gets lost; the winner has the redundant SA until then."""
    net, from_moon, from_sun, _ = colliding(lowest)
    loser, winner = (net.moon, net.sun) if MOON_LOSES[lowest] else (net.sun, net.moon)
    [sa] = loser.engine._context.sas.values()
    exchange.enqueue(sa, LivenessTask(), net.now)
    for _ in range(2):
        from_moon.deliver()
        from_sun.deliver()
    assert "collision" in loser.reasons()
    (from_moon if loser is net.moon else from_sun).drop(-1)
    rekey_everything(net, loser if asked == "loser" else winner)
    finish(net, from_moon, from_sun)
    net.run(20)
    net.settled()
