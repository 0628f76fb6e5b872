"""Child SAs for single workers (RFC 9611): who may have one, how many, and what rekeys and deletes leave alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scenarios import child, connection, esp, established, mirrored, network
from simulator import Host, Network

from ironswan.ike import events as ev
from ironswan.ike import resources
from ironswan.ike.refusal import Refusal
from ironswan.ike.types import Because, Endpoint, Outcome
from ironswan.policy.connection import Connection, PerCpuSas, Settings
from ironswan.wire.numbers import NotifyType


def per_cpu(**more) -> Connection:
    return connection((child(per_cpu_sas=PerCpuSas.YES, **more),))


def joined(workers: tuple[int, int] = (2, 2), moon: Connection | None = None, **more) -> Network:
    """Moon has set up the child that serves all."""
    return established(moon or per_cpu(), workers=workers, **more)


def serving_all(host: Host) -> int:
    [found] = [c.id for c in children(host) if c.worker is None and c.state == "installed"]
    return found


def children(host: Host) -> list:
    return [c for sa in host.engine.snapshot(0) for c in sa.children]


def ask(net: Network, host: Host, worker: int) -> int:
    operation = host.engine.add_own(serving_all(host), worker, net.now)
    net.turn(host)
    return operation


def add(net: Network, host: Host, worker: int) -> Outcome:
    operation = ask(net, host, worker)
    net.run(3)
    outcome = host.outcome(operation)
    assert outcome is not None
    return outcome


def own(host: Host) -> list[int]:
    """The workers with an SA of their own."""
    return sorted(c.worker for c in children(host) if c.worker is not None and c.state == "installed")


def test_workers_get_sas_of_their_own_beside_the_one_for_all():
    """RFC 9611 4: the same selectors, suite and mode, keys of its own, inbound SPIs for the worker."""
    net = joined()
    assert [add(net, net.moon, worker).kind for worker in (0, 1)] == ["established"] * 2
    net.consistent()
    for host in net.hosts:
        assert own(host) == [0, 1]
        assert host.asked[-2:] == [0, 1]
        first, *others = host.plane.known.values()
        assert first.per_resource
        for other in others:
            assert (other.suite, other.mode, other.ts_local, other.ts_remote) == (
                first.suite, first.mode, first.ts_local, first.ts_remote,
            )  # fmt: skip
        assert len({c.keymat_in for c in host.plane.known.values()}) == 3


def test_responder_takes_its_least_busy_worker_whatever_the_peer_calls_its_own():
    """RFC 9611 5."""
    net = joined((4, 2))
    for worker in (3, 1, 0):
        assert add(net, net.moon, worker).ok
    assert (own(net.moon), own(net.sun)) == ([0, 1, 3], [0, 0, 1])
    net.consistent()


def test_groups_of_one_child_with_different_selectors_stay_apart():
    """RFC 9611 4: what counts is the combination of traffic selectors, which a packet narrowed here."""
    part = child("part", local="10.1.0.0/24", per_cpu_sas=PerCpuSas.YES)
    net = joined(moon=replace(per_cpu(), children=(*per_cpu().children, part)), sun=mirrored(per_cpu()))
    assert add(net, net.moon, 0).ok
    net.traffic = False
    operation = net.initiate(net.moon, child="part")
    net.run(3)
    assert net.moon.outcome(operation).ok
    [part] = [c.id for c in children(net.moon) if c.name == "part"]
    operation = net.moon.engine.add_own(part, 0, net.now)
    net.run(3)
    assert net.moon.outcome(operation).ok
    assert [(c.worker, str(c.ts_remote[0])) for c in children(net.sun)] == [
        (None, "10.1.0.0/16"), (0, "10.1.0.0/16"), (None, "10.1.0.0/24"), (0, "10.1.0.0/24"),
    ]  # fmt: skip
    net.consistent()


def test_a_worker_that_has_one_asks_for_no_other():
    net = joined()
    assert add(net, net.moon, 0).ok
    again = add(net, net.moon, 0)
    assert (again.kind, again.message) == ("local_refused", "child net: worker 0 has an SA of its own")
    assert own(net.moon) == [0]


def test_a_worker_asks_once_while_its_request_waits():
    net = joined()
    ask(net, net.moon, 0)
    ask(net, net.moon, 1)
    second = ask(net, net.moon, 1)
    net.run(3)
    assert net.moon.outcome(second).kind == "local_refused"
    assert own(net.moon) == [0, 1]


def test_beyond_the_limit_the_responder_says_so_and_is_not_asked_again():
    """RFC 9611 4, 6: TS_MAX_QUEUE, never NO_ADDITIONAL_SAS; the SAs there are stay."""
    net = joined((20, 1))
    for worker in range(16):
        assert add(net, net.moon, worker).ok
    refused = add(net, net.moon, 16)
    assert (refused.kind, refused.notify) == ("peer_refused", NotifyType.TS_MAX_QUEUE)
    assert net.sun.reasons() == ["resources"]
    sent = len(net.sent)
    assert add(net, net.moon, 17).kind == "local_refused"
    assert len(net.sent) == sent
    net.consistent()
    assert own(net.moon) == list(range(16))


def test_twice_the_number_of_workers_is_granted():
    net = joined((40, 10))
    assert [add(net, net.moon, worker).ok for worker in range(21)] == [True] * 20 + [False]
    assert sorted(own(net.sun)) == sorted([*range(10)] * 2)


@pytest.mark.parametrize("refuser", ["moon", "sun"])
def test_a_side_that_does_not_want_it_keeps_the_sa_for_all(refuser):
    """The peer without it ignores an unknown status notification (I13) and is never asked for more."""
    plain = connection()
    net = joined(moon=plain, sun=mirrored(per_cpu())) if refuser == "moon" else joined(sun=mirrored(plain))
    for host in net.hosts:
        assert add(net, host, 0).kind == "local_refused"
        assert not own(host)
    net.settled()


def test_refusal_of_every_additional_sa_ends_the_asking(monkeypatch):
    """A minimal peer answers NO_ADDITIONAL_SAS (RFC 7296 4)."""
    net = joined()
    minimal = Refusal(NotifyType.NO_ADDITIONAL_SAS, Because.RESOURCES, "only one")
    monkeypatch.setattr(resources, "admit", lambda *_: minimal)
    assert add(net, net.moon, 0).notify == NotifyType.NO_ADDITIONAL_SAS
    assert add(net, net.moon, 1).kind == "local_refused"
    net.settled()


@pytest.mark.parametrize("workers", [(0,), (0, 1), (1, 0)])
def test_both_sides_ask_at_once_and_every_worker_has_one(workers):
    """RFC 9611 5: additional SAs of both sides may cross; each is installed where there is least."""
    net = joined()
    operations = [(host, ask(net, host, worker)) for worker in workers for host in net.hosts]
    net.run(3)
    kinds = [host.outcome(operation).kind for host, operation in operations]
    assert kinds == ["established"] * 2 + ["closed"] * (len(kinds) - 2)
    assert own(net.moon) == own(net.sun) == [0, 1]
    net.consistent()


def test_an_own_sa_has_the_suite_of_the_one_for_all_although_the_responder_likes_another():
    """RFC 9611 4: cryptographic properties are those of the first."""
    moon = per_cpu(esp_proposals=esp("aes128gcm16-aes256gcm16"))
    net = joined(moon=moon, sun=mirrored(per_cpu(esp_proposals=esp("aes256gcm16-aes128gcm16"))))
    suite = next(iter(net.moon.plane.known.values())).suite
    assert add(net, net.sun, 0).ok
    assert add(net, net.moon, 1).ok
    assert {c.suite for host in net.hosts for c in host.plane.known.values()} == {suite}


def test_an_own_sa_with_perfect_forward_secrecy_recovers_from_another_group():
    proposals = esp("aes128gcm16-x25519-ecp256"), esp("aes128gcm16-ecp256")
    net = joined(moon=per_cpu(esp_proposals=proposals[0]), sun=mirrored(per_cpu(esp_proposals=proposals[1])))
    assert add(net, net.moon, 0).ok
    net.consistent()


@pytest.mark.parametrize("initiator", ["moon", "sun"])
def test_rekeyed_own_sa_stays_with_its_workers_and_the_others_stay(initiator):
    """RFC 9611 4: the new SA is bound to the resource of the old one."""
    net = joined()
    for worker in (0, 1):
        add(net, net.moon, worker)
    host = getattr(net, initiator)
    before = {c.worker: c.inbound_spi for c in children(host)}
    [old] = [c.id for c in children(host) if c.worker == 1]
    operation = host.engine.rekey_child(old, net.now)
    net.run(20)
    assert host.outcome(operation).kind == "rekeyed"
    after = {c.worker: c.inbound_spi for c in children(host)}
    assert {worker for worker in after if after[worker] != before[worker]} == {1}
    assert own(net.moon) == own(net.sun) == [0, 1]
    assert not net.moon.plane.outages
    net.consistent()


def test_rekeyed_sa_for_all_still_has_others_beside_it():
    net = joined()
    add(net, net.moon, 0)
    net.moon.engine.rekey_child(serving_all(net.moon), net.now)
    net.run(20)
    assert add(net, net.moon, 1).ok
    assert add(net, net.sun, 1).kind == "local_refused"
    assert own(net.moon) == own(net.sun) == [0, 1]
    net.consistent()


def test_both_sides_rekey_every_sa_at_once_and_one_of_each_is_left():
    """I82 for each SA of the group alone."""
    net = joined()
    for worker in (0, 1):
        add(net, net.moon, worker)
    for host in net.hosts:
        for one in children(host):
            host.engine.rekey_child(one.id, net.now)
    net.run(30)
    for host in net.hosts:
        assert sorted(c.state for c in children(host)) == ["installed"] * 3
        assert own(host) == [0, 1]
        assert not host.plane.outages
    net.consistent()


def test_granted_sa_is_sent_on_only_when_the_peer_is_known_to_receive():
    """RFC 7296 2.8: its answer may still be on the way, and the SA for all carries the packets until then."""
    net = joined()
    net.traffic = False
    add(net, net.moon, 0)
    assert net.sun.plane.current.keys() == {"net"}
    add(net, net.moon, 1)
    assert net.sun.plane.current.keys() == {"net", "net/0"}
    [spi] = [c.inbound_spi for c in children(net.sun) if c.worker == 1]
    net.sun.engine.inbound_traffic(spi, net.now)
    net.turn(net.sun)
    assert net.sun.plane.current.keys() == {"net", "net/0", "net/1"}


def test_granted_sa_on_which_nothing_comes_is_sent_on_when_the_peer_repeats_nothing():
    """RFC 7296 2.8: its request would come again if our answer had been lost."""
    net = joined()
    net.traffic = False
    answers = net.hold(net.sun)
    ask(net, net.moon, 0)
    net.run(60)
    assert len(answers.queue) == 5
    assert net.sun.plane.current.keys() == {"net"}
    answers.release()
    net.run(200)
    assert net.sun.plane.current.keys() == {"net", "net/0"}
    net.consistent()


def test_deleted_own_sa_leaves_the_rest_and_its_worker_may_ask_again():
    net = joined()
    for worker in (0, 1):
        add(net, net.moon, worker)
    [gone] = [c.id for c in children(net.sun) if c.worker == 1]
    net.traffic = False
    net.sun.engine.delete_child(gone, net.now)
    net.run(3)
    assert own(net.moon) == own(net.sun) == [0]
    assert add(net, net.moon, 1).ok
    net.consistent()


def test_own_sas_outlive_the_one_for_all_which_can_be_set_up_again():
    net = joined()
    add(net, net.moon, 0)
    net.traffic = False
    net.sun.engine.delete_child(serving_all(net.sun), net.now)
    net.run(3)
    assert own(net.moon) == own(net.sun) == [0]
    operation = net.initiate(net.moon)
    net.run(3)
    assert net.moon.outcome(operation).kind == "established"
    assert add(net, net.moon, 1).ok
    net.consistent()


def test_peer_that_lost_an_own_sa_gets_a_new_one_for_the_same_worker():
    """I85: CHILD_SA_NOT_FOUND."""
    net = joined()
    add(net, net.moon, 1)
    [spi] = [c.inbound_spi for c in children(net.sun) if c.worker is not None]
    sa, lost = net.sun.engine._context.children.pop(spi)
    del sa.children[spi]
    net.sun.plane._stop(lost.id)
    net.sun.plane.inbound.pop(net.sun.plane.known.pop(lost.id).inbound_spi)
    net.traffic = False
    [old] = [c.id for c in children(net.moon) if c.worker == 1]
    net.moon.engine.rekey_child(old, net.now)
    net.run(5)
    assert own(net.moon) == [1]
    net.lost.clear()
    net.consistent()


def test_ike_rekey_takes_the_whole_group_along_and_what_waits_is_asked_on_the_new_one():
    net = joined()
    add(net, net.moon, 0)
    net.moon.engine.rekey_ike(net.moon.ike(), net.now)
    operation = ask(net, net.moon, 1)
    net.run(20)
    assert net.moon.outcome(operation).ok
    assert own(net.moon) == own(net.sun) == [0, 1]
    net.consistent()


@pytest.mark.parametrize("seed", range(12))
def test_lost_and_late_messages_end_with_the_same_group_on_both_sides(seed):
    net = joined((3, 3), seed=seed, settings=Settings(retransmit_tries=20, retransmit_base=1.2))

    def fate(network: Network, host: Host, datagram: object) -> list[float]:
        return [network.random.uniform(0.01, 1.5) for _ in range(network.random.choice((0, 1, 1, 2)))]

    net.fate = fate
    operations = [(host, ask(net, host, worker)) for worker in range(3) for host in net.hosts]
    assert net.run(600, lambda: all(host.outcome(operation) for host, operation in operations))
    net.fate = None
    net.run(30)
    for host in net.hosts:
        assert set(own(host)) == {0, 1, 2}
    net.consistent()


def test_a_worker_whose_peer_is_busy_hears_so_and_may_ask_again():
    """I88: TEMPORARY_FAILURE while the peer rekeys the IKE SA."""
    net = joined()
    held = net.hold(net.moon)
    operation = ask(net, net.moon, 0)
    net.sun.engine.rekey_ike(net.sun.ike(), net.now)
    net.turn(net.sun)
    held.release()
    net.run(20)
    assert net.moon.outcome(operation).notify == NotifyType.TEMPORARY_FAILURE
    assert add(net, net.moon, 0).ok


def test_esp_from_a_port_of_its_own_moves_nothing():
    """The peer may give each SA of a worker its own source port; what we send goes where it went."""
    net = joined(moon=replace(per_cpu(), encap=True))
    add(net, net.moon, 0)
    [spi] = [c.inbound_spi for c in children(net.sun) if c.worker is not None]
    net.sun.engine.peer_moved(spi, Endpoint(net.moon.endpoint.address, 61234), net.now)
    net.turn(net.sun)
    assert not [event for event in net.sun.of(ev.EndpointChanged) if event.remote.port == 61234]


def test_request_for_a_worker_under_a_policy_without_any_is_an_ordinary_one():
    """Unknown status notifications are ignored (I13); two identical SAs are allowed (RFC 7296 1.3.1)."""
    net = network(per_cpu(), mirrored(connection()))
    operation = net.initiate(net.moon)
    net.run(5)
    assert net.moon.outcome(operation).ok
    assert not children(net.sun)[0].worker
    assert not next(iter(net.moon.plane.known.values())).per_resource
