"""Packets that RFCs, drafts and DPDK published, opened through `InboundSa`; esp.json names sources and licences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ironswan.esp import InboundSa, PacketBatch, Results, Status, suites

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "vectors" / "esp.json").read_text())["vectors"]
OFFERED = {suite.keyword for suite in suites() if suite.protocol == "esp"}
CIPHERS = {
    "aes-gcm-16": "aes{bits}gcm16", "aes-ccm-16": "aes{bits}ccm16", "aes-gmac": "aes{bits}gmac", "aes-cbc": "aes{bits}",
    "aes-ctr": "aes{bits}ctr", "3des-cbc": "3des", "chacha20-poly1305": "chacha20poly1305", "null": "null",
}  # fmt: skip
CODES = {
    "none": "", "hmac-sha256-128": "-sha256", "hmac-sha384-192": "-sha384", "hmac-sha512-256": "-sha512",
    "hmac-md5-96": "-md5", "aes-xcbc-96": "-aesxcbc",
}  # fmt: skip


def keyword(vector: dict[str, Any]) -> str:
    return CIPHERS[vector["encr"]].format(bits=4 * len(vector["enc_key"])) + CODES[vector["integ"]]


def keymat(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["enc_key"] + vector["salt"] + vector["auth_key"])


def identity(vector: dict[str, Any]) -> str:
    return str(vector["id"])


SUITABLE = [vector for vector in VECTORS if keyword(vector) in OFFERED]
KNOWN = [vector for vector in SUITABLE if vector["spi"] != 0]


def opened(vector: dict[str, Any], packet: bytes, framing: Any = "esp", times: int = 1) -> Results:
    before = (vector["seq_hi"] << 32 | vector["seq"]) - 1
    sa = InboundSa(
        vector["spi"], keyword(vector), keymat(vector), mode="transport", esn=vector["esn"], sequence_number=before
    )
    return sa.decap(PacketBatch([packet] * times), framing=framing)


def in_udp(esp: bytes) -> bytes:
    return bytes.fromhex("1194c350") + (8 + len(esp)).to_bytes(2) + bytes(2) + esp


@pytest.mark.parametrize("vector", KNOWN, ids=identity)
def test_published_packets_open_to_what_they_say_and_once(vector: dict[str, Any]) -> None:
    """E05, E07, E13, E19, E22 to E25, E27, E28."""
    packet = bytes.fromhex(vector["esp_packet"])
    for framing, sent in (("esp", packet), ("udp", in_udp(packet))):
        results = opened(vector, sent, framing, times=2)
        if vector["next_header"] == 59:
            assert results.statuses == [Status.DUMMY, Status.REPLAYED]
            continue
        assert results.statuses == [Status.OK, Status.REPLAYED]
        assert results.packets.tolist() == [bytes.fromhex(vector["inner"]), b""]
        assert list(results.next_headers) == [vector["next_header"], 0]
        assert results.sequence_numbers == [vector["seq_hi"] << 32 | vector["seq"], 0]


@pytest.mark.parametrize("vector", KNOWN, ids=identity)
def test_a_published_packet_that_was_cut_or_changed_does_not_open(vector: dict[str, Any]) -> None:
    """E17."""
    packet = bytes.fromhex(vector["esp_packet"])
    for at in range(8, len(packet), 7):
        changed = packet[:at] + bytes([packet[at] ^ 1]) + packet[at + 1 :]
        assert opened(vector, changed).statuses == [Status.ICV_MISMATCH]
        assert opened(vector, packet[:at]).statuses[0] in {Status.MALFORMED, Status.ICV_MISMATCH}


@pytest.mark.parametrize("vector", [v for v in KNOWN if v["next_header"] in {4, 41}], ids=identity)
def test_published_tunnels_are_tunnels(vector: dict[str, Any]) -> None:
    """Some of the inner packets are cut short in the publication; those are refused."""
    inner = bytes.fromhex(vector["inner"])
    sa = InboundSa(vector["spi"], keyword(vector), keymat(vector), sequence_number=vector["seq"] - 1)
    results = sa.decap(PacketBatch([bytes.fromhex(vector["esp_packet"])]))
    length = int.from_bytes(inner[2:4]) if vector["next_header"] == 4 else 40 + int.from_bytes(inner[4:6])
    whole = inner[0] >> 4 == {4: 4, 41: 6}[vector["next_header"]] and length <= len(inner)
    assert results.packets.tolist() == [inner[:length] if whole else b""]
    assert results.ok is whole


def test_what_is_not_opened_is_not_offered() -> None:
    """E18, E29: the others have no integrity algorithm, or MD5."""
    assert (len(VECTORS), len(SUITABLE), len(KNOWN)) == (39, 34, 33)
    for vector in VECTORS:
        if vector not in SUITABLE:
            assert vector["integ"] in {"none", "hmac-md5-96"}
            with pytest.raises(ValueError, match=r"does not authenticate|suites\(\) lists what there is"):
                InboundSa(vector["spi"], keyword(vector), keymat(vector))


def test_a_published_packet_with_spi_zero_is_no_packet() -> None:
    """E01: RFC 4303 2.1; one of the drafts' packets has it, which is a test of GCM and nothing for the wire."""
    (vector,) = (vector for vector in SUITABLE if vector not in KNOWN)
    with pytest.raises(ValueError, match=r"a number of 1\.\."):
        InboundSa(0, keyword(vector), keymat(vector))
    sa = InboundSa(1, keyword(vector), keymat(vector))
    packet = bytes.fromhex(vector["esp_packet"])
    assert sa.decap(PacketBatch([packet])).statuses == [Status.WRONG_SPI]
    assert sa.decap(PacketBatch([in_udp(packet)]), framing="udp").statuses == [Status.NOT_ESP]
