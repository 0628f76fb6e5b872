"""Wireshark as an independent reader, writer and decrypter of the same captures with the same keys."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from esp_samples import INNER4, INNER6, OUTER4, OUTER6, SPI, protect
from key_samples import line, loaded
from pcap_samples import SECOND, pcap, written
from scapy.layers.ipsec import ESP, SecurityAssociation

from ironswan.pcap import ip_packets
from ironswan.pcap.decrypt import Decryption
from ironswan.pcap.reader import Reader
from ironswan.pcap.sas import SaTable
from ironswan.pcap.writer import Writer

RAW_IP = 101
# Names and lengths of keys in octets, as scapy and as Wireshark calls them.
SUITES = [
    ("AES-GCM", 20, None, 0, "AES-GCM with 16 octet ICV [RFC4106]", "NULL"),
    ("AES-GCM", 36, None, 0, "AES-GCM with 16 octet ICV [RFC4106]", "NULL"),
    ("AES-CBC", 16, "SHA2-256-128", 32, "AES-CBC [RFC3602]", "HMAC-SHA-256-128 [RFC4868]"),
    ("AES-CBC", 32, "HMAC-SHA1-96", 20, "AES-CBC [RFC3602]", "HMAC-SHA-1-96 [RFC2404]"),
    ("AES-CTR", 20, "SHA2-384-192", 48, "AES-CTR [RFC3686]", "HMAC-SHA-384-192 [RFC4868]"),
    ("3DES", 24, "SHA2-512-256", 64, "TripleDES-CBC [RFC2451]", "HMAC-SHA-512-256 [RFC4868]"),
    ("NULL", 0, "SHA2-256-128", 32, "NULL", "HMAC-SHA-256-128 [RFC4868]"),
]


def tool(name: str, *words: str | Path) -> list[str]:
    """The lines that a program of Wireshark's prints."""
    if shutil.which(name) is None:
        if os.environ.get("IRONSWAN_REQUIRE_PEERS") == "1":
            pytest.fail(f"{name} is not installed, and IRONSWAN_REQUIRE_PEERS=1", pytrace=False)
        pytest.skip(f"{name} is not installed")
    done = subprocess.run([name, *map(str, words)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def capture(spi: int, suite: tuple[str, int, str | None, int, str, str], first: int) -> tuple[list[bytes], str]:
    """Packets of one SA, and its line of keys."""
    crypt, crypt_octets, auth, auth_octets, encryption, integrity = suite
    crypt_key, auth_key = bytes(range(1, crypt_octets + 1)), bytes(range(100, auth_octets + 100))
    outer = OUTER4 if spi & 1 else OUTER6
    association = SecurityAssociation(
        ESP, spi, crypt_algo=crypt, crypt_key=crypt_key or None, auth_algo=auth, auth_key=auth_key or None,
        tunnel_header=outer,
    )  # fmt: skip
    keys = line(
        family="IPv4" if spi & 1 else "IPv6", source="*", destination="*", spi=f"{spi:#010x}", encryption=encryption,
        key=f"0x{crypt_key.hex()}" if crypt_key else "", integrity=integrity,
        integrity_key=f"0x{auth_key.hex()}" if auth_key else "",
    )  # fmt: skip
    return protect(association, [INNER4, INNER6], first), keys


def test_wireshark_and_we_decrypt_the_same(tmp_path: Path) -> None:
    packets: list[bytes] = []
    keys = ""
    for number, suite in enumerate(SUITES):
        more, text = capture(SPI + number, suite, 1 + number)
        packets += more
        keys += text
    path = written(tmp_path / "c.pcap", pcap([(n * SECOND, p) for n, p in enumerate(packets)], link=RAW_IP))
    out = tmp_path / "out.pcap"
    with Reader(path) as reader, Writer(out) as writer:
        run = Decryption(SaTable(loaded(tmp_path / "esp_sa", keys)), frozenset({4500}), writer)
        run.run(reader)
    assert [*ip_packets(out)] == [bytes(INNER4), bytes(INNER6)] * len(SUITES)
    options = [option for text in keys.splitlines() for option in ("-o", f"uat:esp_sa:{text}")]
    options += ["-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE"]
    options += ["-T", "fields", "-e", "frame.time_epoch", "-e", "icmp.seq", "-e", "udp.port"]
    theirs = tool("tshark", "-r", path, *options)
    ours = tool("tshark", "-r", out, *options)
    assert len(theirs) == 2 * len(SUITES)
    assert theirs == ours
    assert all(fields.split("\t", 1)[1].strip() for fields in theirs)


@pytest.mark.parametrize("ending", ["pcap", "pcapng"])
def test_wireshark_reads_what_we_write(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"c.{ending}"
    with Writer(path) as writer:
        writer.write([(1_700_000_000 * SECOND + 123_456_789, bytes(INNER4)), (5, bytes(INNER6))])
    fields = ("-T", "fields", "-E", "separator=,", "-e", "frame.time_epoch", "-e", "frame.protocols", "-e", "frame.len")
    assert tool("tshark", "-r", path, *fields) == [
        f"1700000000.123456789,raw:ip:icmp:data,{len(bytes(INNER4))}",
        f"0.000000005,raw:ipv6:udp:data,{len(bytes(INNER6))}",
    ]


@pytest.mark.parametrize("kind", ["pcap", "nsecpcap", "pcapng"])
def test_we_read_what_wireshark_writes(tmp_path: Path, kind: str) -> None:
    frames = [(SECOND + number * 1000, bytes(packet)) for number, packet in enumerate([INNER4, INNER6] * 3)]
    path = written(tmp_path / "ours", pcap(frames, link=RAW_IP))
    tool("editcap", "-F", kind, path, tmp_path / "theirs")
    with Reader(tmp_path / "theirs") as reader:
        assert [(timestamp, data[start:end]) for timestamp, _, data, start, end in reader] == frames
