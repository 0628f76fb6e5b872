"""Setting up an IKE SA and its first child, through every kind of trouble."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise, product

import pytest
from scenarios import SECRET, child, connection, established, ike, mirrored, network

from ironswan.ike import events as ev
from ironswan.policy.connection import LocalAuth, RemoteAuth, Settings
from ironswan.policy.identity import Identity, IdType
from ironswan.policy.proposals import parse_proposal
from ironswan.policy.transforms import Protocol

KE_METHODS = ["x25519", "ecp256", "ecp384", "ecp521", "modp2048", "modp3072", "modp4096"]


def test_psk_handshake_installs_mirrored_child_sas():
    net = established()
    net.run(1)
    net.consistent()
    assert len(net.moon.plane.known) == len(net.sun.plane.known) == 1
    assert [e.remote_id for e in net.moon.of(ev.IkeEstablished)] == ["sun.example"]
    assert [e.remote_id for e in net.sun.of(ev.IkeEstablished)] == ["moon.example"]


@pytest.mark.parametrize("method", KE_METHODS)
def test_handshake_with_each_key_exchange_method(method):
    established(connection(proposals=ike(f"aes128gcm16-prfsha256-{method}"))).consistent()


@pytest.mark.parametrize("lost", [p for p in product([False, True], repeat=4) if any(p)])
def test_handshake_survives_each_loss_pattern_of_its_first_four_messages(lost):
    net = network()
    count = iter([*lost])
    net.fate = lambda network, host, datagram: [] if next(count, False) else [network.delay]
    operation = net.initiate(net.moon)
    net.run(60)
    assert net.moon.outcome(operation).kind == "established"
    net.consistent()
    assert len(net.moon.plane.known) == 1


@pytest.mark.parametrize("seed", range(15))
def test_handshake_survives_random_loss_duplication_and_reordering(seed):
    net = network(seed=seed)
    net.fate = lambda n, host, datagram: [n.random.random() * 2 for _ in range(n.random.choice([0, 1, 1, 2, 3]))]
    operation = net.initiate(net.moon)
    net.run(400)
    assert net.moon.outcome(operation).kind == "established"
    net.consistent()


def test_retransmissions_are_identical_and_back_off():
    """I16, I20."""
    net = network()
    net.fate = lambda network, host, datagram: []
    operation = net.initiate(net.moon)
    net.run(400)
    assert net.moon.outcome(operation).kind == "timeout"
    assert len({d.data for _, _, d in net.sent}) == 1
    times = [when for when, _, _ in net.sent]
    gaps = [b - a for a, b in pairwise(times)]
    assert len(times) == 6
    assert all(later > 1.5 * earlier for earlier, later in pairwise(gaps))


def test_keyingtries_zero_tries_for_ever():
    net = network(connection(keyingtries=0))
    net.fate = lambda network, host, datagram: []
    operation = net.initiate(net.moon)
    net.run(2000)
    assert net.moon.outcome(operation) is None
    net.fate = None
    net.run(200)
    assert net.moon.outcome(operation).kind == "established"


def test_wrong_secret_is_named_on_both_sides():
    """I67: the initiator learns AUTHENTICATION_FAILED, the responder's log says what to check."""
    net = network(sun_secret=replace(SECRET, secret=b"another"))
    operation = net.initiate(net.moon)
    net.run(5)
    outcome = net.moon.outcome(operation)
    assert outcome.kind == "peer_refused"
    assert "AUTHENTICATION_FAILED" in outcome.message
    assert "secret for moon.example and sun.example is the same on both sides" in outcome.message
    assert "authentication" in net.sun.reasons()
    assert not net.moon.engine.snapshot(net.now)
    assert not net.sun.engine.snapshot(net.now)


def test_initiator_that_distrusts_the_responder_tells_it():
    """I67: the responder holds the IKE SA to be established, so the refusal is an exchange of its own."""
    moon = connection()
    net = network(moon, mirrored(moon))
    held = net.hold(net.sun)
    net.initiate(net.moon)
    net.run(1)
    held.deliver()
    net.run(1)
    net.moon.engine._context.sas[next(iter(net.moon.engine._context.sas))].task.secret = b"changed meanwhile"
    held.release()
    net.run(5)
    assert net.moon.of(ev.OperationDone)[0].outcome.kind == "local_refused"
    assert not net.sun.engine.snapshot(net.now)
    assert not net.sun.plane.inbound


def test_unknown_identity_is_refused():
    """I60."""
    moon = connection()
    net = network(moon, mirrored(moon, remote=replace(moon.remote)))
    operation = net.initiate(net.moon)
    net.run(5)
    assert net.moon.outcome(operation).notify == 24
    assert "unknown_identity" in net.sun.reasons()


def test_no_common_ike_proposal_is_explained():
    moon = connection()
    net = network(moon, mirrored(moon, proposals=ike("aes256gcm16-prfsha384-ecp384")))
    operation = net.initiate(net.moon)
    net.run(5)
    outcome = net.moon.outcome(operation)
    assert outcome.kind == "peer_refused"
    assert "NO_PROPOSAL_CHOSEN" in outcome.message
    assert "no_proposal" in net.sun.reasons()
    assert not net.sun.engine.snapshot(net.now)


def test_child_without_common_proposal_keeps_the_ike_sa():
    """I68."""
    moon = connection()
    sun = mirrored(
        moon,
        children=(
            child(
                local="10.2.0.0/16",
                remote="10.1.0.0/16",
                esp_proposals=(parse_proposal("chacha20poly1305", Protocol.ESP),),
            ),
        ),
    )
    net = network(moon, sun)
    operation = net.initiate(net.moon)
    net.run(5)
    assert net.moon.outcome(operation).notify == 14
    assert [s.state for s in net.moon.engine.snapshot(net.now)] == ["established"]
    assert [s.state for s in net.sun.engine.snapshot(net.now)] == ["established"]
    assert net.moon.released


def test_wrong_key_exchange_guess_is_corrected_with_the_full_proposals():
    """I33."""
    moon = connection(proposals=ike("aes128gcm16-prfsha256-x25519-ecp256"))
    net = established(moon, mirrored(moon, proposals=ike("aes128gcm16-prfsha256-ecp256")))
    net.consistent()
    assert "wrong_ke" in net.sun.reasons()


@pytest.mark.parametrize("wrong_guess", [False, True])
def test_cookies_are_asked_for_above_the_threshold_and_answered(wrong_guess):
    """I29, I32: with a wrong key exchange guess at the same time the cookie is kept."""
    moon = connection(proposals=ike("aes128gcm16-prfsha256-x25519-ecp256"))
    sun = mirrored(moon, proposals=ike("aes128gcm16-prfsha256-ecp256")) if wrong_guess else mirrored(moon)
    net = network(moon, sun, sun_settings=Settings(cookie_threshold=1, half_open_timeout=30.0))
    held = net.hold(net.sun)
    net.initiate(net.moon)
    net.run(1)
    net.moon.engine.delete_ike(net.moon.engine.snapshot(net.now)[0].id, net.now)
    if wrong_guess:
        held.release()
        net.sun.engine._context._half_open = 1
    else:
        held.drop()
        held.release()
    operation = net.initiate(net.moon)
    net.run(5)
    assert "cookie_needed" in net.sun.reasons()
    assert net.moon.outcome(operation).kind == "established"


def test_flood_of_requests_leaves_bounded_state():
    """T01, I30: above the threshold nothing is kept of a request without a cookie."""
    net = network(sun_settings=Settings(cookie_threshold=5))
    for _ in range(40):
        operation = net.initiate(net.moon)
        net.moon.engine.take_events()
        [datagram] = net.moon.engine.take_datagrams()
        net.sun.engine.receive(type(datagram)(datagram.remote, datagram.local, datagram.data), net.now)
        net.moon.engine.delete_ike(net.moon.engine.snapshot(net.now)[0].id, net.now)
    assert operation
    assert len(net.sun.engine.snapshot(net.now)) == 5
    net.run(60)
    assert not net.sun.engine.snapshot(net.now)
    assert not net.sun.engine._context.sas


def test_narrowing_yields_what_both_allow():
    """I74."""
    moon = connection((child(remote="10.2.0.0/16"),))
    net = established(moon, mirrored(moon, children=(child(local="10.2.3.0/24", remote="10.0.0.0/8"),)))
    net.consistent()
    installed = net.moon.of(ev.ChildInstalled)[0].child
    assert [(str(t.start), str(t.end)) for t in installed.ts_remote] == [("10.2.3.0", "10.2.3.255")]
    assert [(str(t.start), str(t.end)) for t in installed.ts_local] == [("10.1.0.0", "10.1.255.255")]


def test_selectors_without_overlap_keep_the_ike_sa():
    """I68, I74."""
    moon = connection()
    net = network(moon, mirrored(moon, children=(child(local="172.16.0.0/12", remote="10.1.0.0/16"),)))
    operation = net.initiate(net.moon)
    net.run(5)
    assert net.moon.outcome(operation).notify == 38
    assert "selectors" in net.sun.reasons()
    assert net.moon.engine.snapshot(net.now)[0].state == "established"


def test_same_child_is_not_initiated_twice():
    net = network()
    first, second = net.initiate(net.moon), net.initiate(net.moon)
    net.run(5)
    assert first == second
    assert len(net.moon.plane.known) == 1
    assert net.moon.outcome(net.initiate(net.moon)) is None
    net.run(1)
    assert len(net.moon.plane.known) == 1


def test_all_children_of_a_connection_share_one_ike_sa():
    moon = connection((child(), child("voice", "10.3.0.0/16", "10.4.0.0/16")))
    net = network(moon)
    operation = net.initiate(net.moon, child=None)
    net.run(5)
    assert net.moon.outcome(operation).ok
    net.consistent()
    assert len(net.moon.of(ev.IkeEstablished)) == 1
    assert sorted(c.name for c in net.sun.plane.known.values()) == ["net", "voice"]


def test_large_messages_go_in_fragments_and_small_datagrams():
    """I106, I107: no datagram is larger than what was configured."""
    children = tuple(child("net", "10.1.0.0/16", "10.2.0.0/16") for _ in range(1))
    many = replace(
        children[0],
        local_ts=tuple(child(local=f"10.1.{n}.0/24").local_ts[0] for n in range(60)),
        remote_ts=tuple(child(local=f"10.2.{n}.0/24").local_ts[0] for n in range(60)),
    )
    net = established(connection((many,)), settings=Settings(fragment_size=576))
    net.consistent()
    assert max(len(d.data) for _, _, d in net.sent) <= 576 - 32
    assert len(net.sent) > 6


@pytest.mark.parametrize("seed", range(8))
def test_fragments_survive_loss_and_reordering(seed):
    many = replace(child(), local_ts=tuple(child(local=f"10.1.{n}.0/24").local_ts[0] for n in range(100)))
    net = network(connection((many,)), settings=Settings(fragment_size=576), seed=seed)
    net.fate = lambda n, host, datagram: [n.random.random() for _ in range(n.random.choice([0, 1, 1, 1, 2]))]
    operation = net.initiate(net.moon)
    net.run(400)
    assert net.moon.outcome(operation).kind == "established"
    net.consistent()
    assert len(net.moon.plane.known) == 1


def test_unfragmented_when_the_peer_does_not_announce_it():
    many = replace(child(), local_ts=tuple(child(local=f"10.1.{n}.0/24").local_ts[0] for n in range(100)))
    moon = connection((many,))
    net = established(moon, mirrored(moon, fragmentation="no"))
    assert max(len(d.data) for _, _, d in net.sent) > 1280


def test_initiator_that_expects_anyone_finds_the_secret_by_its_own_identity():
    moon = connection(remote=RemoteAuth(id=None))
    net = established(moon, mirrored(connection()))
    net.consistent()


def test_holder_of_a_secret_may_not_claim_an_identity_it_does_not_belong_to():
    """I60: sun may know the secret of moon and sun, but it is not mars."""
    mars = Identity(IdType.FQDN, b"mars.example")
    net = network(connection(remote=RemoteAuth(id=None)), mirrored(connection(), local=LocalAuth(id=mars)))
    net.sun.engine._context.configuration = replace(
        net.sun.engine._context.configuration, secrets=(replace(SECRET, ids=()),)
    )
    operation = net.initiate(net.moon)
    net.run(5)
    outcome = net.moon.outcome(operation)
    assert outcome.kind == "local_refused"
    assert "mars.example" in outcome.message
    assert not net.sun.engine.snapshot(net.now)


def test_responder_chooses_the_connection_by_identity_among_those_that_fit_by_address():
    moon = connection()
    sun = mirrored(moon, remote_addrs=("%any",))
    other = replace(sun, name="other", remote=RemoteAuth(id=Identity(IdType.FQDN, b"mars.example")))
    net = network(moon, sun)
    configuration = net.sun.engine._context.configuration
    net.sun.engine.set_configuration(replace(configuration, connections=(other, sun)), net.now)
    operation = net.initiate(net.moon)
    net.run(5)
    assert net.moon.outcome(operation).ok
    assert net.sun.engine.snapshot(net.now)[0].connection == "gw"


def test_packet_that_asked_for_the_child_goes_first_in_the_selectors():
    """I74: the responder's answer still covers the policy."""
    net = network()
    packet = (ip_address("10.1.0.5"), ip_address("10.2.0.7"), 17, 40000, 53)
    operation = net.initiate(net.moon, packet=packet)
    net.run(5)
    assert net.moon.outcome(operation).ok
    net.consistent()
    covered = [(str(t.start), str(t.end)) for t in net.moon.of(ev.ChildInstalled)[0].child.ts_remote]
    assert ("10.2.0.0", "10.2.255.255") in covered
