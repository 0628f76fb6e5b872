"""Wireshark as a third reader of what we seal: every suite it knows decrypts there, and its check of the ICV agrees.

Wireshark 4.0 knows neither ChaCha20, CCM and GMAC nor extended sequence numbers, and does not check XCBC and CMAC.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("IRONSWAN_REQUIRE_PEERS") != "1":
    pytest.importorskip("scapy", reason="scapy is not installed")

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from ironswan.esp import OutboundSa, PacketBatch, suites

INFO = {suite.keyword: suite for suite in suites() if suite.protocol == "esp"}
CODES = {
    "sha1": "HMAC-SHA-1-96 [RFC2404]",
    "sha256": "HMAC-SHA-256-128 [RFC4868]",
    "sha256_96": "HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]",
    "sha384": "HMAC-SHA-384-192 [RFC4868]",
    "sha512": "HMAC-SHA-512-256 [RFC4868]",
    "aesxcbc": "ANY 96 bit authentication [no checking]",
    "aescmac": "ANY 96 bit authentication [no checking]",
}
CIPHERS = {
    **{f"aes{bits}": "AES-CBC [RFC3602]" for bits in (128, 192, 256)},
    **{f"aes{bits}ctr": "AES-CTR [RFC3686]" for bits in (128, 192, 256)},
    "3des": "TripleDES-CBC [RFC2451]",
    "null": "NULL",
}
SUITES = {
    f"aes{bits}gcm{icv_len}": (f"AES-GCM with {icv_len} octet ICV [RFC4106]", "NULL")
    for bits in (128, 192, 256)
    for icv_len in (8, 12, 16)
} | {f"{cipher}-{code}": (CIPHERS[cipher], CODES[code]) for cipher in CIPHERS for code in CODES}

INNER4 = bytes(IP(src="10.1.0.1", dst="10.2.0.1", id=77) / TCP(sport=1000, dport=80) / Raw(b"r" * 300))
INNER6 = bytes(IPv6(src="fd00:1::1", dst="fd00:2::1") / UDP(sport=1000, dport=2000) / Raw(b"q" * 7))
OUTER4, OUTER6 = ("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")
NAT_T = {"udp_encap": (4500, 4500)}
# Options of the SA, what goes in, and Wireshark's words for the layers of what comes out.
WAYS: dict[str, tuple[dict[str, Any], bytes, str]] = {
    "v4 in v4": ({"tunnel": OUTER4}, INNER4, "raw:ip:esp:ip:tcp"),
    "v6 in v4": ({"tunnel": OUTER4}, INNER6, "raw:ip:esp:ipv6:udp"),
    "v4 in v6": ({"tunnel": OUTER6}, INNER4, "raw:ipv6:esp:ip:tcp"),
    "v6 in v6": ({"tunnel": OUTER6}, INNER6, "raw:ipv6:esp:ipv6:udp"),
    "v4 in udp": ({"tunnel": OUTER4, **NAT_T}, INNER4, "raw:ip:udp:udpencap:esp:ip:tcp"),
    "v6 in udp over v6": ({"tunnel": OUTER6, **NAT_T}, INNER6, "raw:ipv6:udp:udpencap:esp:ipv6:udp"),
    "transport v4": ({"mode": "transport"}, INNER4, "raw:ip:esp:tcp"),
    "transport v6 in udp": ({"mode": "transport", **NAT_T}, INNER6, "raw:ipv6:udp:udpencap:esp:udp"),
}
FIELDS = ("frame.protocols", "esp.protocol", "esp.icv_good", "esp.icv_bad", "esp.sequence")
FIELDS += ("ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "udp.checksum.status", "ip.checksum.status")


@dataclass(frozen=True)
class Sent:
    """A packet of one SA, and the line of keys that opens it."""

    packet: bytes
    keys: str


def sent(keyword: str, way: str, spi: int) -> Sent:
    options, inner, _ = WAYS[way]
    info, (encryption, integrity) = INFO[keyword], SUITES[keyword]
    keymat = bytes((spi + 7 * octet) % 256 for octet in range(info.keymat_len))
    cut = info.key_len + info.salt_len
    results = OutboundSa(spi, keyword, keymat, **options).encap(PacketBatch([inner]), framing="ip")
    assert results.ok
    (packet,) = results.packets.tolist()
    columns = ["IPv4" if packet[0] >> 4 == 4 else "IPv6", "*", "*", f"{spi:#010x}", encryption]
    columns += [f"0x{keymat[:cut].hex()}" if cut else "", integrity, f"0x{keymat[cut:].hex()}" if keymat[cut:] else ""]
    return Sent(packet, ",".join(f'"{column}"' for column in columns))


def dissected(path: Path, all_sent: list[Sent]) -> list[list[str]]:
    """The fields of each packet as tshark shows them."""
    if shutil.which("tshark") is None:
        if os.environ.get("IRONSWAN_REQUIRE_PEERS") == "1":
            pytest.fail("tshark is not installed, and IRONSWAN_REQUIRE_PEERS=1", pytrace=False)
        pytest.skip("tshark is not installed")
    # pcap with raw IP as its link layer.
    records = [struct.pack("<IIII", 0, 0, len(one.packet), len(one.packet)) + one.packet for one in all_sent]
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101) + b"".join(records))
    options = ["esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE", "udp.check_checksum:TRUE"]
    options += ["ip.check_checksum:TRUE", *(f"uat:esp_sa:{keys}" for keys in {one.keys: None for one in all_sent})]
    command = ["tshark", "-r", str(path), "-T", "fields", "-E", "separator=|"]
    command += [word for field in FIELDS for word in ("-e", field)] + [word for o in options for word in ("-o", o)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split("|") for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, str]]:
    """What Wireshark says of a packet of each suite in each way, from one run."""
    pairs = [(keyword, way) for keyword in SUITES for way in WAYS]
    all_sent = [sent(keyword, way, 0xC0000000 + number) for number, (keyword, way) in enumerate(pairs)]
    rows = dissected(tmp_path_factory.mktemp("tshark") / "sealed.pcap", all_sent)
    assert len(rows) == len(pairs)
    return {pair: dict(zip(FIELDS, row, strict=True)) for pair, row in zip(pairs, rows, strict=True)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("keyword", SUITES)
def test_wireshark_decrypts_and_verifies_it(
    seen: dict[tuple[str, str], dict[str, str]], keyword: str, way: str
) -> None:
    """E11, E19, E25, E27, E28, A20: layers, next header, addresses, ICV and checksums are as they should be."""
    fields = seen[keyword, way]
    options, inner, layers = WAYS[way]
    assert fields["frame.protocols"].startswith(layers)
    if "mode" in options:
        assert int(fields["esp.protocol"], 16) == (6 if inner is INNER4 else 17)
    else:
        assert int(fields["esp.protocol"], 16) == (4 if inner is INNER4 else 41)
        source, destination = options["tunnel"]
        assert source in (fields["ip.src"] + "," + fields["ipv6.src"]).split(",")
        assert destination in (fields["ip.dst"] + "," + fields["ipv6.dst"]).split(",")
    wanted = ("10.1.0.1", "10.2.0.1") if inner is INNER4 else ("fd00:1::1", "fd00:2::1")
    family = "ip" if inner is INNER4 else "ipv6"
    assert (fields[f"{family}.src"].split(",")[-1], fields[f"{family}.dst"].split(",")[-1]) == wanted
    checked = "no checking" not in SUITES[keyword][1]
    assert (fields["esp.icv_good"], fields["esp.icv_bad"]) == (("1", "0") if checked else ("0", "0"))
    assert fields["esp.sequence"] == "1"
    # 1 is good, 3 is "there is none", which only UDP over IPv4 may have.
    assert set(fields["ip.checksum.status"].split(",")) <= {"", "1"}
    assert set(fields["udp.checksum.status"].split(",")) <= ({"", "1", "3"} if way == "v4 in udp" else {"", "1"})


@pytest.mark.parametrize("keyword", ["aes128gcm16", "aes256-sha512", "null-sha256"])
def test_wireshark_tells_a_damaged_packet_from_a_good_one(tmp_path: Path, keyword: str) -> None:
    """That the ICV is looked at is what the other test rests on."""
    good = sent(keyword, "v4 in v4", 0xC0000001)
    bad = Sent(good.packet[:-1] + bytes([good.packet[-1] ^ 1]), good.keys)
    rows = [dict(zip(FIELDS, row, strict=True)) for row in dissected(tmp_path / "two.pcap", [good, bad])]
    assert [(row["esp.icv_good"], row["esp.icv_bad"]) for row in rows] == [("1", "0"), ("0", "1")]
