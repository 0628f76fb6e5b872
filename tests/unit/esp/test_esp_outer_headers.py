"""Headers in front of ESP: what is received there, and what the fields of a tunnel's outer header follow."""

from __future__ import annotations

import pytest
from esp_packets import KEYMAT, OUTER, OUTER6, SPI, inbound, ipv4, ipv6, outbound, raw, receive, seal, status
from scapy.layers.inet import IP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    RouterAlert,
)
from scapy.packet import Packet, Raw

from ironswan.esp import InboundSa, OutboundSa, PacketBatch, Status

OPTIONS: list[list[Packet]] = [
    [],
    [IPv6ExtHdrHopByHop(options=[RouterAlert()])],
    [IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(12))])],
    [IPv6ExtHdrHopByHop(options=[RouterAlert()]), IPv6ExtHdrRouting(addresses=["2001:db8::9"], segleft=0)],
    [IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))]), IPv6ExtHdrRouting(addresses=["2001:db8::9"], segleft=0)],
]


def sealed_in(headers: list[Packet], udp: bool) -> bytes:
    """A tunnel packet whose path put headers between IPv6 and ESP."""
    (sealed,) = seal(outbound(tunnel=OUTER6, udp_encap=(4500, 4500) if udp else None), ipv4(), framing="ip")
    packet = IPv6(src=OUTER6[0], dst=OUTER6[1])
    for header in headers:
        packet = packet / header.copy()
    packet.lastlayer().nh = 17 if udp else 50
    return raw(packet / Raw(sealed[40:]))


@pytest.mark.parametrize(
    "headers", OPTIONS, ids=lambda headers: "-".join(h.name.split()[-1] for h in headers) or "none"
)
def test_extension_headers_before_esp_are_passed_over(headers: list[Packet]) -> None:
    """A20: RFC 8200 4.1."""
    assert receive(inbound(), [sealed_in(headers, udp=False)], framing="ip").packets.tolist() == [ipv4()]


@pytest.mark.parametrize("headers", [OPTIONS[1], OPTIONS[3], OPTIONS[4]], ids=["hop", "hop-routing", "options-routing"])
def test_extension_headers_before_udp_are_passed_over(headers: list[Packet]) -> None:
    """A20."""
    assert receive(inbound(), [sealed_in(headers, udp=True)], framing="ip").packets.tolist() == [ipv4()]


def test_ipv4_options_before_esp_are_passed_over() -> None:
    (sealed,) = seal(outbound(tunnel=OUTER), ipv4(), framing="ip")
    packet = raw(IP(src=OUTER[0], dst=OUTER[1], proto=50, options=[IPOption_Router_Alert()]) / Raw(sealed[20:]))
    assert receive(inbound(), [packet], framing="ip").packets.tolist() == [ipv4()]


@pytest.mark.parametrize("mode", ["tunnel", "transport"])
@pytest.mark.parametrize("udp", [None, (4500, 9)], ids=["plain", "in udp"])
@pytest.mark.parametrize("inner", [ipv4(), ipv6()], ids=["v4", "v6"])
def test_octets_behind_the_outer_packet_are_none_of_it(mode: str, udp: tuple[int, int] | None, inner: bytes) -> None:
    """Short frames of Ethernet are padded, and captures keep that."""
    tunnel = OUTER if mode == "tunnel" else None
    (sealed,) = seal(outbound(mode=mode, tunnel=tunnel, udp_encap=udp), inner, framing="ip")
    assert receive(inbound(mode=mode), [sealed + b"\xaa" * 6], framing="ip").packets.tolist() == [inner]
    assert status(inbound(mode=mode), sealed[:-1], framing="ip") is Status.MALFORMED


def test_octets_behind_the_udp_datagram_are_none_of_it() -> None:
    (sealed,) = seal(outbound(udp_encap=(4500, 4500)), ipv4(), framing="udp")
    assert receive(inbound(), [sealed + b"\xaa" * 6], framing="udp").packets.tolist() == [ipv4()]
    for changed in (sealed[:-1], sealed[:4] + bytes(2) + sealed[6:], sealed[:7], b""):
        assert status(inbound(), changed, framing="udp") is Status.NOT_ESP


@pytest.mark.parametrize("ports", [(4500, 4500), (1, 65535), (31337, 4500)])
@pytest.mark.parametrize("framing", ["udp", "ip"])
def test_ports_are_the_ones_asked_for_and_none_is_expected(ports: tuple[int, int], framing: str) -> None:
    """RFC 3948 2.1; a NAT may have changed them, so the receiver does not look at them."""
    (sealed,) = seal(outbound(tunnel=OUTER, udp_encap=ports), ipv4(), framing=framing)
    datagram = UDP(sealed) if framing == "udp" else IP(sealed)[UDP]
    assert (datagram.sport, datagram.dport) == ports
    assert datagram.len == len(sealed) - (0 if framing == "udp" else 20)
    assert receive(inbound(), [sealed], framing=framing).packets.tolist() == [ipv4()]


def test_a_header_of_no_ip_version_is_malformed() -> None:
    (sealed,) = seal(outbound(tunnel=OUTER), ipv4(), framing="ip")
    for first in (0x00, 0x35, 0x55, 0x75, 0x44, 0xF5):
        assert status(inbound(), bytes([first]) + sealed[1:], framing="ip") is Status.MALFORMED


@pytest.mark.parametrize(("df", "expected"), [("copy", True), ("set", True), ("clear", False)])
def test_ipv6_inside_counts_as_dont_fragment(df: str, expected: bool) -> None:
    """A09: RFC 4301 8.1; IPv6 is never fragmented on the way."""
    (sealed,) = seal(outbound(tunnel=OUTER, df=df), ipv6(), framing="ip")
    assert bool(IP(sealed).flags.DF) is expected
    assert IP(sealed).frag == 0


@pytest.mark.parametrize("inner", [ipv4(ttl=3), ipv6(hlim=3)], ids=["v4", "v6"])
@pytest.mark.parametrize("hop_limit", [1, 64, 255])
def test_the_outer_hop_limit_is_the_sas_and_the_inner_stays(inner: bytes, hop_limit: int) -> None:
    """A09: this is no router; the one that forwards the packet counts."""
    for addresses, read, field in ((OUTER, IP, "ttl"), (OUTER6, IPv6, "hlim")):
        (sealed,) = seal(outbound(tunnel=addresses, hop_limit=hop_limit), inner, framing="ip")
        assert getattr(read(sealed), field) == hop_limit
        assert receive(inbound(), [sealed], framing="ip").packets.tolist() == [inner]
    default = IP(seal(outbound(tunnel=OUTER), inner, framing="ip")[0])
    assert default.ttl == 64


TABLE = {(0, 3): None, (1, 3): 3, (2, 3): 3, (2, 1): 1}


@pytest.mark.parametrize("make", [ipv4, ipv6])
@pytest.mark.parametrize("inner", range(4))
@pytest.mark.parametrize("outer", range(4))
@pytest.mark.parametrize("suite", ["aes128gcm16", "aes128-sha256"])
def test_ecn_of_an_ipv6_header_is_carried_inward_by_the_same_table(
    make: object, inner: int, outer: int, suite: str
) -> None:
    """A12: RFC 6040 figure 4; the DSCP beside it stays (A10)."""
    field = "tos" if make is ipv4 else "tc"
    before = make(**{field: 0x28 | inner})  # type: ignore[operator]
    (sealed,) = seal(outbound(suite, tunnel=OUTER6, dscp=46), before, framing="ip")
    sent = IPv6(sealed)
    assert sent.tc == 46 << 2 | inner
    sent.tc = 12 << 2 | outer
    results = receive(inbound(suite), [raw(sent)], framing="ip")
    expected = TABLE.get((inner, outer), inner)
    if expected is None:
        assert results.statuses == [Status.ECN_ILLEGAL]
        assert results.packets.tolist() == [b""]
    else:
        assert results.packets.tolist() == [make(**{field: 0x28 | expected})]  # type: ignore[operator]


@pytest.mark.parametrize("framing", ["esp", "udp"])
def test_without_an_outer_header_there_is_no_ecn_to_carry(framing: str) -> None:
    """A12."""
    for ecn in range(4):
        sealed = seal(outbound(udp_encap=(1, 2)), ipv4(tos=ecn), framing=framing)
        sa = inbound()
        assert receive(sa, sealed, framing=framing).packets.tolist() == [ipv4(tos=ecn)]
        assert sa.counters["ecn_anomalies"] == 0


def test_transport_mode_keeps_the_class_of_its_one_header() -> None:
    """A10, A12: there is nothing to copy."""
    for ecn in range(4):
        (sealed,) = seal(outbound(mode="transport", dscp=1, ecn=False), ipv4(tos=46 << 2 | ecn), framing="ip")
        assert IP(sealed).tos == 46 << 2 | ecn
        assert receive(inbound(mode="transport"), [sealed], framing="ip").packets.tolist() == [ipv4(tos=46 << 2 | ecn)]


def test_esp_may_travel_in_esp() -> None:
    """RFC 4301 4.5: an end-to-end SA inside a tunnel of gateways."""
    end = outbound("chacha20poly1305", mode="transport")
    tunnel = OutboundSa(SPI + 1, "aes256-sha512", KEYMAT["aes256-sha512"], tunnel=OUTER6, udp_encap=(4500, 4500))
    (twice,) = seal(tunnel, *seal(end, ipv4(), framing="ip"), framing="ip")
    gateway = InboundSa(SPI + 1, "aes256-sha512", KEYMAT["aes256-sha512"], selectors=[("10.1.0.1[50]", "10.2.0.1[50]")])
    once = gateway.decap(PacketBatch([twice]), framing="ip")
    assert once.ok
    opened = inbound("chacha20poly1305", mode="transport").decap(once.packets, framing="ip")
    assert opened.packets.tolist() == [ipv4()]


ATOMIC = IPv6ExtHdrFragment(nh=17, offset=0, m=0, id=5)


def test_a_fragment_header_without_fragments_is_no_fragment() -> None:
    """E15: RFC 4303 3.4.1 means an offset or more fragments; RFC 6946 calls the rest atomic."""
    (sealed,) = seal(outbound(tunnel=OUTER6), ipv4(), framing="ip")
    for offset, more, expected in ((0, 0, Status.OK), (0, 1, Status.FRAGMENT), (1, 0, Status.FRAGMENT)):
        header = IPv6ExtHdrFragment(nh=50, offset=offset, m=more, id=5)
        packet = raw(IPv6(src=OUTER6[0], dst=OUTER6[1]) / header / Raw(sealed[40:]))
        assert status(inbound(), packet, framing="ip") is expected
    whole = raw(IPv6(src="fd00:1::1", dst="fd00:2::1") / ATOMIC / UDP() / Raw(b"x"))
    (sealed,) = seal(outbound(mode="transport"), whole, framing="ip")
    assert sealed[48:52] == SPI.to_bytes(4)
    assert receive(inbound(mode="transport"), [sealed], framing="ip").packets.tolist() == [whole]


@pytest.mark.parametrize("segments_left", [0, 1])
def test_a_udp_checksum_is_made_for_the_final_destination(segments_left: int) -> None:
    """RFC 8200 8.1: which a routing header names while there are segments left."""
    routing = IPv6ExtHdrRouting(addresses=["fd00:3::1"], segleft=segments_left)
    hop_by_hop = IPv6ExtHdrHopByHop(options=[RouterAlert()])
    packet = raw(IPv6(src="fd00:1::1", dst="fd00:2::1") / hop_by_hop / routing / UDP() / Raw(b"x"))
    (sealed,) = seal(outbound(mode="transport", udp_encap=(4500, 4500)), packet, framing="ip")
    again = IPv6(sealed)
    del again[UDP].chksum
    assert raw(again) == sealed
