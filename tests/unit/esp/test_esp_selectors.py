"""What an SA may carry (RFC 4301 5.2, 7), and checksums behind a NAT (RFC 3948 3.1.2)."""

from __future__ import annotations

import pytest
from esp_packets import inbound, ipv4, ipv6, outbound, raw, receive, seal, status, tcp
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    PadN,
    RouterAlert,
)
from scapy.packet import Packet, Raw

from ironswan.esp import Status

V4 = IP(src="10.1.0.1", dst="10.2.0.1")
V6 = IPv6(src="fd00:1::1", dst="fd00:2::1")
ECHO = raw(V4 / ICMP(type=8) / Raw(b"ping"))
GRE = raw(IP(src="10.1.0.1", dst="10.2.0.1", proto=47) / Raw(bytes(8)))
ECHO6 = raw(V6 / ICMPv6EchoRequest(id=3) / Raw(b"ping"))
OPTIONED = raw(
    V6
    / IPv6ExtHdrHopByHop(options=[RouterAlert()])
    / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])
    / UDP(sport=1000, dport=2000)
    / Raw(b"x")
)
OK, MISMATCH = Status.OK, Status.SELECTOR_MISMATCH
BOTH4, BOTH6 = ("10.1.0.0/16", "10.2.0.0/16"), ("fd00:1::/64", "fd00:2::/64")

Case = tuple[list[tuple[str, str]], bytes, Status]
CASES: list[Case] = [
    ([BOTH6], ipv6(), OK),
    ([BOTH4], ipv6(), MISMATCH),
    ([BOTH4, BOTH6], ipv6(), OK),
    ([("10.1.0.0-10.1.0.1", "10.2.0.1-10.2.0.9")], ipv4(), OK),
    ([("10.1.0.2-10.1.0.9", "0.0.0.0/0")], ipv4(), MISMATCH),
    ([("0.0.0.0/0", "10.2.0.2-10.2.0.9")], ipv4(), MISMATCH),
    ([("fd00:1::1", "fd00:2::1")], ipv6(), OK),
    ([("fd00:1::1[udp/1000]", "fd00:2::1[udp/2000]")], OPTIONED, OK),
    ([("fd00:1::1[udp/1000]", "fd00:2::1[udp/2001]")], OPTIONED, MISMATCH),
    ([("10.1.0.1[tcp]", "10.2.0.1[tcp/80]")], tcp(), OK),
    ([("10.1.0.1[tcp]", "10.2.0.1[tcp/443]")], tcp(), MISMATCH),
    ([("10.1.0.1[icmp]", "10.2.0.1[icmp]")], ECHO, OK),
    ([("10.1.0.1[icmp]", "10.2.0.1[icmp]")], tcp(), MISMATCH),
    ([("fd00:1::1[ipv6-icmp]", "fd00:2::1[ipv6-icmp]")], ECHO6, OK),
    ([("10.1.0.1[47]", "10.2.0.1[47]")], GRE, OK),
    ([("10.1.0.1[47]", "10.2.0.1[47]")], ECHO, MISMATCH),
    # Neither pair fits by itself: the source of one and the destination of the other do not make one.
    ([("10.1.0.1", "10.9.0.1"), ("10.9.0.1", "10.2.0.1")], ipv4(), MISMATCH),
]


@pytest.mark.parametrize("suite", ["aes128gcm16", "aes128-sha256"])
@pytest.mark.parametrize("case", CASES)
def test_a_packet_goes_on_if_a_pair_of_selectors_holds_it(suite: str, case: Case) -> None:
    """A03: RFC 4301 5.2 step 4; a mismatch is an auditable event and gives nothing out."""
    selectors, packet, expected = case
    sa = inbound(suite, selectors=selectors)
    results = receive(sa, seal(outbound(suite), packet))
    assert results.statuses == [expected]
    assert results.packets.tolist() == [packet if expected is OK else b""]
    assert sa.counters["selector_mismatch"] == (expected is MISMATCH)
    assert sa.sequence_number == 1, "an authentic packet was seen, whatever it held"


PORTS = {
    "v4": [("10.1.0.1[udp]", "10.2.0.1[udp/2000]")],
    "v6": [("fd00:1::1[udp]", "fd00:2::1[udp/2000]")],
}


def parts_of_v6() -> list[bytes]:
    datagram = ipv6(bytes(64))[40:]
    first = V6 / IPv6ExtHdrFragment(nh=17, offset=0, m=1, id=9) / Raw(datagram[:48])
    second = V6 / IPv6ExtHdrFragment(nh=17, offset=6, m=0, id=9) / Raw(datagram[48:])
    return [raw(first), raw(second)]


@pytest.mark.parametrize("family", PORTS)
def test_only_first_fragments_have_ports_to_select_by(family: str) -> None:
    """A16: RFC 4301 7.1; others need an SA for all ports, of all protocols or theirs, and that carries them."""
    parts = [raw(part) for part in fragment(IP(ipv4(bytes(64))), fragsize=48)] if family == "v4" else parts_of_v6()
    sealed = seal(outbound(), *parts)
    assert receive(inbound(selectors=PORTS[family]), sealed).statuses == [OK] + [MISMATCH] * (len(parts) - 1)
    both = BOTH4 if family == "v4" else BOTH6
    assert receive(inbound(selectors=[both]), sealed).packets.tolist() == parts
    of_udp = (f"{both[0]}[udp]", f"{both[1]}[udp]")
    assert receive(inbound(selectors=[of_udp]), sealed).packets.tolist() == parts
    assert receive(inbound(), sealed).packets.tolist() == parts


@pytest.mark.parametrize("octets", range(8))
def test_a_first_fragment_too_short_for_its_ports_has_none(octets: int) -> None:
    """A16: RFC 1858 3."""
    tiny = raw(IP(src="10.1.0.1", dst="10.2.0.1", proto=17, flags="MF") / Raw(ipv4()[20 : 20 + octets]))
    expected = OK if octets >= 4 else MISMATCH
    assert status(inbound(selectors=PORTS["v4"]), seal(outbound(), tiny)[0]) is expected


def test_an_outer_fragment_is_told_from_an_inner_one() -> None:
    """A16, E15: an inner one is a packet like any other; an outer one is not opened."""
    parts = [raw(part) for part in fragment(IP(ipv4(bytes(64))), fragsize=48)]
    sealed = seal(outbound(tunnel=("192.0.2.1", "192.0.2.2")), *parts, framing="ip")
    assert receive(inbound(), sealed, framing="ip").packets.tolist() == parts
    for flags in (0x2000, 0x0001, 0x2001, 0x1FFF):
        changed = [packet[:6] + flags.to_bytes(2) + packet[8:] for packet in sealed]
        sa = inbound()
        assert set(receive(sa, changed, framing="ip").statuses) == {Status.FRAGMENT}
        assert sa.counters["fragment"] == len(parts)


NAT = {"mode": "transport", "nat_oa": ("10.1.0.1", "10.2.0.1")}


def behind_nat(sealed: bytes, source: str, destination: str) -> bytes:
    """The packet with the addresses a NAT gave it."""
    outer = IP(sealed)
    outer.src, outer.dst = source, destination
    del outer.chksum
    return raw(outer)


def through_nat(packet: bytes, **options: object) -> bytes:
    """What the receiver behind a NAT hands on."""
    (sealed,) = seal(outbound(mode="transport", udp_encap=(4500, 4500)), packet, framing="ip")
    moved = behind_nat(sealed, "203.0.113.7", "198.51.100.9")
    (opened,) = receive(inbound(**NAT | options), [moved], framing="ip").packets.tolist()
    return opened


@pytest.mark.parametrize("upper", [
    ICMP(type=8) / Raw(b"ping"), UDP(sport=1, dport=2, chksum=0) / Raw(b"q"), Raw(bytes(3)),
], ids=["icmp", "udp without", "no header"])  # fmt: skip
def test_what_does_not_cover_the_addresses_is_left_alone(upper: Packet) -> None:
    """RFC 3948 3.1.2: ICMP over IPv4 has no pseudo-header; a UDP checksum of zero is none."""
    packet = raw(V4 / upper)
    expected = raw(IP(src="203.0.113.7", dst="198.51.100.9") / Raw(packet[20:]))
    opened = through_nat(packet)
    assert opened[20:] == expected[20:] == packet[20:]


@pytest.mark.parametrize(("protocol", "octets"), [(6, 0), (6, 16), (6, 17), (17, 5), (17, 6), (17, 7)])
def test_a_header_without_its_checksum_is_left_alone(protocol: int, octets: int) -> None:
    """Authentic and cut short by its sender: nothing is written outside of it."""
    packet = raw(IP(src="10.1.0.1", dst="10.2.0.1", proto=protocol) / Raw(b"\xee" * octets))
    assert through_nat(packet)[20:] == packet[20:]


def test_a_udp_checksum_that_comes_to_zero_is_sent_as_all_ones() -> None:
    """RFC 768: zero would say there is none. The source port makes the sum come out so."""
    found = []
    for port in range(1 << 16):
        total = 0xCB00 + 0x7107 + 0xC633 + 0x6409 + 17 + 8 + 8 + port + 2000
        if (total & 0xFFFF) + (total >> 16) == 0xFFFF:
            found.append(port)
    packet = raw(V4 / UDP(sport=found[0], dport=2000))
    assert through_nat(packet)[26:28] == b"\xff\xff"


def test_selectors_see_the_addresses_after_the_nat() -> None:
    """A03: the inner addresses of transport mode are those of the packet that came."""
    seen = through_nat(ipv4(), selectors=[("203.0.113.7", "198.51.100.9[udp/2000]")])
    assert (IP(seen).src, IP(seen).dst) == ("203.0.113.7", "198.51.100.9")
    (sealed,) = seal(outbound(mode="transport", udp_encap=(4500, 4500)), ipv4(), framing="ip")
    sa = inbound(**NAT, selectors=[("10.1.0.1", "10.2.0.1")])
    assert status(sa, behind_nat(sealed, "203.0.113.7", "198.51.100.9"), framing="ip") is MISMATCH


def test_without_a_nat_nothing_is_mended() -> None:
    (sealed,) = seal(outbound(mode="transport", udp_encap=(4500, 4500)), tcp(), framing="ip")
    assert receive(inbound(**NAT), [sealed], framing="ip").packets.tolist() == [tcp()]
    moved = behind_nat(sealed, "203.0.113.7", "198.51.100.9")
    (opened,) = receive(inbound(mode="transport"), [moved], framing="ip").packets.tolist()
    assert IP(opened)[TCP].chksum == IP(tcp())[TCP].chksum, "the application sees what the sender wrote"
