"""Finding ESP and AH in IP packets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pcap_samples import ipv4, ipv6, udp

from ironswan.pcap.finder import Found, find

ESP = bytes.fromhex("c000000100000001") + bytes(40)
AH = bytes.fromhex("32040000c000000100000001") + bytes(12) + ESP
PORTS = frozenset({4500})
HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60


def found(packet: bytes, ports: frozenset[int] = PORTS) -> tuple[Found, int, int, int]:
    """Between other octets, so that nothing outside of the frame is looked at."""
    data = b"\xff" * 5 + packet + b"\xff" * 5
    kind, header, stop, next_at = find(data, 5, 5 + len(packet), ports)
    return kind, header - 5, stop - 5, next_at - 5


def test_esp_in_ipv4() -> None:
    assert found(ipv4(50, ESP)) == (Found.ESP, 20, 68, 9)


def test_esp_behind_ipv4_options() -> None:
    assert found(ipv4(50, ESP, options=b"\x94\x04\x00\x00")) == (Found.ESP, 24, 72, 9)


def test_esp_ends_where_the_packet_does_and_not_the_frame() -> None:
    assert found(ipv4(50, ESP) + bytes(6))[2] == 68
    assert found(ipv6(50, ESP) + bytes(6))[2] == 88


def test_esp_of_a_packet_captured_before_segmentation_ends_with_the_frame() -> None:
    packet = ipv4(50, ESP)
    assert found(packet[:2] + b"\0\0" + packet[4:]) == (Found.ESP, 20, 68, 9)


def test_ah() -> None:
    assert found(ipv4(51, AH)) == (Found.AH, 20, 20 + len(AH), 9)
    assert found(ipv6(51, AH)) == (Found.AH, 40, 40 + len(AH), 6)


def test_esp_in_ipv6() -> None:
    assert found(ipv6(50, ESP)) == (Found.ESP, 40, 88, 6)


def test_esp_behind_ipv6_extension_headers() -> None:
    chain = bytes([ROUTING, 0]) + bytes(6) + bytes([DESTINATION, 1]) + bytes(14) + bytes([50, 0]) + bytes(6)
    assert found(ipv6(HOP, chain + ESP)) == (Found.ESP, 72, 120, 64)


def test_atomic_fragment_is_a_whole_packet() -> None:
    assert found(ipv6(FRAGMENT, bytes([50, 0, 0, 0]) + bytes(4) + ESP)) == (Found.ESP, 48, 96, 40)


@pytest.mark.parametrize(("source", "destination"), [(4500, 4500), (4500, 31337), (31337, 4500)])
def test_esp_in_udp_on_either_port(source: int, destination: int) -> None:
    assert found(ipv4(17, udp(source, destination, ESP))) == (Found.ESP_IN_UDP, 28, 76, 9)
    assert found(ipv6(17, udp(source, destination, ESP))) == (Found.ESP_IN_UDP, 48, 96, 6)


def test_other_ports_are_found_when_asked_for() -> None:
    packet = ipv4(17, udp(31337, 10000, ESP))
    assert found(packet)[0] is Found.OTHER
    assert found(packet, frozenset({4500, 10000}))[0] is Found.ESP_IN_UDP


def test_udp_length_ends_esp() -> None:
    assert found(ipv4(17, udp(4500, 4500, ESP) + b"behind"))[2] == 76


def test_non_esp_marker_is_ike() -> None:
    assert found(ipv4(17, udp(4500, 4500, bytes(4) + b"IKE message")))[0] is Found.IKE


def test_one_octet_of_ones_is_a_keepalive() -> None:
    assert found(ipv4(17, udp(4500, 4500, b"\xff")))[0] is Found.KEEPALIVE
    assert found(ipv4(17, udp(4500, 4500, b"\xff")) + bytes(17))[0] is Found.KEEPALIVE
    assert found(ipv4(17, udp(4500, 4500, b"\xfe")))[0] is Found.MALFORMED


@pytest.mark.parametrize("flags", [0x2000, 0x0001, 0x2010])
def test_fragments_of_esp_and_ah_are_told_apart(flags: int) -> None:
    assert found(ipv4(50, ESP, flags=flags))[0] is Found.FRAGMENT
    assert found(ipv4(51, AH, flags=flags))[0] is Found.FRAGMENT
    assert found(ipv4(6, ESP, flags=flags))[0] is Found.OTHER


def test_do_not_fragment_is_no_fragment() -> None:
    assert found(ipv4(50, ESP, flags=0x4000))[0] is Found.ESP


def test_first_fragment_of_encapsulated_esp_tells_by_its_ports() -> None:
    assert found(ipv4(17, udp(4500, 4500, ESP), flags=0x2000))[0] is Found.FRAGMENT
    assert found(ipv4(17, udp(53, 31337, ESP), flags=0x2000))[0] is Found.OTHER
    assert found(ipv4(17, udp(4500, 4500, ESP), flags=0x0001))[0] is Found.OTHER


@pytest.mark.parametrize("field", [b"\x00\x01", b"\x00\x08", b"\x10\x01"])
def test_ipv6_fragments(field: bytes) -> None:
    assert found(ipv6(FRAGMENT, bytes([50, 0]) + field + bytes(4) + ESP))[0] is Found.FRAGMENT


@pytest.mark.parametrize("packet", [ipv4(50, ESP), ipv6(50, ESP), ipv4(51, AH), ipv4(17, udp(4500, 4500, ESP))])
def test_packet_cut_by_the_snap_length_is_truncated(packet: bytes) -> None:
    assert found(packet[:-1])[0] is Found.TRUNCATED


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x45",
        b"\x55" + bytes(30),
        ipv4(50, ESP)[:19],
        b"\x44" + ipv4(50, ESP)[1:],
        ipv4(50, ESP[:7]),
        ipv4(51, AH[:11]),
        ipv4(17, udp(4500, 4500, ESP[:7])),
        ipv6(50, ESP)[:39],
        ipv6(HOP, b"\x32"),
        b"\x4f" + ipv4(50, ESP[:8])[1:],
    ],
)
def test_packets_that_make_no_sense_are_malformed(packet: bytes) -> None:
    assert found(packet)[0] is Found.MALFORMED


@pytest.mark.parametrize("packet", [ipv4(6, bytes(20)), ipv6(58, bytes(8)), ipv6(59, b""), ipv4(17, bytes(7))])
def test_anything_else_is_other(packet: bytes) -> None:
    assert found(packet)[0] is Found.OTHER


@given(st.binary(max_size=120), st.sampled_from([b"\x45", b"\x4f", b"\x60"]), st.sampled_from([0, 17, 43, 44, 50, 51]))
def test_no_packet_leads_outside_of_itself(rest: bytes, first: bytes, protocol: int) -> None:
    packet = bytearray(first + rest)
    if len(packet) > 9:
        packet[6 if first == b"\x60" else 9] = protocol
    kind, header, stop, next_at = found(bytes(packet))
    if kind <= Found.AH:
        assert 20 <= header < stop <= len(packet)
        assert 0 <= next_at < header
