"""From frames to the packets inside: every framing and mode, which SA opens what, and what is counted."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from esp_samples import (
    ETHERNET,
    HOST4,
    HOST6,
    INNER4,
    INNER6,
    OUTER4,
    OUTER6,
    SPI,
    ah,
    decrypt,
    protect,
    sa,
)
from key_samples import KEY_20, line, table
from pcap_samples import ETHERNET as MACS
from pcap_samples import checksum
from scapy.layers.inet import IP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import IPv6ExtHdrDestOpt
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Packet, Raw

from ironswan.pcap.report import document

ANY = table(src=None, dst=None)
AH_KEYS = table(src=None, dst=None, protocol="ah", suite="sha256", keymat=bytes(range(32)).hex())


@pytest.mark.parametrize("udp", [False, True], ids=["plain", "udp"])
@pytest.mark.parametrize("outer", [OUTER4, OUTER6], ids=["v4", "v6"])
@pytest.mark.parametrize("inner", [INNER4, INNER6], ids=["in4", "in6"])
@pytest.mark.parametrize("mode", ["auto", "tunnel"])
def test_tunnel_mode(tmp_path: Path, udp: bool, outer: Packet, inner: Packet, mode: str) -> None:
    packets = protect(sa(tunnel=outer), [inner] * 3, udp=udp)
    found, run = decrypt(tmp_path, packets, table(src=None, dst=None, mode=mode))
    assert found == [bytes(inner)] * 3
    assert [(met.packets, met.decrypted) for met in run.table.matched] == [(3, 3)]


@pytest.mark.parametrize("udp", [False, True], ids=["plain", "udp"])
@pytest.mark.parametrize("packet", [HOST4, HOST6], ids=["v4", "v6"])
@pytest.mark.parametrize("mode", ["auto", "transport"])
def test_transport_mode_gives_the_packet_as_it_was(tmp_path: Path, udp: bool, packet: Packet, mode: str) -> None:
    found, _ = decrypt(tmp_path, protect(sa(), [packet], udp=udp), table(src=None, dst=None, mode=mode))
    assert found == [bytes(packet)]


def test_transport_mode_keeps_options_and_extension_headers(tmp_path: Path) -> None:
    with_options = IP(src="192.0.2.1", dst="192.0.2.2", options=[IPOption_Router_Alert()]) / HOST4.payload
    found, _ = decrypt(tmp_path, protect(sa(), [with_options]))
    assert found == [bytes(with_options)]
    assert checksum(found[0][:24]) == 0
    (protected,) = protect(sa(), [HOST6])
    options = bytes(IPv6ExtHdrDestOpt(nh=50))
    length = int.from_bytes(protected[4:6]) + len(options)
    behind = protected[:4] + length.to_bytes(2) + bytes([60]) + protected[7:40] + options + protected[40:]
    found, _ = decrypt(tmp_path, [behind], ANY)
    assert found == [bytes(OUTER6 / IPv6ExtHdrDestOpt() / HOST6.payload)]


@pytest.mark.parametrize("packet", [HOST4, HOST6], ids=["v4", "v6"])
def test_ah_in_transport_mode(tmp_path: Path, packet: Packet) -> None:
    found, run = decrypt(tmp_path, protect(ah(), [packet] * 2), AH_KEYS)
    assert found == [bytes(packet)] * 2
    assert [met.protocol for met in run.table.matched] == ["ah"]


@pytest.mark.parametrize("outer", [OUTER4, OUTER6], ids=["v4", "v6"])
@pytest.mark.parametrize("mode", ["auto", "tunnel"])
def test_ah_in_tunnel_mode(tmp_path: Path, outer: Packet, mode: str) -> None:
    keys = AH_KEYS + f'mode = "{mode}"\n'
    assert decrypt(tmp_path, protect(ah(outer), [INNER4]), keys)[0] == [bytes(INNER4)]


@pytest.mark.parametrize("tags", [b"", b"\x81\x00\x00\x05", b"\x88\xa8\x00\x05\x81\x00\x00\x06"])
def test_ethernet_with_vlan_tags_and_padding(tmp_path: Path, tags: bytes) -> None:
    frames = [MACS + tags + b"\x08\x00" + packet + bytes(4) for packet in protect(sa(tunnel=OUTER4), [INNER4] * 2)]
    assert decrypt(tmp_path, frames, link=ETHERNET)[0] == [bytes(INNER4)] * 2


def test_keys_of_wireshark_open_either_mode(tmp_path: Path) -> None:
    packets = protect(sa(tunnel=OUTER4), [INNER4]) + protect(sa(), [HOST4], 2)
    assert decrypt(tmp_path, packets, line())[0] == [bytes(INNER4), bytes(HOST4)]


def test_output_keeps_the_order_and_the_times_of_the_capture(tmp_path: Path) -> None:
    numbered = [OUTER4.copy() / Raw(bytes([number])) for number in range(60)]
    one, two = sa(tunnel=OUTER4), sa(tunnel=OUTER4, spi=SPI + 1)
    packets = [
        *itertools.chain.from_iterable(zip(protect(one, numbered[0::2]), protect(two, numbered[1::2]), strict=True))
    ]
    packets.insert(7, bytes(HOST4))
    for chunk in (1, 7, 1000):
        found, _ = decrypt(tmp_path, packets, table() + table(spi=SPI + 1), chunk=chunk)
        assert found == [bytes(packet) for packet in numbered]


def test_capture_that_starts_mid_stream_is_decrypted(tmp_path: Path) -> None:
    packets = protect(sa(tunnel=OUTER4), [INNER4] * 5, 4_000_000_000)
    assert len(decrypt(tmp_path, packets)[0]) == 5


def test_duplicates_are_counted_and_decrypted_once(tmp_path: Path) -> None:
    packets = protect(sa(tunnel=OUTER4), [INNER4] * 4)
    found, run = decrypt(tmp_path, [packets[0], *packets, packets[3]], chunk=3)
    assert len(found) == 4
    assert [(met.decrypted, met.replays) for met in run.table.matched] == [(4, 2)]


def test_loose_order_is_within_the_window(tmp_path: Path) -> None:
    association = sa(tunnel=OUTER4)
    packets = protect(association, [INNER4], 65_000) + protect(association, [INNER4], 1)
    assert len(decrypt(tmp_path, packets)[0]) == 2
    found, run = decrypt(tmp_path, packets, table(replay_window=64))
    assert (len(found), run.table.matched[0].replays) == (1, 1)


def test_addresses_decide_between_sas_of_one_spi(tmp_path: Path) -> None:
    other = KEY_20.replace("0", "f")
    keys = [
        table(src=None, dst=None, keymat=other.replace("1", "e")),
        table(src="192.0.2.0/24", dst=None),
        table(src="192.0.2.9", dst=None, keymat=other),
    ]
    packets = protect(sa(tunnel=OUTER4), [INNER4])
    packets += protect(sa(tunnel=IP(src="192.0.2.9", dst="192.0.2.2"), key=other), [INNER4])
    for order in itertools.permutations(keys):
        found, run = decrypt(tmp_path, packets, "".join(order))
        assert len(found) == 2
        assert [met.endpoints[0] for met in run.table.matched] == ["192.0.2.1", "192.0.2.9"]


def test_wildcard_spi_opens_every_sa_with_its_own_window(tmp_path: Path) -> None:
    packets = [packet for spi in (0x1000, 0x2000) for packet in protect(sa(tunnel=OUTER4, spi=spi), [INNER4])]
    found, run = decrypt(tmp_path, packets, table(spi="*", src=None, dst=None))
    assert len(found) == 2
    assert [met.spi for met in run.table.matched] == [0x1000, 0x2000]


@pytest.mark.parametrize("spi", [0, 1, 255])
def test_reserved_spis_match_no_wildcard_or_fail(tmp_path: Path, spi: int) -> None:
    packet = protect(sa(tunnel=OUTER4), [INNER4])[0].replace(SPI.to_bytes(4), spi.to_bytes(4))
    assert decrypt(tmp_path, [packet], table(spi="*"))[0] == []


def test_sas_without_keys_are_listed_with_their_counts(tmp_path: Path) -> None:
    packets = protect(sa(tunnel=OUTER4, spi=0x2000), [INNER4] * 3) + protect(sa(tunnel=OUTER6), [INNER4] * 5)
    found, run = decrypt(tmp_path, packets)
    assert found == []
    assert document(run)["unmatched"] == [
        {"protocol": "esp", "spi": "0xc0000001", "source": "2001:db8::1", "destination": "2001:db8::2", "packets": 5},
        {"protocol": "esp", "spi": "0x00002000", "source": "192.0.2.1", "destination": "192.0.2.2", "packets": 3},
    ]


def test_wrong_key_and_forged_packets_are_failures(tmp_path: Path) -> None:
    packets = protect(sa(tunnel=OUTER4), [INNER4] * 3)
    packets[1] = packets[1][:-1] + bytes([packets[1][-1] ^ 1])
    found, run = decrypt(tmp_path, packets)
    assert len(found) == 2
    assert document(run)["totals"]["failures"] == {"icv_mismatch": 1}
    assert decrypt(tmp_path, packets, table(keymat="11" * 20))[0] == []


def test_mode_that_the_keys_deny_is_a_failure(tmp_path: Path) -> None:
    found, run = decrypt(tmp_path, protect(sa(), [HOST4]), table(mode="tunnel"))
    assert found == []
    assert run.table.matched[0].failures == {"other_mode": 1}


def test_transport_mode_leaves_ip_in_ip_as_it_is(tmp_path: Path) -> None:
    packet = OUTER4.copy() / INNER4
    assert decrypt(tmp_path, protect(sa(), [packet]), table(mode="transport"))[0] == [bytes(packet)]
    assert decrypt(tmp_path, protect(sa(), [packet]))[0] == [bytes(INNER4)]


def test_tfc_padding_is_taken_off(tmp_path: Path) -> None:
    padded = OUTER4.copy() / (bytes(INNER4) + bytes(100))
    padded.proto = 4
    assert decrypt(tmp_path, protect(sa(), [padded]))[0] == [bytes(INNER4)]


def test_dummy_packets_are_counted(tmp_path: Path) -> None:
    dummy = OUTER4.copy() / Raw(bytes(64))
    dummy.proto = 59
    found, run = decrypt(tmp_path, protect(sa(), [dummy]))
    assert found == []
    assert run.table.matched[0].dummies == 1


def test_ike_keepalives_fragments_and_cut_packets_are_counted(tmp_path: Path) -> None:
    (packet,) = protect(sa(tunnel=OUTER4), [INNER4])
    packets = [
        bytes(OUTER4 / UDP(sport=4500, dport=31337) / Raw(bytes(4) + b"IKE")),
        bytes(OUTER4 / UDP(sport=31337, dport=4500) / Raw(b"\xff")),
        packet[:6] + b"\x20" + packet[7:],
        packet[:-1],
        bytes(HOST4),
        b"\x45",
        packet,
    ]
    found, run = decrypt(tmp_path, packets)
    assert len(found) == 1
    totals = document(run)["totals"]
    names = ("ike", "keepalives", "fragments", "truncated", "other_ip", "malformed", "esp", "decrypted")
    assert [totals[name] for name in names] == [1] * 8
    assert totals["frames"] == 7


@pytest.mark.parametrize("last", [INNER4, OUTER4.copy() / Raw(b"x"), OUTER4.copy() / Raw(bytes(90))])
def test_datagram_of_several_packets_as_segmentation_offload_shows_it(tmp_path: Path, last: Packet) -> None:
    packets = [packet[20:] for packet in protect(sa(tunnel=OUTER4), [INNER4] * 4 + [last], 0xFFFF_FFFE - 4)]
    datagram = bytes(OUTER4 / UDP(sport=4500, dport=4500) / Raw(b"".join(packets)))
    found, run = decrypt(tmp_path, [datagram])
    if len(packets[-1]) > len(packets[0]):
        # Only the last segment may differ, and only be shorter: this is no such datagram.
        assert found == []
    else:
        assert found == [bytes(INNER4)] * 4 + [bytes(last)]
        assert run.totals.coalesced == 1


def test_other_port_of_encapsulation(tmp_path: Path) -> None:
    packets = protect(sa(tunnel=OUTER4), [INNER4], udp=True, port=10_000)
    assert decrypt(tmp_path, packets)[0] == []
    assert decrypt(tmp_path, packets, ports=frozenset({4500, 10_000}))[0] == [bytes(INNER4)]


def test_more_sas_than_can_be_told_apart_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ironswan.pcap.sas.MAXIMUM_SAS", 3)
    packets = [protect(sa(tunnel=OUTER4, spi=0x1000 + number), [INNER4])[0] for number in range(5)]
    _, run = decrypt(tmp_path, packets)
    assert len(run.table.unmatched) == 3
    assert document(run)["totals"]["unmatched"] == 5


@pytest.mark.parametrize(
    ("algorithm", "octets", "suite"),
    [("AES-GCM", 36, "aes256gcm16"), ("AES-CCM", 19, "aes128ccm16"), ("CHACHA20-POLY1305", 36, "chacha20poly1305")],
)
def test_suites_that_wireshark_has_no_name_for_too(tmp_path: Path, algorithm: str, octets: int, suite: str) -> None:
    key = bytes(range(octets))
    association = SecurityAssociation(ESP, SPI, crypt_algo=algorithm, crypt_key=key, tunnel_header=OUTER4)
    found, _ = decrypt(tmp_path, protect(association, [INNER4]), table(suite=suite, keymat=key.hex()))
    assert found == [bytes(INNER4)]


@pytest.mark.parametrize("upper", [0, 1, 5, 63])
def test_upper_half_of_an_extended_sequence_number_is_found_mid_stream(tmp_path: Path, upper: int) -> None:
    """RFC 4303 2.2.1: it is authenticated and not sent."""
    association = SecurityAssociation(
        ESP, SPI, crypt_algo="AES-GCM", crypt_key=bytes.fromhex(KEY_20), tunnel_header=OUTER4, esn_en=True, esn=upper
    )
    packets = protect(association, [INNER4] * 3, 7_000_000)
    assert decrypt(tmp_path, packets, table(esn=True), chunk=2)[0] == [bytes(INNER4)] * 3
    known = table(esn=True, sequence_number=upper << 32)
    assert decrypt(tmp_path, packets, known)[0] == [bytes(INNER4)] * 3
    assert decrypt(tmp_path, packets, table(keymat="11" * 20, esn=True))[0] == []
