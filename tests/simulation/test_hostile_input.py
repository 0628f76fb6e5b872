"""Random, mutated and replayed datagrams never raise, never change an SA, never get more back than they cost."""

from __future__ import annotations

import random

import pytest
from scenarios import connection, established, network
from simulator import endpoint

from ironswan.ike import events as ev
from ironswan.ike.types import Datagram
from ironswan.wire.message import write_message
from ironswan.wire.notify import NotifyPayload

QUIET = (ev.Rejected,)


def mutate(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    kind = rng.randrange(6)
    if kind == 0 or not changed:
        return rng.randbytes(rng.randrange(0, 200))
    if kind == 1:
        return bytes(changed[: rng.randrange(len(changed))])
    if kind == 2:
        changed += rng.randbytes(rng.randrange(1, 40))
    for _ in range(rng.randrange(1, 4)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    if kind >= 4 and len(changed) >= 28:
        changed[24:28] = len(changed).to_bytes(4, "big")
    return bytes(changed)


@pytest.mark.parametrize("seed", range(10))
def test_mutated_datagrams_change_nothing_on_an_established_sa(seed):
    net = established(seed=seed)
    net.traffic = False
    net.moon.engine.rekey_child(net.moon.child(), net.now)
    net.run(20)
    recorded = [(host, d) for _, host, d in net.sent]
    before = [host.engine.snapshot(net.now) for host in net.hosts]
    seen = [len([e for e in host.events if not isinstance(e, QUIET)]) for host in net.hosts]
    rng = random.Random(seed)
    for _ in range(1500):
        host, datagram = rng.choice(recorded)
        data = mutate(rng, datagram.data)
        if data == datagram.data:
            continue
        source = rng.choice([datagram.local, endpoint("203.0.113.66", 500)])
        host.peer.engine.receive(Datagram(datagram.remote, source, data), net.now)
        answers = host.peer.engine.take_datagrams()
        assert sum(len(a.data) for a in answers) <= max(len(data), 600)
        for event in host.peer.engine.take_events():
            host.peer.events.append(event)
    for host, snapshot, count in zip(net.hosts, before, seen, strict=True):
        ours = [sa for sa in host.engine.snapshot(net.now) if sa.state == "established"]
        assert tuple(ours) == snapshot
        assert len([e for e in host.events if not isinstance(e, QUIET)]) == count
    operation = net.moon.engine.rekey_child(net.moon.child(), net.now)
    net.run(20)
    assert net.moon.outcome(operation).kind == "rekeyed"


@pytest.mark.parametrize("seed", range(10))
def test_mutated_datagrams_never_raise_during_a_handshake_and_it_still_succeeds(seed):
    """Every datagram is preceded by three mutations of itself."""
    net = network(seed=seed)
    rng = random.Random(seed)

    def fate(n, host, datagram):
        for _ in range(3):
            data = mutate(rng, datagram.data)
            if data[18:19] != b"\x22" or not data[19:20] or not data[19] & 0x20:
                host.peer.engine.receive(Datagram(datagram.remote, datagram.local, data), n.now)
                host.peer.engine.take_datagrams()
        return [n.delay]

    net.fate = fate
    operation = net.initiate(net.moon)
    net.run(400)
    outcome = net.moon.outcome(operation)
    assert outcome.kind == "established", outcome


@pytest.mark.parametrize("seed", range(10))
def test_forged_answers_to_the_first_request_never_raise(seed):
    """They are unprotected, so they may end the attempt, but nothing else."""
    net = network(seed=seed)
    rng = random.Random(seed)
    held = net.hold(net.sun)
    net.initiate(net.moon)
    net.run(1)
    answer = held.queue[0]
    for _ in range(500):
        net.moon.engine.receive(Datagram(answer.remote, answer.local, mutate(rng, answer.data)), net.now)
        net.moon.engine.take_datagrams()
        for event in net.moon.engine.take_events():
            assert isinstance(event, ev.Rejected | ev.OperationDone)


def test_replay_of_everything_changes_nothing():
    """T14, I18: each recorded datagram once more, in order and reversed."""
    net = established()
    net.traffic = False
    net.moon.engine.rekey_child(net.moon.child(), net.now)
    net.run(20)
    before = [host.engine.snapshot(net.now) for host in net.hosts]
    recorded = [(host, d) for _, host, d in net.sent]
    for host, datagram in recorded + recorded[::-1]:
        host.peer.engine.receive(Datagram(datagram.remote, datagram.local, datagram.data), net.now)
        host.peer.engine.take_datagrams()
    assert [host.engine.snapshot(net.now) for host in net.hosts] == before


def test_create_child_before_authentication_is_not_legal():
    """T11: a request under the right keys, but before IKE_AUTH."""
    from ironswan.ike import protect

    net = network()
    net.initiate(net.moon)
    held = net.hold(net.moon)
    net.run(1)
    [sa] = net.moon.engine._context.sas.values()
    assert sa.state.value == "init-sent"
    held.deliver()
    net.run(0.2)
    held.drop()
    for exchange in (36, 37, 34, 99):
        for data in protect.seal(sa, exchange, 1, (), response=False):
            net.sun.engine.receive(Datagram(net.sun.endpoint, net.moon.endpoint, data), net.now)
    net.turn(net.sun)
    assert [s.state for s in net.sun.engine.snapshot(net.now)] == ["half-open"]
    assert "not_legal" in net.sun.reasons()


def test_higher_major_version_is_answered_once_and_dropped():
    """I02."""
    net = network()
    net.initiate(net.moon)
    [datagram] = net.moon.engine.take_datagrams()
    data = bytearray(datagram.data)
    data[17] = 0x30
    net.sun.engine.receive(Datagram(datagram.remote, datagram.local, bytes(data)), net.now)
    [reply] = net.sun.engine.take_datagrams()
    assert reply.data[19] & 0x20
    assert not net.sun.engine.snapshot(net.now)


def test_unknown_spi_is_answered_unprotected_and_rate_limited():
    """I12, I28."""
    net = established()
    net.traffic = False
    data = bytearray(net.sent[-2][2].data)
    data[8:16] = bytes(range(8))
    count = 0
    for _ in range(1000):
        net.sun.engine.receive(Datagram(net.sun.endpoint, net.moon.endpoint, bytes(data)), net.now)
        count += len(net.sun.engine.take_datagrams())
    assert 1 <= count <= 50


@pytest.mark.parametrize(("number", "total"), [(0, 2), (3, 2), (1, 65535)])
def test_fragments_that_make_no_sense_are_dropped_in_silence(number, total):
    """I108, T04."""
    from ironswan.ike.protect import _seal_one

    net = established()
    net.traffic = False
    [sa] = net.moon.engine._context.sas.values()
    data = _seal_one(sa, 37, sa.requests.next_id, b"", 0, response=False, place=(number, total))
    net.sun.engine.receive(Datagram(net.sun.endpoint, net.moon.endpoint, data), net.now)
    assert not net.sun.engine.take_datagrams()
    [theirs] = net.sun.engine._context.sas.values()
    assert theirs.reassembly.held == 0


def test_fragments_are_kept_within_bounds_and_time():
    """I109, I112, T04."""
    from ironswan.ike.protect import _seal_one

    net = established()
    net.traffic = False
    [sa] = net.moon.engine._context.sas.values()
    [theirs] = net.sun.engine._context.sas.values()
    for number in range(2, 200):
        data = _seal_one(sa, 37, sa.requests.next_id, bytes(1000), 0, response=False, place=(number, 200))
        net.sun.engine.receive(Datagram(net.sun.endpoint, net.moon.endpoint, data), net.now)
        assert theirs.reassembly.held <= 65535
    assert not net.sun.engine.take_datagrams()
    net.run(60)
    assert theirs.reassembly.held == 0


def test_invalid_public_value_in_the_first_request_is_met_with_silence():
    """I38: a value of low order; no state, no answer."""
    net = network()
    net.initiate(net.moon)
    [sa] = net.moon.engine._context.sas.values()
    [datagram] = net.moon.engine.take_datagrams()
    data = datagram.data.replace(sa.task.state.public, bytes(32))
    net.sun.engine.receive(Datagram(datagram.remote, datagram.local, data), net.now)
    net.turn(net.sun)
    assert not net.sent
    assert not net.sun.engine.snapshot(net.now)
    assert net.sun.reasons() == ["bad_ke"]


def forged_refusal(net, notify):
    """An unprotected error in answer to moon's first request, from wherever."""
    [sa] = net.moon.engine._context.sas.values()
    data = write_message(
        sa.spi_i, bytes(8), 34, initiator=False, response=True, message_id=0, payloads=(NotifyPayload(notify),)
    )  # fmt: skip
    return Datagram(net.moon.endpoint, endpoint("203.0.113.9"), data)


@pytest.mark.parametrize("notify", [7, 14, 24, 9999])
def test_forged_refusal_does_not_keep_the_peers_answer_from_being_heard(notify):
    """RFC 7296 2.21.1: errors in answer to IKE_SA_INIT are not protected, those of unknown types neither."""
    net = network(connection(keyingtries=1))
    operation = net.initiate(net.moon)
    held = net.hold(net.sun)
    net.run(1)
    for _ in range(3):
        net.moon.engine.receive(forged_refusal(net, notify), net.now)
        net.turn(net.moon)
    net.run(1)
    assert net.moon.outcome(operation) is None
    held.release()
    net.run(2)
    assert net.moon.outcome(operation).kind == "established"
    assert net.moon.reasons() == ["peer_refused"]


def test_refusal_ends_the_attempt_when_no_better_answer_comes_before_the_next_retransmission():
    net = network(connection(keyingtries=0))
    operation = net.initiate(net.moon)
    net.hold(net.sun)
    net.run(1)
    net.moon.engine.receive(forged_refusal(net, 14), net.now)
    net.run(4)
    assert net.moon.outcome(operation).notify == 14
    assert [host for _, host, _ in net.sent].count(net.moon) == 1
    assert not net.moon.engine.snapshot(net.now)
    assert net.moon.engine.next_deadline() is None


def test_refusal_counts_for_the_request_it_answers_and_not_for_the_one_with_a_cookie():
    net = network(connection(keyingtries=1))
    operation = net.initiate(net.moon)
    net.hold(net.sun)
    net.run(1)
    net.moon.engine.receive(forged_refusal(net, 14), net.now)
    [sa] = net.moon.engine._context.sas.values()
    cookie = write_message(
        sa.spi_i, bytes(8), 34, initiator=False, response=True, message_id=0, payloads=(NotifyPayload(16390, b"c"),)
    )
    net.moon.engine.receive(Datagram(net.moon.endpoint, net.sun.endpoint, cookie), net.now)
    net.run(20)
    assert net.moon.outcome(operation) is None


def test_endless_cookie_and_key_exchange_retries_are_cut_short():
    """I32: a forger that always asks for another cookie costs a bounded number of requests."""
    net = network()
    net.initiate(net.moon)
    held = net.hold(net.moon)
    [sa] = net.moon.engine._context.sas.values()
    for n in range(50):
        data = write_message(
            sa.spi_i,
            bytes(8),
            34,
            initiator=False,
            response=True,
            message_id=0,
            payloads=(NotifyPayload(16390, bytes([n]) * 8),),
        )
        net.moon.engine.receive(Datagram(net.moon.endpoint, net.sun.endpoint, data), net.now)
        net.turn(net.moon)
    assert len(held.queue) <= 6
    assert "retry_limit" in net.moon.reasons()
