"""IKE in memory: what one core can do, cryptography included, without sockets and data plane."""

from __future__ import annotations

import os
from dataclasses import replace
from ipaddress import ip_address
from itertools import count

import pytest

from ironswan.ike.environment import Environment
from ironswan.ike.events import ChildInstalled, IkeEstablished
from ironswan.ike.manager import IkeManager
from ironswan.ike.types import Endpoint
from ironswan.policy.connection import ChildPolicy, Configuration, Connection, LocalAuth, RemoteAuth, SharedSecret
from ironswan.policy.identity import Identity
from ironswan.policy.proposals import parse_proposal
from ironswan.policy.selectors import parse_selector
from ironswan.policy.transforms import Protocol
from ironswan.wire.message import read_message

SITES = {"moon": ("192.0.2.1", "10.1.0.0/16"), "sun": ("192.0.2.2", "10.2.0.0/16")}
SUITES = ["aes128gcm16-prfsha256-x25519", "aes256-sha256-modp2048", "aes256gcm16-prfsha384-ecp384"]


def configuration(own, peer, proposal):
    child = ChildPolicy(
        "net",
        (parse_selector(SITES[own][1]),),
        (parse_selector(SITES[peer][1]),),
        (parse_proposal("aes128gcm16", Protocol.ESP),),
    )
    connection = Connection(
        peer,
        (child,),
        (parse_proposal(proposal, Protocol.IKE),),
        remote_addrs=(SITES[peer][0],),
        local=LocalAuth(id=Identity.parse(own)),
        remote=RemoteAuth(id=Identity.parse(peer)),
    )
    return Configuration((connection,), (SharedSecret("ike", b"a secret for the benchmark"),))


class Pair:
    """Two engines and the wire between them."""

    def __init__(self, proposal):
        spis = count(0x1000)
        environment = Environment(os.urandom, lambda _worker=None, /: next(spis))
        self.moon = IkeManager(configuration("moon", "sun", proposal), environment)
        self.sun = IkeManager(configuration("sun", "moon", proposal), environment)
        self.now = 0.0

    def deliver(self):
        """Carries datagrams until both are silent; the events of both."""
        events = []
        while sent := [(self.sun, d) for d in self.moon.take_datagrams()] + [
            (self.moon, d) for d in self.sun.take_datagrams()
        ]:
            for engine, datagram in sent:
                engine.receive(replace(datagram, local=datagram.remote, remote=datagram.local), self.now)
            events += self.moon.take_events() + self.sun.take_events()
        return events

    def set_up(self):
        ends = [Endpoint(ip_address(SITES[name][0]), 500) for name in SITES]
        self.moon.initiate("sun", "net", self.now, *ends)
        return self.deliver()


@pytest.mark.parametrize("proposal", SUITES)
def test_handshake_of_both_sides(benchmark, proposal):
    def handshake(pair):
        events = pair.set_up()
        assert sum(isinstance(event, IkeEstablished) for event in events) == 2
        assert sum(isinstance(event, ChildInstalled) for event in events) == 2

    benchmark.pedantic(handshake, setup=lambda: ((Pair(proposal),), {}), rounds=100, warmup_rounds=5)


def test_child_rekey_of_both_sides(benchmark):
    pair = Pair(SUITES[0])
    pair.set_up()

    def rekey():
        (sa,) = pair.moon.snapshot(pair.now)
        pair.moon.rekey_child(next(c.id for c in sa.children if c.state == "installed"), pair.now)
        assert sum(isinstance(event, ChildInstalled) for event in pair.deliver()) == 2
        pair.now += 10.0
        for engine in (pair.moon, pair.sun):
            engine.handle_timers(pair.now)
        pair.deliver()

    benchmark.pedantic(rekey, rounds=100, warmup_rounds=5)


def test_reading_an_ike_sa_init(benchmark):
    pair = Pair(SUITES[0])
    ends = [Endpoint(ip_address(SITES[name][0]), 500) for name in SITES]
    pair.moon.initiate("sun", "net", 0.0, *ends)
    (datagram,) = pair.moon.take_datagrams()
    assert len(benchmark(read_message, datagram.data).payloads) >= 5
