"""Packets and SAs for the tests of `ironswan.esp`, from scapy's packet classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw

from ironswan.esp import InboundSa, OutboundSa, PacketBatch, Results, Status, suites

SPI = 0x1001
OUTER = ("192.0.2.1", "192.0.2.2")
OUTER6 = ("2001:db8::1", "2001:db8::2")
GCM = "aes128gcm16"
KEYMAT = {suite.keyword: bytes(range(suite.keymat_len)) for suite in suites() if suite.protocol == "esp"}


def ipv4(payload: bytes = b"payload", **fields: Any) -> bytes:
    """UDP from 10.1.0.1 port 1000 to 10.2.0.1 port 2000."""
    return raw(IP(**{"src": "10.1.0.1", "dst": "10.2.0.1"} | fields) / UDP(sport=1000, dport=2000) / Raw(payload))


def ipv6(payload: bytes = b"payload", **fields: Any) -> bytes:
    """The same in IPv6."""
    return raw(IPv6(**{"src": "fd00:1::1", "dst": "fd00:2::1"} | fields) / UDP(sport=1000, dport=2000) / Raw(payload))


def tcp(**fields: Any) -> bytes:
    """TCP in IPv4."""
    return raw(IP(**{"src": "10.1.0.1", "dst": "10.2.0.1"} | fields) / TCP(sport=1000, dport=80) / Raw(b"request"))


def raw(packet: Packet) -> bytes:
    """With lengths and checksums filled in."""
    return bytes(packet)


def outbound(suite: str = GCM, **options: Any) -> OutboundSa:
    """An SA that sends."""
    return OutboundSa(SPI, suite, KEYMAT[suite], **options)


def inbound(suite: str = GCM, **options: Any) -> InboundSa:
    """The SA that receives what `outbound` sends."""
    return InboundSa(SPI, suite, KEYMAT[suite], **options)


def seal(sa: OutboundSa, *packets: bytes, **options: Any) -> list[bytes]:
    """All of them, which must go."""
    results = sa.encap(PacketBatch(packets), **options)
    assert results.ok, results.statuses
    return results.packets.tolist()


def receive(sa: InboundSa, packets: Iterable[bytes], **options: Any) -> Results:
    """Whatever comes of them."""
    return sa.decap(PacketBatch(packets), **options)


def status(sa: InboundSa, packet: bytes, **options: Any) -> Status:
    """What comes of one packet."""
    return receive(sa, [packet], **options).statuses[0]
