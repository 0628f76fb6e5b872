"""Transport mode: who gets it (RFC 7296 1.3.1), what a NAT does to its selectors (2.23.1), and what rekeying keeps."""

from copy import copy
from dataclasses import replace
from heapq import heappush
from ipaddress import ip_address

import pytest
from scenarios import MOON, SUN, connection, esp, established, mirrored, network
from simulator import endpoint

from ironswan.ike import events as ev
from ironswan.ike.narrowing import Narrowed, seen_here, taken
from ironswan.ike.types import Datagram
from ironswan.policy.connection import ChildPolicy, Mode
from ironswan.policy.identity import Identity
from ironswan.policy.selectors import SelectorTemplate, TrafficSelector

NAT_A, NAT_B = "203.0.113.9", "203.0.113.200"


def hosts(mode=Mode.TRANSPORT, name="net", **more):
    """A child between the two hosts; `ports` are protocol, ours and theirs."""
    protocol, ours, theirs = more.pop("ports", (0, (0, 65535), (0, 65535)))
    values = {"esp_proposals": esp("aes128gcm16"), "rekey_time": 0.0, "life_time": 0.0, "mode": mode} | more
    local, remote = SelectorTemplate(None, None, protocol, *ours), SelectorTemplate(None, None, protocol, *theirs)
    return ChildPolicy(name, (local,), (remote,), **values)


def one(address, protocol=0, ports=(0, 65535)):
    return (TrafficSelector(ip_address(address), ip_address(address), protocol, *ports),)


def sas(net):
    """The newest Child SA as each data plane got it."""
    return [host.of(ev.ChildInstalled)[-1].child for host in net.hosts]


class Nats:
    """Moon behind NAT A, which maps its ports; sun, if `both`, behind NAT B, which passes what is for its own ports."""

    def __init__(self, net, *, both=False):
        net.fate = self.fate
        self.sun = NAT_B if both else SUN
        self.offset = 20000

    def fate(self, net, host, datagram):
        local, remote = datagram.local, datagram.remote
        if host is net.moon:
            assert str(remote.address) == self.sun
            source, target, to = endpoint(NAT_A, self.offset + local.port), endpoint(SUN, remote.port), net.sun
        elif str(remote.address) == NAT_A and remote.port - self.offset in (500, 4500):
            source, target, to = endpoint(self.sun, local.port), endpoint(MOON, remote.port - self.offset), net.moon
        else:
            return []
        net._order += 1
        heappush(net.in_flight, (net.now + net.delay, net._order, to, Datagram(target, source, datagram.data)))
        return []


def natted(*, both=False, child=None, sun_child=None):
    moon = connection((child or hosts(),), remote_addrs=(NAT_B if both else SUN,))
    sun = mirrored(moon, remote_addrs=("%any",), local_addrs=(SUN,))
    net = network(moon, replace(sun, children=(sun_child,)) if sun_child else sun)
    nats = Nats(net, both=both)
    operation = net.moon.engine.initiate("gw", "net", net.now, net.moon.endpoint, endpoint(nats.sun), None)
    net.run(5)
    return net, net.moon.outcome(operation)


def test_both_sides_that_want_transport_mode_get_it():
    """I79: the responder echoes USE_TRANSPORT_MODE, in IKE_AUTH."""
    net = established(connection((hosts(),)))
    for host, child in zip((MOON, SUN), sas(net), strict=True):
        other = SUN if host == MOON else MOON
        assert (child.mode, child.nat_original) == (Mode.TRANSPORT, None)
        assert (child.ts_local, child.ts_remote) == (one(host), one(other))


def test_a_further_child_gets_transport_mode_in_create_child_sa():
    """I79"""
    web = hosts(name="web", ports=(6, (0, 65535), (80, 80)))
    net = established(connection((hosts(ports=(17, (1701, 1701), (1701, 1701))), web)))
    net.initiate(net.moon, child="web")
    net.run(5)
    ours, theirs = sas(net)
    assert (ours.mode, theirs.mode) == (Mode.TRANSPORT, Mode.TRANSPORT)
    assert (ours.ts_remote, theirs.ts_local) == (one(SUN, 6, (80, 80)),) * 2


@pytest.mark.parametrize("declining", ["moon", "sun"])
def test_transport_mode_that_one_side_does_not_want_is_tunnel_mode(declining):
    """I79: effective only when echoed; the selectors are the hosts, so tunnel mode protects the same packets."""
    moon = connection((hosts(Mode.TUNNEL if declining == "moon" else Mode.TRANSPORT),))
    sun = mirrored(moon, children=(hosts(Mode.TUNNEL if declining == "sun" else Mode.TRANSPORT),))
    net = established(moon, sun)
    assert [child.mode for child in sas(net)] == [Mode.TUNNEL, Mode.TUNNEL]


def test_transport_mode_nobody_asked_for_is_deleted(monkeypatch):
    """I79: the initiator deletes an SA it does not want."""
    net = network(connection((hosts(Mode.TUNNEL),)), mirrored(connection((hosts(),))))
    # A responder that echoes what was not sent.
    monkeypatch.setattr("ironswan.ike.child_negotiation.requested_mode", lambda _payloads, mode: mode)
    operation = net.initiate(net.moon)
    net.run(5)
    assert net.moon.outcome(operation).kind == "local_refused"
    assert "mode" in net.moon.reasons()
    assert net.moon.plane.inbound == net.sun.plane.inbound == {}
    assert len(net.moon.engine.snapshot(0)) == 1


def test_selectors_of_networks_are_never_carried_in_transport_mode():
    wide = replace(hosts(), local_ts=(SelectorTemplate(ip_address("10.1.0.0"), ip_address("10.1.0.255")),))
    moon = connection((wide,))
    net = established(moon)
    assert [child.mode for child in sas(net)] == [Mode.TUNNEL, Mode.TUNNEL]


@pytest.mark.parametrize("rekeying", ["moon", "sun"])
@pytest.mark.parametrize("ours", [Mode.TRANSPORT, Mode.TUNNEL])
def test_rekeying_keeps_the_mode(rekeying, ours):
    """Also the tunnel mode that one side fell back to."""
    moon = connection((hosts(ours),))
    net = established(moon, mirrored(moon, children=(hosts(),)))
    host = getattr(net, rekeying)
    host.engine.rekey_child(host.child(), net.now)
    net.run(10)
    assert [child.mode for child in sas(net)] == [ours, ours]
    assert [len(host.of(ev.ChildInstalled)) for host in net.hosts] == [2, 2]
    assert net.lost == []


@pytest.mark.parametrize("both", [False, True])
def test_each_side_behind_a_nat_sees_its_own_addresses_and_learns_the_other_ones(both):
    """I100: selectors with the addresses of each side's own packets, and those the peer's checksums are made with."""
    net, outcome = natted(both=both)
    assert outcome.ok, outcome
    ours, theirs = sas(net)
    front = NAT_B if both else SUN
    assert (ours.mode, ours.ts_local, ours.ts_remote) == (Mode.TRANSPORT, one(MOON), one(front))
    assert (theirs.mode, theirs.ts_local, theirs.ts_remote) == (Mode.TRANSPORT, one(SUN), one(NAT_A))
    assert ours.nat_original == (ip_address(SUN), ip_address(NAT_A))
    assert theirs.nat_original == (ip_address(MOON), ip_address(front))


@pytest.mark.parametrize("rekeying", ["moon", "sun"])
def test_a_rekey_behind_nats_comes_to_the_same_selectors(rekeying):
    """I100: in CREATE_CHILD_SA, from either side."""
    net, _ = natted(both=True)
    before = [(c.ts_local, c.ts_remote, c.nat_original, c.mode) for c in sas(net)]
    host = getattr(net, rekeying)
    host.engine.rekey_child(host.child(), net.now)
    net.run(10)
    assert [len(host.of(ev.ChildInstalled)) for host in net.hosts] == [2, 2]
    assert [(c.ts_local, c.ts_remote, c.nat_original, c.mode) for c in sas(net)] == before


def test_ports_stay_when_a_nat_changes_addresses():
    """I100: L2TP (RFC 3193) from behind a NAT."""
    net, outcome = natted(child=hosts(ports=(17, (1701, 1701), (1701, 1701))))
    assert outcome.ok, outcome
    assert sas(net)[1].ts_remote == one(NAT_A, 17, (1701, 1701))


def test_tunnel_mode_behind_a_nat_keeps_the_addresses_as_the_peer_wrote_them():
    """RFC 7296 2.23.1: without transport mode nothing is substituted, so `dynamic` at the responder does not fit."""
    _, outcome = natted(child=hosts(), sun_child=hosts(Mode.TUNNEL))
    assert outcome.kind == "peer_refused"
    inner = SelectorTemplate(ip_address(MOON), ip_address(MOON))
    net, outcome = natted(child=hosts(), sun_child=replace(hosts(Mode.TUNNEL), remote_ts=(inner,)))
    assert outcome.ok, outcome
    ours, theirs = sas(net)
    assert (ours.mode, theirs.mode, theirs.ts_remote, theirs.nat_original) == (
        Mode.TUNNEL, Mode.TUNNEL, one(MOON), None,
    )  # fmt: skip


def test_several_addresses_behind_a_nat_are_not_transport_mode():
    """I100: exactly one address in each traffic selector payload."""
    net, _ = natted()
    [sa] = net.sun.engine._context.sas.values()
    two = (*one(MOON), *one("192.0.2.77"))
    assert seen_here(sa, one(SUN), two) is None
    assert seen_here(sa, one("2001:db8::1"), one(MOON)) is None


def test_second_peer_behind_one_nat_does_not_take_the_first_ones_packets():
    """RFC 3948 5.2: the responder could not tell whose packets are whose."""
    net, _ = natted()
    [sa] = net.sun.engine._context.sas.values()
    again = Narrowed(Mode.TRANSPORT, one(SUN), one(NAT_A))
    assert not taken(sa, again)
    other = replace_id(sa, Identity.parse("other.example"))
    assert taken(other, again)
    assert not taken(other, replace(again, mode=Mode.TUNNEL))
    assert not taken(other, replace(again, remote=one("203.0.113.77")))


def replace_id(sa, identity):
    """The IKE SA of another peer at the same address."""
    other = copy(sa)
    other.remote_id = identity
    return other
