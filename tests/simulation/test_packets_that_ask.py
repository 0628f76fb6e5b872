"""The packet that asked for a Child SA goes first into its selectors (RFC 7296 2.9), unless policy is against it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from protected import payloads_of
from scenarios import child, connection, network, ts

from ironswan.ike import events as ev
from ironswan.policy.selectors import TrafficSelector
from ironswan.wire.ts import TsPayload

TCP, UDP, ICMP = 6, 17, 1
POLICY = (ts("10.1.0.0/16", protocol=TCP), ts("10.2.0.0/16", protocol=TCP, start_port=443, end_port=443))


def offered(packet, policy=None):
    """The selectors that moon asks for, its own and the peer's."""
    net = network(connection((policy or child(),)))
    held = net.hold(net.moon)
    net.initiate(net.moon, packet=packet)
    net.turn(net.moon)
    held.deliver()
    net.run(0.2)
    [request] = held.queue
    payloads = payloads_of(net.moon, request)
    held.release()
    net.run(5)
    net.consistent()
    assert len(net.moon.of(ev.ChildInstalled)) == 1
    return tuple(next(p.selectors for p in payloads if isinstance(p, TsPayload) and p.initiator == i) for i in (1, 0))


def packet(source, destination, protocol=UDP, sport=40000, dport=53):
    return ip_address(source), ip_address(destination), protocol, sport, dport


def one(address, protocol, low=0, high=65535):
    return TrafficSelector(ip_address(address), ip_address(address), protocol, low, high)


WHOLE = tuple((ts(network).resolve(None),) for network in ("10.1.0.0/16", "10.2.0.0/16"))


def test_packet_of_the_policy_goes_first():
    asked = offered(packet("10.1.0.5", "10.2.0.7"))
    assert asked == (
        (one("10.1.0.5", UDP, 40000, 40000), *WHOLE[0]),
        (one("10.2.0.7", UDP, 53, 53), *WHOLE[1]),
    )


def test_packet_without_ports_goes_first_with_all_of_them():
    asked = offered(packet("10.1.0.5", "10.2.0.7", ICMP, 0, 0))
    assert asked == ((one("10.1.0.5", ICMP), *WHOLE[0]), (one("10.2.0.7", ICMP), *WHOLE[1]))


@pytest.mark.parametrize(
    "outside",
    [
        packet("10.9.0.5", "10.2.0.7"),
        packet("10.1.0.5", "10.9.0.7"),
        packet("10.2.0.7", "10.1.0.5"),
        packet("2001:db8::5", "2001:db8::7"),
    ],
    ids=["source", "destination", "both the wrong way round", "family"],
)
def test_packet_that_is_not_of_the_policy_is_not_asked_for(outside):
    assert offered(outside) == WHOLE


@pytest.mark.parametrize(("protocol", "port"), [(UDP, 443), (TCP, 80)])
def test_protocol_and_port_of_the_policy_count_too(protocol, port):
    policy = replace(child(), local_ts=POLICY[:1], remote_ts=POLICY[1:])
    asked = offered(packet("10.1.0.5", "10.2.0.7", protocol, 40000, port), policy)
    assert asked == tuple((template.resolve(None),) for template in POLICY)
    asked = offered(packet("10.1.0.5", "10.2.0.7", TCP, 40000, 443), policy)
    assert asked[1][0] == one("10.2.0.7", TCP, 443, 443)
