"""Every suite that scapy has, in each mode, with NAT-T and ESN: its packets open here, and ours open there.

scapy makes GCM and ChaCha20 with an ICV of 16 octets only, and has neither AES-XCBC nor implicit IVs.
"""

from __future__ import annotations

import itertools
import os

import pytest

from ironswan.esp import AhInboundSa, AhOutboundSa, InboundSa, OutboundSa, PacketBatch, suites

if os.environ.get("IRONSWAN_REQUIRE_PEERS") != "1":
    pytest.importorskip("scapy", reason="scapy is not installed")

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, ESP, SecurityAssociation
from scapy.packet import Packet, Raw

SPI = 0xC0DE0001
HIGH = 7
CIPHERS = {
    "aes128": ("AES-CBC", None), "aes192": ("AES-CBC", None), "aes256": ("AES-CBC", None),
    "aes128ctr": ("AES-CTR", None), "aes192ctr": ("AES-CTR", None), "aes256ctr": ("AES-CTR", None),
    "3des": ("3DES", None), "null": ("NULL", None),
    "aes128gcm16": ("AES-GCM", 16), "aes192gcm16": ("AES-GCM", 16), "aes256gcm16": ("AES-GCM", 16),
    "aes128ccm16": ("AES-CCM", 16), "aes192ccm16": ("AES-CCM", 16), "aes256ccm16": ("AES-CCM", 16),
    "aes128ccm8": ("AES-CCM", 8), "aes192ccm12": ("AES-CCM", 12), "aes256ccm8": ("AES-CCM", 8),
    "aes128gmac": ("AES-NULL-GMAC", 16), "aes192gmac": ("AES-NULL-GMAC", 16), "aes256gmac": ("AES-NULL-GMAC", 16),
    "chacha20poly1305": ("CHACHA20-POLY1305", 16),
}  # fmt: skip
CODES = {
    "sha1": "HMAC-SHA1-96", "sha256": "SHA2-256-128", "sha384": "SHA2-384-192", "sha512": "SHA2-512-256",
    "aescmac": "AES-CMAC-96",
}  # fmt: skip
ALONE = [keyword for keyword, (_, icv_len) in CIPHERS.items() if icv_len]
COMPOSED = [f"{cipher}-{code}" for cipher, (_, icv_len) in CIPHERS.items() if not icv_len for code in CODES]
INFO = {suite.keyword: suite for suite in suites() if suite.protocol == "esp"}
OUTER = {4: IP(src="192.0.2.1", dst="192.0.2.2"), 6: IPv6(src="2001:db8::1", dst="2001:db8::2")}
PACKETS = {
    4: [
        OUTER[4] / UDP(sport=1000, dport=53) / Raw(b"q" * 5),
        OUTER[4].copy() / TCP(sport=1000, dport=80) / Raw(b"r" * 1200),
    ],
    6: [OUTER[6] / UDP(sport=1000, dport=53) / Raw(b"q" * 5), OUTER[6].copy() / TCP(sport=1, dport=2) / Raw(b"r" * 99)],
}


def keymat(keyword: str) -> bytes:
    return bytes(7 * octet % 256 for octet in range(INFO[keyword].keymat_len))


def peer(keyword: str, tunnel: Packet | None, nat_t: bool, esn: bool) -> SecurityAssociation:
    """scapy's end: the salt is part of its key."""
    cipher, _, code = keyword.partition("-")
    name, icv_len = CIPHERS[cipher]
    cut = INFO[keyword].key_len + INFO[keyword].salt_len
    return SecurityAssociation(
        ESP, SPI, seq_num=1, crypt_algo=name, crypt_key=keymat(keyword)[:cut] or None, crypt_icv_size=icv_len,
        auth_algo=CODES.get(code), auth_key=keymat(keyword)[cut:] or None, tunnel_header=tunnel,
        nat_t_header=UDP(sport=4500, dport=4500) if nat_t else None, esn_en=esn, esn=HIGH if esn else 0,
    )  # fmt: skip


def cases() -> list[object]:
    modes = list(itertools.product(("tunnel", "transport"), (4, 6), (False, True), (False, True)))
    chosen = []
    for keyword in ALONE + COMPOSED:
        for mode, family, nat_t, esn in modes:
            name = f"{keyword}-{mode}-v{family}{'-nat' if nat_t else ''}{'-esn' if esn else ''}"
            chosen.append(pytest.param(keyword, mode, family, nat_t, esn, id=name))
    return chosen


def ours(keyword: str, mode: str, family: int, nat_t: bool, esn: bool) -> tuple[OutboundSa, InboundSa]:
    last = HIGH << 32 if esn else 0
    addresses = (str(OUTER[family].src), str(OUTER[family].dst))
    outbound = OutboundSa(
        SPI, keyword, keymat(keyword), mode=mode, tunnel=addresses if mode == "tunnel" else None,
        udp_encap=(4500, 4500) if nat_t else None, esn=esn, sequence_number=last,
    )  # fmt: skip
    return outbound, InboundSa(SPI, keyword, keymat(keyword), mode=mode, esn=esn, sequence_number=last)


@pytest.mark.parametrize(("keyword", "mode", "family", "nat_t", "esn"), cases())
def test_both_understand_each_other(keyword: str, mode: str, family: int, nat_t: bool, esn: bool) -> None:
    """E07, E11, E19, E22 to E25, E27, E28, A20: as an implementation that nobody here wrote reads the RFCs."""
    outbound, inbound = ours(keyword, mode, family, nat_t, esn)
    tunnel = OUTER[family].copy() if mode == "tunnel" else None
    inner = PACKETS[family] if tunnel is None else [PACKETS[4][1], PACKETS[6][0]]
    packets = [bytes(packet) for packet in inner]

    theirs = peer(keyword, tunnel, nat_t, esn)
    sealed = [bytes(theirs.encrypt(read(packet))) for packet in packets]
    opened = inbound.decap(PacketBatch(sealed), framing="ip")
    assert opened.ok, opened.statuses
    assert opened.packets.tolist() == packets

    sent = outbound.encap(PacketBatch(packets), framing="ip")
    assert sent.ok
    theirs = peer(keyword, tunnel, nat_t, esn)
    for packet, expected in zip(sent.packets.tolist(), packets, strict=True):
        assert bytes(theirs.decrypt(read(packet))) == expected


def read(packet: bytes) -> Packet:
    return IP(packet) if packet[0] >> 4 == 4 else IPv6(packet)


@pytest.mark.parametrize("esn", [False, True])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", ["tunnel", "transport"])
@pytest.mark.parametrize("code", CODES)
def test_ah_is_what_scapy_makes_and_takes(code: str, mode: str, family: int, esn: bool) -> None:
    """E30: AH, tunnel and transport."""
    info = next(suite for suite in suites() if suite.protocol == "ah" and suite.keyword == code)
    key = bytes(range(info.keymat_len))
    last = HIGH << 32 if esn else 0
    addresses = (str(OUTER[family].src), str(OUTER[family].dst)) if mode == "tunnel" else None
    tunnel = OUTER[family].copy() if mode == "tunnel" else None

    def theirs() -> SecurityAssociation:
        return SecurityAssociation(
            AH, SPI, auth_algo=CODES[code], auth_key=key, tunnel_header=tunnel, esn_en=esn, esn=HIGH if esn else 0
        )

    packets = [bytes(packet) for packet in PACKETS[family]]
    sender = theirs()
    inbound = AhInboundSa(SPI, code, key, mode=mode, esn=esn, sequence_number=last)
    opened = inbound.decap(PacketBatch([bytes(sender.encrypt(read(packet))) for packet in packets]))
    assert opened.ok, opened.statuses
    assert opened.packets.tolist() == packets

    outbound = AhOutboundSa(SPI, code, key, mode=mode, tunnel=addresses, esn=esn, sequence_number=last)
    receiver = theirs()
    for packet, expected in zip(outbound.encap(PacketBatch(packets)).packets.tolist(), packets, strict=True):
        assert bytes(receiver.decrypt(read(packet))) == expected
