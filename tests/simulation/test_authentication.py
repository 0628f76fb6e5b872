"""Who may be who: identities, proofs and suites that one side says and the other must not believe (RFC 7296 2.15).

Messages are changed on the way and sealed again with their sender's own keys, as a dishonest peer would send them.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from protected import payloads_of, resealed
from scenarios import SECRET, connection, ike, mirrored, network

from ironswan.ike import events as ev
from ironswan.policy.connection import LocalAuth, RemoteAuth
from ironswan.policy.identity import Identity, IdType
from ironswan.wire.auth import AuthPayload
from ironswan.wire.identification import IdPayload

MARS = Identity(IdType.FQDN, b"mars.example")
GROUP = replace(SECRET, ids=())
RSA_SIGNATURE, SHARED_KEY, DIGITAL_SIGNATURE, NULL = 1, 2, 14, 13


def with_secrets(host, *secrets):
    host.engine.set_configuration(replace(host.engine._context.configuration, secrets=secrets), 0.0)


def authenticating(net):
    """Moon's IKE_AUTH request waits to be delivered."""
    held = net.hold(net.moon)
    operation = net.initiate(net.moon)
    net.turn(net.moon)
    held.deliver()
    net.run(0.2)
    [request] = held.queue
    return held, request, operation


def change_request(net, change):
    held, request, operation = authenticating(net)
    held.queue[0] = resealed(net.moon, request, changed(payloads_of(net.moon, request), change))
    held.release()
    net.run(10)
    return operation


def change_answer(net, change):
    held, _, operation = authenticating(net)
    answers = net.hold(net.sun)
    held.release()
    net.run(0.2)
    [answer] = answers.queue
    answers.queue[0] = resealed(net.sun, answer, changed(payloads_of(net.sun, answer), change))
    answers.release()
    net.run(10)
    return operation


def changed(payloads, change):
    after = tuple(new for old in payloads for new in change(old))
    assert after != payloads
    return after


def nobody_is_in(net):
    for host in net.hosts:
        assert not host.plane.known
        assert not host.engine.snapshot(net.now)
    assert not net.moon.of(ev.IkeEstablished)


def without_expected_identity(payload):
    return () if isinstance(payload, IdPayload) and not payload.initiator else (payload,)


def test_holder_of_the_group_secret_is_still_not_the_peer_we_expect():
    """Mars can prove that it is mars. Moon goes to sun, and to nobody else who knows the secret."""
    moon = connection()
    net = network(moon, mirrored(moon, local=LocalAuth(id=MARS)))
    for host in net.hosts:
        with_secrets(host, GROUP)
    operation = change_request(net, without_expected_identity)
    outcome = net.moon.outcome(operation)
    assert outcome.kind == "local_refused"
    assert "the peer says it is mars.example, not sun.example" in outcome.message
    nobody_is_in(net)


def test_holder_of_the_group_secret_may_be_anyone_where_anyone_is_expected():
    """The counterpart: the same exchange, taken."""
    moon = connection(remote=RemoteAuth(id=None))
    net = network(moon, mirrored(connection(), local=LocalAuth(id=MARS)))
    for host in net.hosts:
        with_secrets(host, GROUP)
    operation = net.initiate(net.moon)
    net.run(10)
    assert net.moon.outcome(operation).ok
    assert [e.remote_id for e in net.moon.of(ev.IkeEstablished)] == ["mars.example"]


def test_initiator_with_an_identity_that_no_connection_expects_is_refused():
    moon = connection(local=LocalAuth(id=MARS))
    net = network(moon, mirrored(connection()))
    for host in net.hosts:
        with_secrets(host, GROUP)
    operation = net.initiate(net.moon)
    net.run(10)
    assert net.moon.outcome(operation).kind == "peer_refused"
    assert "unknown_identity" in net.sun.reasons()
    nobody_is_in(net)


def with_auth(**changes):
    def change(payload):
        if not isinstance(payload, AuthPayload):
            return (payload,)
        if changes.get("cut"):
            return (replace(payload, data=payload.data[: -changes["cut"]]),)
        if changes.get("flip"):
            return (replace(payload, data=payload.data[:-1] + bytes([payload.data[-1] ^ 1])),)
        if changes.get("gone"):
            return ()
        return (replace(payload, **changes),)

    return change


FALSE_PROOFS = {
    "method RSA": with_auth(method=RSA_SIGNATURE),
    "method digital signature": with_auth(method=DIGITAL_SIGNATURE),
    "method NULL (RFC 7619)": with_auth(method=NULL),
    "one bit": with_auth(flip=True),
    "cut short": with_auth(cut=1),
    "one octet": with_auth(cut=31),
    "zeros": with_auth(data=bytes(32)),
    "none": with_auth(gone=True),
}
PROOFS = pytest.mark.parametrize("change", FALSE_PROOFS.values(), ids=FALSE_PROOFS)


@PROOFS
def test_initiator_without_the_right_proof_is_refused(change):
    net = network()
    operation = change_request(net, change)
    assert net.moon.outcome(operation).kind == "peer_refused"
    assert net.moon.outcome(operation).notify == 24
    assert not net.sun.of(ev.IkeEstablished)
    nobody_is_in(net)


@PROOFS
def test_responder_without_the_right_proof_is_refused(change):
    net = network()
    operation = change_answer(net, change)
    assert net.moon.outcome(operation).kind == "local_refused"
    nobody_is_in(net)


def other_identity(payload):
    return (replace(payload, identity=MARS),) if isinstance(payload, IdPayload) else (payload,)


@pytest.mark.parametrize("change_one", [change_request, change_answer])
def test_identity_is_covered_by_the_proof(change_one):
    """RFC 7296 2.15: MACedIDForI and MACedIDForR; the secret alone does not say who its holder is."""
    moon = connection(remote=RemoteAuth(id=None))
    net = network(moon, replace(mirrored(connection()), remote=RemoteAuth(id=None)))
    for host in net.hosts:
        with_secrets(host, GROUP)
    operation = change_one(net, other_identity)
    assert not net.moon.outcome(operation).ok
    nobody_is_in(net)


def test_suite_of_one_connection_is_not_good_enough_for_the_peer_of_another():
    """Until the peer says who it is, any connection of its address will do; then its own must allow the suite."""
    weak, strong = ike("aes128gcm16-prfsha256-x25519"), ike("aes256gcm16-prfsha384-x25519")
    moon = connection(proposals=weak)
    ours = mirrored(moon, proposals=strong)
    net = network(moon, ours)
    lax = replace(ours, name="lax", remote=RemoteAuth(id=MARS), proposals=weak)
    configuration = net.sun.engine._context.configuration
    net.sun.engine.set_configuration(replace(configuration, connections=(lax, ours)), net.now)
    operation = net.initiate(net.moon)
    net.run(10)
    assert net.moon.outcome(operation).notify == 24
    assert "unknown_identity" in net.sun.reasons()
    nobody_is_in(net)
