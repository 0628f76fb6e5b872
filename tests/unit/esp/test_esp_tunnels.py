"""Tunnel mode: outer headers, padding for traffic flow confidentiality, dummies, ECN, selectors, fragments."""

from __future__ import annotations

import pytest
from esp_packets import OUTER, OUTER6, inbound, ipv4, ipv6, outbound, raw, receive, seal, status, tcp
from scapy.layers.inet import ICMP, IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.packet import Raw

from ironswan.esp import InboundSa, OutboundSa, PacketBatch, Status
from ironswan.policy.selectors import TrafficSelector

FAMILIES = {"v4": (OUTER, IP), "v6": (OUTER6, IPv6)}


@pytest.mark.parametrize("inner", [ipv4(), ipv6()], ids=["v4 inside", "v6 inside"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ports", [None, (4500, 31337)], ids=["plain", "in udp"])
def test_any_family_travels_in_any_other(inner: bytes, family: str, ports: tuple[int, int] | None) -> None:
    """A09, A20: the outer header has the SA's addresses and is whole by its own length and checksum."""
    addresses, read = FAMILIES[family]
    (packet,) = seal(outbound(tunnel=addresses, udp_encap=ports), inner, framing="ip")
    outer = read(packet)
    assert (outer.src, outer.dst) == addresses
    assert raw(read(packet)) == packet, "lengths are right"
    if family == "v4":
        wanted = outer.chksum
        del outer.chksum
        assert IP(raw(outer)).chksum == wanted
    assert (UDP in outer) == (ports is not None)
    opened = receive(inbound(), [packet], framing="ip")
    assert opened.packets.tolist() == [inner]
    assert list(opened.next_headers) == [4 if inner[0] >> 4 == 4 else 41]


def test_udp_over_ipv6_has_a_checksum_and_over_ipv4_none() -> None:
    (packet,) = seal(outbound(tunnel=OUTER6, udp_encap=(4500, 4500)), ipv4(), framing="ip")
    checksum = IPv6(packet)[UDP].chksum
    again = IPv6(packet)
    del again[UDP].chksum
    assert checksum == IPv6(raw(again))[UDP].chksum != 0
    (packet,) = seal(outbound(tunnel=OUTER, udp_encap=(4500, 4500)), ipv4(), framing="ip")
    assert IP(packet)[UDP].chksum == 0


@pytest.mark.parametrize(("df", "inner_df", "expected"), [
    ("copy", True, True), ("copy", False, False), ("set", False, True), ("clear", True, False),
])  # fmt: skip
def test_dont_fragment_is_copied_set_or_cleared(df: str, inner_df: bool, expected: bool) -> None:
    """A09: RFC 4301 8.1."""
    (packet,) = seal(outbound(tunnel=OUTER, df=df), ipv4(flags="DF" if inner_df else 0), framing="ip")
    assert bool(IP(packet).flags.DF) is expected


def test_outer_headers_have_fresh_identifications_and_their_own_hop_limit() -> None:
    """A09: nothing of the inner TTL shows, and the inner packet comes out as it went in."""
    sa = outbound(tunnel=OUTER, hop_limit=99)
    packets = [IP(packet) for packet in seal(sa, *[ipv4(ttl=7, id=1)] * 100, framing="ip")]
    assert len({packet.id for packet in packets}) == 100
    assert {packet.ttl for packet in packets} == {99}
    assert IP(receive(inbound(), map(raw, packets), framing="ip").packets.tolist()[0]).ttl == 7


@pytest.mark.parametrize("family", FAMILIES)
def test_dscp_is_copied_out_unless_set_and_never_comes_back_in(family: str) -> None:
    """A10."""
    addresses, read = FAMILIES[family]
    field = "tos" if family == "v4" else "tc"
    for dscp, expected in ((None, 46), (0, 0), (10, 10)):
        (packet,) = seal(outbound(tunnel=addresses, dscp=dscp), ipv4(tos=46 << 2), framing="ip")
        outer = read(packet)
        assert getattr(outer, field) >> 2 == expected
        setattr(outer, field, 12 << 2)
        if family == "v4":
            del outer.chksum
        opened = receive(inbound(), [raw(outer)], framing="ip").packets.tolist()
        assert IP(opened[0]).tos >> 2 == 46


DECAPSULATED = {
    0: (0, 0, 0, None), 2: (2, 2, 1, 3), 1: (1, 1, 1, 3), 3: (3, 3, 3, 3),
}  # fmt: skip


@pytest.mark.parametrize("inner", DECAPSULATED)
@pytest.mark.parametrize(("column", "outer"), [(0, 0), (1, 2), (2, 1), (3, 3)])
@pytest.mark.parametrize("make", [ipv4, ipv6])
def test_ecn_is_copied_out_and_combined_inward(inner: int, column: int, outer: int, make: object) -> None:
    """A12: RFC 6040 4.1 and figure 4; Not-ECT with CE is dropped."""
    field = "tos" if make is ipv4 else "tc"
    before = make(**{field: 0xB8 | inner})  # type: ignore[operator]
    (packet,) = seal(outbound(tunnel=OUTER), before, framing="ip")
    sent = IP(packet)
    assert sent.tos & 3 == inner
    sent.tos = sent.tos & 0xFC | outer
    del sent.chksum
    sa = inbound()
    opened = receive(sa, [raw(sent)], framing="ip")
    expected = DECAPSULATED[inner][column]
    if expected is None:
        assert opened.statuses == [Status.ECN_ILLEGAL]
    else:
        (after,) = opened.packets.tolist()
        assert after == make(**{field: 0xB8 | expected})  # type: ignore[operator]
    unsound = {(0, 2), (0, 1), (0, 3), (1, 2), (3, 1)}
    assert sa.counters["ecn_anomalies"] == int((inner, outer) in unsound)


def test_without_ecn_the_outer_field_is_neither_used_nor_believed() -> None:
    """A12: RFC 6040 4.1 compatibility mode."""
    (packet,) = seal(outbound(tunnel=OUTER, ecn=False), ipv4(tos=2), framing="ip")
    sent = IP(packet)
    assert sent.tos & 3 == 0
    sent.tos = 3
    del sent.chksum
    assert receive(inbound(ecn=False), [raw(sent)], framing="ip").packets.tolist() == [ipv4(tos=2)]


def test_tfc_padding_hides_the_length_and_is_taken_off() -> None:
    """E14: all packets are of one length; the receiver finds the end by the inner length."""
    sa = outbound(tfc=600)
    inner = [ipv4(bytes(size)) for size in (0, 1, 100, 500)] + [ipv6(bytes(500)), ipv4(bytes(700))]
    sealed = seal(sa, *inner)
    assert len({len(packet) for packet in sealed[:5]}) == 1
    assert len(sealed[5]) > len(sealed[0])
    assert receive(inbound(), sealed).packets.tolist() == inner


@pytest.mark.parametrize("framing", ["esp", "udp", "ip"])
def test_dummies_look_like_packets_and_are_discarded(framing: str) -> None:
    """E13."""
    sa = outbound(tunnel=OUTER, udp_encap=(4500, 4500))
    dummies = sa.dummies(3, 100, framing=framing)
    assert dummies.ok
    assert set(dummies.next_headers) == {59}
    receiver = inbound()
    opened = receive(receiver, dummies.packets, framing=framing)
    assert set(opened.statuses) == {Status.DUMMY}
    assert set(opened.packets.lengths) == {0}
    assert receiver.counters["dummy"] == 3
    assert receiver.sequence_number == 3, "they are authentic, so they move the window"
    (real,) = seal(sa, ipv4(bytes(72)), framing=framing)
    assert len(real) == dummies.packets.lengths[0]


@pytest.mark.parametrize(("selectors", "expected"), [
    ([("10.1.0.0/16", "10.2.0.0/16")], Status.OK),
    ([("10.9.0.0/16", "10.2.0.0/16"), ("10.1.0.0/16", "10.2.0.1")], Status.OK),
    ([("10.1.0.0/16[udp/1000]", "10.2.0.0/16[udp/2000]")], Status.OK),
    ([("10.1.0.0/16[udp]", "10.2.0.0/16[udp/1-1999]")], Status.SELECTOR_MISMATCH),
    ([("10.1.0.0/16[tcp]", "10.2.0.0/16[tcp]")], Status.SELECTOR_MISMATCH),
    ([("10.2.0.0/16", "10.1.0.0/16")], Status.SELECTOR_MISMATCH),
    ([("::/0", "::/0")], Status.SELECTOR_MISMATCH),
    ([(TrafficSelector.from_network("10.1.0.0/24"), TrafficSelector.from_network("10.2.0.0/24"))], Status.OK),
    ([], Status.SELECTOR_MISMATCH),
])  # fmt: skip
def test_what_comes_out_must_fit_the_selectors(selectors: list[tuple[object, object]], expected: Status) -> None:
    """A03: RFC 4301 5.2; a packet that does not fit is dropped and counted."""
    sa = inbound(selectors=selectors)
    assert status(sa, seal(outbound(), ipv4())[0]) is expected
    assert sa.counters["selector_mismatch"] == (expected is Status.SELECTOR_MISMATCH)


def test_fragments_need_an_sa_for_all_ports() -> None:
    """A16: a later fragment has no ports, so a port-selective SA refuses it; any other carries it as it is."""
    first, *later = [raw(part) for part in fragment(IP(ipv4(bytes(100))), fragsize=48)]
    sealed = seal(outbound(), first, *later)
    whole = inbound(selectors=[("10.1.0.0/16", "10.2.0.0/16")])
    assert receive(whole, sealed).packets.tolist() == [first, *later]
    selective = inbound(selectors=[("10.1.0.0/16[udp/1000]", "10.2.0.0/16")])
    assert receive(selective, sealed).statuses == [Status.OK] + [Status.SELECTOR_MISMATCH] * len(later)
    six = raw(
        IPv6(ipv6())[IPv6].__class__(src="fd00:1::1", dst="fd00:2::1")
        / IPv6ExtHdrFragment(offset=5, nh=17)
        / Raw(bytes(16))
    )
    selective = inbound(selectors=[("fd00:1::/64[udp/1000]", "fd00:2::/64")])
    assert status(selective, seal(outbound(), six)[0]) is Status.SELECTOR_MISMATCH


@pytest.mark.parametrize("offset", [1, 2])
def test_a_fragment_that_could_overwrite_a_header_is_refused(offset: int) -> None:
    """A16: the least offset of RFC 4301 7.2 and RFC 1858."""
    part = raw(IP(src="10.1.0.1", dst="10.2.0.1", proto=6, frag=offset) / Raw(bytes(16)))
    sa = inbound(selectors=[("10.1.0.0/16", "10.2.0.0/16")])
    expected = Status.SELECTOR_MISMATCH if offset == 1 else Status.OK
    assert status(sa, seal(outbound(), part)[0]) is expected


def test_outer_fragments_are_not_opened() -> None:
    """E15: reassembly comes before ESP."""
    (packet,) = seal(outbound(tunnel=OUTER), ipv4(bytes(200)), framing="ip")
    sa = inbound()
    parts = [raw(part) for part in fragment(IP(packet), fragsize=96)]
    assert set(receive(sa, parts, framing="ip").statuses) == {Status.FRAGMENT}
    assert sa.sequence_number == 0
    (packet,) = seal(outbound(tunnel=OUTER6), ipv4(), framing="ip")
    part = packet[:6] + bytes([44]) + packet[7:40] + bytes([50, 0, 0, 1, 0, 0, 0, 1]) + packet[40:]
    part = part[:4] + (len(part) - 40).to_bytes(2) + part[6:]
    assert status(sa, part, framing="ip") is Status.FRAGMENT
    assert sa.counters["fragment"] == len(parts) + 1


def test_encapsulation_never_fragments_and_says_how_long_a_packet_gets() -> None:
    """E16: the caller learns the overhead beforehand; what cannot be an IP packet is refused."""
    sa = outbound(tunnel=OUTER, udp_encap=(4500, 4500))
    for size in (0, 1, 13, 14, 15, 1372):
        inner = ipv4(bytes(size))
        for framing in ("esp", "udp", "ip"):
            (packet,) = seal(sa, inner, framing=framing)
            assert len(packet) == len(inner) + sa.overhead(len(inner), framing=framing)
    huge = ipv4(bytes(65_500))
    assert sa.encap(PacketBatch([huge]), framing="ip").statuses == [Status.TOO_LONG]
    assert sa.counters["too_long"] == 1


@pytest.mark.parametrize("packet", [b"", b"\x45", bytes(20), ipv4()[:-1], b"\x55" + ipv4()[1:], ipv6()[:39]])
def test_what_is_no_ip_packet_is_not_tunnelled(packet: bytes) -> None:
    sa = outbound()
    assert sa.encap(PacketBatch([packet, ipv4()])).statuses == [Status.MALFORMED, Status.OK]
    assert sa.sequence_number == 1, "it took no sequence number"


def test_octets_behind_a_packet_are_not_tunnelled() -> None:
    """Ethernet pads short frames; a capture has that too."""
    (packet,) = seal(outbound(), ipv4() + bytes(18))
    assert receive(inbound(), [packet]).packets.tolist() == [ipv4()]


def test_tcp_and_icmp_travel_as_well() -> None:
    packets = [tcp(), raw(IP(src="10.1.0.1", dst="10.2.0.1") / ICMP() / Raw(b"ping"))]
    assert receive(inbound(), seal(outbound(), *packets)).packets.tolist() == packets


def test_a_wrong_spi_and_other_protocols_are_told_apart() -> None:
    """E01: an SA opens only packets with its SPI."""
    sa = inbound()
    (sealed,) = seal(OutboundSa(0x2002, "aes128gcm16", bytes(range(20)), tunnel=OUTER), ipv4(), framing="ip")
    assert status(sa, sealed, framing="ip") is Status.WRONG_SPI
    assert status(sa, ipv4(), framing="ip") is Status.NOT_ESP
    assert status(sa, raw(UDP(sport=4500, dport=4500) / Raw(b"\xff")), framing="udp") is Status.NOT_ESP
    assert status(sa, raw(UDP(sport=4500, dport=4500) / Raw(bytes(32))), framing="udp") is Status.NOT_ESP
    assert sa.counters["wrong_spi"] == 1
    for spi in (0, -1, 1 << 32):
        with pytest.raises(ValueError, match=r"1\.\.4294967295"):
            InboundSa(spi, "aes128gcm16", bytes(20))
