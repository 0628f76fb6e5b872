"""Who a peer says it is and whom it asks for: compared, covered by AUTH, and never more than a name (I03, I60)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scenarios import MOON, MOON_ID, SECRET, SUN, SUN_ID, child, connection, mirrored, network
from simulator import Host, Network

from ironswan.crypto.auth import psk_auth, signed_octets
from ironswan.ike import events as ev
from ironswan.ike import protect
from ironswan.ike.auth import AuthTask
from ironswan.ike.payloads import notify
from ironswan.ike.types import Datagram
from ironswan.policy.connection import Configuration, LocalAuth, Settings
from ironswan.policy.identity import Identity, IdType
from ironswan.wire import identification
from ironswan.wire.auth import AuthPayload
from ironswan.wire.identification import IdPayload
from ironswan.wire.numbers import ExchangeType, NotifyType


def authenticate(mine: IdPayload, yours: IdPayload | None = None) -> Network:
    """Moon's IKE_AUTH with ID payloads of the test's choice, and the right AUTH for them, arrives at sun."""
    net = network(connection(()))
    net.initiate(net.moon, "gw", None)
    held = net.hold(net.moon)
    net.run(0.01)
    held.deliver()
    net.run(0.2)
    [sa] = net.moon.engine._context.sas.values()
    body = identification.write(mine)
    octets = signed_octets(sa.suite.prf, sa.init_request, sa.nonce_r, sa.keys.sk_pi, body)
    proof = AuthPayload(2, psk_auth(sa.suite.prf, SECRET.secret, octets))
    payloads = (mine, *((yours,) if yours else ()), proof)
    for data in protect.seal(sa, ExchangeType.IKE_AUTH, 1, payloads, response=False):
        net.sun.engine.receive(Datagram(net.sun.endpoint, net.moon.endpoint, data), net.now)
    net.turn(net.sun)
    return net


@pytest.mark.parametrize("reserved", [bytes(3), b"\1\2\3"])
def test_reserved_octets_of_an_identity_mean_nothing_and_are_covered_by_auth(reserved):
    """I03, I58: prf(SK_p, ID body) is over the body as it was sent."""
    net = authenticate(IdPayload(True, MOON_ID, reserved))
    assert [event.remote_id for event in net.sun.of(ev.IkeEstablished)] == ["moon.example"]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        (SUN_ID, True),
        (Identity(IdType.FQDN, b"SUN.Example"), True),
        (Identity(IdType.FQDN, b"*.example"), False),
        (Identity(IdType.FQDN, b"*"), False),
        (Identity(IdType.FQDN, b"%any"), False),
        (Identity(IdType.KEY_ID, b"sun.example"), False),
    ],
)
def test_a_peer_asks_for_an_identity_by_its_name_and_not_by_a_pattern(asked, meant):
    net = authenticate(IdPayload(True, MOON_ID), IdPayload(False, asked))
    assert bool(net.sun.of(ev.IkeEstablished)) is meant
    assert net.sun.reasons() == ([] if meant else ["unknown_identity"])


def test_an_identity_that_is_longer_than_any_is_not_looked_at():
    """T22."""
    net = authenticate(IdPayload(True, Identity(IdType.FQDN, b"m" * 1025)))
    assert net.sun.reasons() == ["malformed"]


def test_no_secret_is_in_the_repr_of_a_task():
    """T21."""
    assert "secret" not in repr(AuthTask([], None, 1, b"a secret of both"))


@pytest.fixture
def contacts(monkeypatch) -> list[bool]:
    """Whether each IKE_AUTH request that is built has INITIAL_CONTACT."""
    found: list[bool] = []
    build = AuthTask.build

    def built(self, sa, now):
        payloads = build(self, sa, now)
        found.append(notify(payloads, NotifyType.INITIAL_CONTACT) is not None)
        return payloads

    monkeypatch.setattr(AuthTask, "build", built)
    return found


def two_connections(**more) -> Network:
    """Moon has two connections to sun, with a child each; sun has one with both children."""
    first = connection((child("net"),))
    second = replace(connection((child("other", "10.3.0.0/16", "10.4.0.0/16"),), **more), name="gw2")
    theirs = mirrored(replace(first, children=(*first.children, *second.children)))
    ours = Configuration((first, second), (SECRET,), Settings())
    hosts = Host("moon", MOON, ours, 1), Host("sun", SUN, Configuration((theirs,), (SECRET,), Settings()), 1)
    return Network(*hosts, 1)


@pytest.mark.parametrize("apart", [2, 0])
def test_a_second_connection_between_the_same_identities_is_no_initial_contact(apart, contacts):
    """RFC 7296 2.4: the peer would close the IKE SA of the first one; also when both are set up at the same time."""
    net = two_connections()
    net.initiate(net.moon, "gw", "net")
    net.run(apart)
    net.initiate(net.moon, "gw2", "other")
    net.run(5)
    assert contacts == [True, False]
    for host in net.hosts:
        assert [sa.state for sa in host.engine.snapshot(net.now)] == ["established"] * 2
    assert not net.sun.of(ev.IkeRemoved)
    net.consistent()


def test_an_ike_sa_between_other_identities_or_one_that_was_deleted_does_not_count(contacts):
    net = two_connections(local=LocalAuth(id=Identity(IdType.FQDN, b"other.example")))
    net.initiate(net.moon, "gw", "net")
    net.run(2)
    net.initiate(net.moon, "gw2", "other")
    net.run(2)
    assert contacts == [True, True]
    net.sun.engine.delete_ike(net.sun.ike(), net.now)
    net.run(2)
    net.initiate(net.moon, "gw", "net")
    net.run(2)
    assert contacts == [True, True, True]
