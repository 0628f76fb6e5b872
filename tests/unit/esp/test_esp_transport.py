"""Transport mode: where ESP goes in a packet, bare payloads, and checksums behind a NAT (RFC 3948 3.1.2)."""

from __future__ import annotations

import pytest
from esp_packets import inbound, ipv4, ipv6, outbound, raw, receive, seal, status, tcp
from scapy.layers.inet import IP, TCP, UDP, IPOption_Router_Alert, fragment
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    RouterAlert,
)
from scapy.packet import Raw

from ironswan.esp import PacketBatch, Status

EXTENSIONS = {
    "none": IPv6(src="fd00:1::1", dst="fd00:2::1") / UDP() / Raw(b"x"),
    "hop by hop": IPv6(src="fd00:1::1", dst="fd00:2::1") / IPv6ExtHdrHopByHop(options=[RouterAlert()]) / UDP(),
    "routing": IPv6(src="fd00:1::1", dst="fd00:2::1") / IPv6ExtHdrRouting(addresses=["fd00:3::1"]) / UDP(),
    "options on the way": IPv6(src="fd00:1::1", dst="fd00:2::1")
    / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])
    / IPv6ExtHdrRouting(addresses=["fd00:3::1"])
    / UDP(),
    "options at the end": IPv6(src="fd00:1::1", dst="fd00:2::1")
    / IPv6ExtHdrHopByHop(options=[RouterAlert()])
    / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])
    / UDP()
    / Raw(b"y"),
}
ESP_AT = {"none": 40, "hop by hop": 48, "routing": 64, "options on the way": 72, "options at the end": 48}


@pytest.mark.parametrize("name", EXTENSIONS)
@pytest.mark.parametrize("ports", [None, (4500, 4500)], ids=["plain", "in udp"])
def test_esp_stands_behind_the_headers_that_are_read_on_the_way(name: str, ports: tuple[int, int] | None) -> None:
    """A20: RFC 4303 3.1.1; options that only the destination reads are protected."""
    packet = raw(EXTENSIONS[name])
    (sealed,) = seal(outbound(mode="transport", udp_encap=ports), packet, framing="ip")
    at = ESP_AT[name] + (8 if ports else 0)
    assert sealed[at : at + 4] == (0x1001).to_bytes(4)
    assert int.from_bytes(sealed[4:6]) == len(sealed) - 40
    opened = receive(inbound(mode="transport"), [sealed], framing="ip")
    assert opened.packets.tolist() == [packet]


def test_ipv4_options_stay_in_front() -> None:
    packet = raw(IP(src="10.1.0.1", dst="10.2.0.1", options=[IPOption_Router_Alert()]) / UDP() / Raw(b"z"))
    (sealed,) = seal(outbound(mode="transport"), packet, framing="ip")
    assert sealed[20:24] == packet[20:24]
    assert IP(sealed).proto == 50
    assert receive(inbound(mode="transport"), [sealed], framing="ip").packets.tolist() == [packet]


@pytest.mark.parametrize("framing", ["esp", "udp"])
def test_bare_payloads_go_in_and_come_out(framing: str) -> None:
    """E11: any length, padded to the suite's alignment with 1, 2, 3, ..."""
    sender, receiver = (
        outbound("null-sha256", mode="transport", udp_encap=(4500, 4500)),
        inbound("null-sha256", mode="transport"),
    )
    payloads = [bytes(size) for size in range(40)]
    results = sender.encap(PacketBatch(payloads), framing=framing, next_header=6)
    assert results.ok
    for payload, sealed in zip(payloads, results.packets.tolist(), strict=True):
        body = sealed[16 if framing == "udp" else 8 : -16]
        pad_len = body[-2]
        assert len(body) % 4 == 0
        assert body == payload + bytes(range(1, pad_len + 1)) + bytes([pad_len, 6])
    opened = receiver.decap(results.packets, framing=framing)
    assert opened.packets.tolist() == payloads
    assert set(opened.next_headers) == {6}


def test_fragments_are_not_for_transport_mode() -> None:
    """RFC 4303 3.1.1, 3.3.4: ESP in transport mode is applied to whole datagrams."""
    parts = [raw(part) for part in fragment(IP(ipv4(bytes(100))), fragsize=48)]
    assert set(outbound(mode="transport").encap(PacketBatch(parts), framing="ip").statuses) == {Status.FRAGMENT}


OPTIONS = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])


@pytest.mark.parametrize(
    "before", [OPTIONS, OPTIONS / OPTIONS, IPv6ExtHdrHopByHop(options=[RouterAlert()]) / OPTIONS], ids=range(3)
)
def test_fragments_are_found_behind_options(before: object) -> None:
    """RFC 4303 3.1.1: destination options before the fragment header hide it neither out nor in."""
    start = IPv6(src="fd00:1::1", dst="fd00:2::1") / before
    part = raw(start / IPv6ExtHdrFragment(m=1, nh=17) / Raw(bytes(24)))
    assert outbound(mode="transport").encap(PacketBatch([part]), framing="ip").statuses == [Status.FRAGMENT]
    received = raw(start / IPv6ExtHdrFragment(m=1, nh=50) / Raw(bytes(64)))
    assert status(inbound(mode="transport"), received, framing="ip") is Status.FRAGMENT


def test_a_whole_datagram_with_a_fragment_header_behind_options_is_taken() -> None:
    """RFC 6946: without offset and more fragments it is whole; ESP stands behind the header."""
    packet = raw(IPv6(src="fd00:1::1", dst="fd00:2::1") / OPTIONS / IPv6ExtHdrFragment() / UDP() / Raw(b"whole"))
    (sealed,) = seal(outbound(mode="transport"), packet, framing="ip")
    assert sealed[56:60] == (0x1001).to_bytes(4)
    assert receive(inbound(mode="transport"), [sealed], framing="ip").packets.tolist() == [packet]


def changed(packet: bytes, source: str, destination: str) -> bytes:
    """What a NAT makes of a packet of ESP in UDP: other addresses, checksum of the header right."""
    outer = IP(packet)
    outer.src, outer.dst = source, destination
    del outer.chksum
    return raw(outer)


@pytest.mark.parametrize(
    "packet",
    [tcp(), ipv4(), raw(IP(src="10.1.0.1", dst="10.2.0.1") / UDP(chksum=0) / Raw(b"q"))],
    ids=["tcp", "udp", "udp without"],
)
def test_checksums_are_mended_behind_a_nat(packet: bytes) -> None:
    """RFC 3948 3.1.2: the checksum was made with the peer's own addresses."""
    (sealed,) = seal(outbound(mode="transport", udp_encap=(4500, 4500)), packet, framing="ip")
    sa = inbound(mode="transport", nat_oa=("10.1.0.1", "10.2.0.1"))
    (opened,) = receive(sa, [changed(sealed, "203.0.113.7", "198.51.100.9")], framing="ip").packets.tolist()
    result = IP(opened)
    layer = TCP if TCP in result else UDP
    checksum = result[layer].chksum
    if IP(packet)[layer].chksum == 0:
        assert checksum == 0, "a datagram without checksum stays without"
        return
    del result[layer].chksum
    assert IP(raw(result))[layer].chksum == checksum
    assert (result.src, result.dst) == ("203.0.113.7", "198.51.100.9")


@pytest.mark.parametrize("upper", [UDP(sport=1, dport=2), ICMPv6EchoRequest(id=3), TCP(sport=1, dport=2)])
def test_checksums_are_mended_in_ipv6_too(upper: object) -> None:
    packet = raw(IPv6(src="fd00:1::1", dst="fd00:2::1") / upper / Raw(b"odd"))
    (sealed,) = seal(outbound(mode="transport"), packet, framing="ip")
    moved = IPv6(sealed)
    moved.src = "fd00:9::9"
    sa = inbound(mode="transport", nat_oa=("fd00:1::1", "fd00:2::1"))
    (opened,) = receive(sa, [raw(moved)], framing="ip").packets.tolist()
    assert opened == raw(IPv6(src="fd00:9::9", dst="fd00:2::1") / upper / Raw(b"odd"))


def test_selectors_need_addresses() -> None:
    """A03: without IP headers there is nothing to hold against them, which is the caller's mistake."""
    sa = inbound(mode="transport", selectors=[("10.1.0.0/16", "10.2.0.0/16")])
    (sealed,) = seal(outbound(mode="transport"), ipv4(), framing="ip")
    with pytest.raises(ValueError, match='framing="ip"'):
        sa.decap(PacketBatch([sealed[20:]]))
    assert status(sa, sealed, framing="ip") is Status.OK
    other = inbound(mode="transport", selectors=[("10.3.0.0/16", "10.2.0.0/16")])
    assert status(other, sealed, framing="ip") is Status.SELECTOR_MISMATCH


def test_ipv6_without_next_header_is_a_dummy_to_its_receiver() -> None:
    """E13: next header 59 says so in either direction."""
    (sealed,) = seal(outbound(mode="transport"), raw(IPv6(src="fd00:1::1", dst="fd00:2::1", nh=59)), framing="ip")
    assert status(inbound(mode="transport"), sealed, framing="ip") is Status.DUMMY
    assert ipv6() != sealed


@pytest.mark.parametrize("ports", [None, (4500, 4500)], ids=["plain", "in udp"])
def test_options_before_ah_are_protected_with_it(ports: tuple[int, int] | None) -> None:
    """What follows the destination options of a packet that is sent does not matter, not even AH."""
    options = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))], nh=51)
    packet = raw(IPv6(src="fd00:1::1", dst="fd00:2::1") / options / Raw(bytes(24)))
    (sealed,) = seal(outbound(mode="transport", udp_encap=ports), packet, framing="ip")
    assert receive(inbound(mode="transport"), [sealed], framing="ip").packets.tolist() == [packet]


def test_received_options_may_stand_before_esp() -> None:
    """RFC 4303 3.1.1: they may be before or behind it."""
    (sealed,) = seal(outbound(mode="transport"), ipv6(), framing="ip")
    options = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))], nh=50)
    moved = raw(IPv6(src="fd00:1::1", dst="fd00:2::1") / options / Raw(sealed[40:]))
    (opened,) = receive(inbound(mode="transport"), [moved], framing="ip").packets.tolist()
    assert opened == raw(
        IPv6(src="fd00:1::1", dst="fd00:2::1") / IPv6ExtHdrDestOpt(options=options.options) / Raw(ipv6()[40:])
    ).replace(bytes([59, 0]), bytes([17, 0]), 1)
