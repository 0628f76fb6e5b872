"""Peers that make one Child SA an IKE SA and refuse more with NO_ADDITIONAL_SAS (RFC 7296 4)."""

from __future__ import annotations

import pytest
from scenarios import child, connection, network

from ironswan.ike import events as ev
from ironswan.ike import requests
from ironswan.ike.refusal import Refusal
from ironswan.ike.types import Because
from ironswan.wire.numbers import NotifyType

TWO = (child("a"), child("b", "10.3.0.0/16", "10.4.0.0/16"))


@pytest.fixture
def minimal(monkeypatch):
    """Makes every host grant no Child SA but the first."""
    refusal = Refusal(NotifyType.NO_ADDITIONAL_SAS, Because.RESOURCES, "one Child SA an IKE SA")
    return lambda: monkeypatch.setattr(requests, "_create_child_sa", lambda sa, payloads, now: refusal)


def up(net, name):
    operation = net.initiate(net.moon, child=name)
    net.run(20)
    return net.moon.outcome(operation)


def names(host, now):
    return sorted([c.name for c in sa.children if c.state == "installed"] for sa in host.engine.snapshot(now))


def both_up(minimal):
    minimal()
    net = network(connection(TWO))
    assert up(net, "a").ok
    assert up(net, "b").notify == NotifyType.NO_ADDITIONAL_SAS
    assert up(net, "b").ok
    return net


def test_child_on_a_second_ike_sa_leaves_the_other_one_alone(minimal):
    net = both_up(minimal)
    assert names(net.moon, net.now) == names(net.sun, net.now) == [["a"], ["b"]]
    net.consistent()


@pytest.mark.parametrize("name", ["a", "b"])
def test_child_that_is_up_on_any_ike_sa_is_not_asked_for_again(minimal, name):
    net = both_up(minimal)
    before = len(net.sent)
    outcome = up(net, name)
    assert outcome.ok
    assert "already established" in outcome.message
    assert len(net.sent) == before


def test_rekeying_one_child_replaces_its_ike_sa_and_no_other(minimal):
    """I90."""
    net = both_up(minimal)
    old = net.moon.child("a")
    operation = net.moon.engine.rekey_child(old, net.now)
    net.run(20)
    assert net.moon.outcome(operation).kind == "established"
    assert names(net.moon, net.now) == names(net.sun, net.now) == [["a"], ["b"]]
    assert net.moon.child("a") != old
    net.consistent()


def test_child_that_moved_to_a_new_ike_sa_leaves_the_one_it_shared(minimal):
    """A peer that makes two Child SAs, and no third one for a rekey: the other child stays."""
    net = network(connection(TWO))
    assert up(net, "a").ok
    assert up(net, "b").ok
    minimal()
    operation = net.moon.engine.rekey_child(net.moon.child("a"), net.now)
    net.run(20)
    assert net.moon.outcome(operation).kind == "established"
    assert names(net.moon, net.now) == names(net.sun, net.now) == [["a"], ["b"]]
    assert len(net.moon.of(ev.IkeRemoved)) == 0
    net.consistent()
