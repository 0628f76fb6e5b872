"""Protected packets made by scapy, an implementation of ESP and AH that is not ours."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from key_samples import KEY_20, loaded, table
from pcap_samples import SECOND
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, ESP, SecurityAssociation
from scapy.packet import Packet, Raw

from ironswan.pcap.decrypt import Decryption
from ironswan.pcap.sas import SaTable
from ironswan.pcap.stream import Frame

RAW_IP, ETHERNET = 101, 1
SPI = 0xC0000001
OUTER4 = IP(src="192.0.2.1", dst="192.0.2.2")
OUTER6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
INNER4 = IP(src="10.1.0.1", dst="10.2.0.1") / ICMP(id=1, seq=1) / Raw(b"ping" * 10)
INNER6 = IPv6(src="fd00:1::1", dst="fd00:2::1") / UDP(sport=1000, dport=2000) / Raw(b"datagram")
HOST4 = OUTER4.copy() / TCP(sport=1000, dport=80) / Raw(b"GET / HTTP/1.0\r\n\r\n")
HOST6 = OUTER6.copy() / UDP(sport=1000, dport=53) / Raw(b"query")


def sa(*, tunnel: Packet | None = None, spi: int = SPI, key: str = KEY_20) -> SecurityAssociation:
    """The sender's end of an SA of aes128gcm16."""
    return SecurityAssociation(ESP, spi, crypt_algo="AES-GCM", crypt_key=bytes.fromhex(key), tunnel_header=tunnel)


def ah(tunnel: Packet | None = None) -> SecurityAssociation:
    """The sender's end of an AH SA of sha256."""
    return SecurityAssociation(AH, SPI, auth_algo="SHA2-256-128", auth_key=bytes(range(32)), tunnel_header=tunnel)


def protect(
    association: SecurityAssociation, packets: Iterable[Packet], first: int = 1, *, udp: bool = False, port: int = 4500
) -> list[bytes]:
    """The packets as they travel, in the same bytes every time; perhaps in UDP from a port to 31337."""
    size = association.crypt_algo.iv_size if association.crypt_algo is not None else 0
    protected = [
        association.encrypt(packet.copy(), seq_num=number, iv=number.to_bytes(size) if size else None)
        for number, packet in enumerate(packets, first)
    ]
    return [_in_udp(bytes(packet), port) if udp else bytes(packet) for packet in protected]


def _in_udp(packet: bytes, port: int) -> bytes:
    """RFC 3948 2.1; scapy itself does it for IPv4 only."""
    if packet[0] >> 4 == 4:
        head = IP(packet[:20])
        head.proto, head.len, head.chksum, esp = 17, None, None, packet[20:]
    else:
        head = IPv6(packet[:40])
        head.nh, head.plen, esp = 17, None, packet[40:]
    return bytes(head / UDP(sport=port, dport=31337) / Raw(esp))


class Kept:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.packets: list[tuple[int, bytes]] = []

    def write(self, packets: Iterable[tuple[int, bytes | memoryview]]) -> None:
        self.packets += ((timestamp, bytes(packet)) for timestamp, packet in packets)


def decrypt(
    path: Path, packets: Iterable[bytes], keys: str | None = None, *, link: int = RAW_IP, chunk: int = 1000,
    ports: frozenset[int] = frozenset({4500}),
) -> tuple[list[bytes], Decryption]:  # fmt: skip
    """Frames through keys in TOML; frame n was captured n seconds after 1970."""
    frames: list[Frame] = []
    listed = [*packets]
    for begin in range(0, len(listed), chunk):
        data = b"".join(listed[begin : begin + chunk])
        at = 0
        for number, packet in enumerate(listed[begin : begin + chunk], begin):
            frames.append((number * SECOND, link, data, at, at + len(packet)))
            at += len(packet)
    sink = Kept()
    run = Decryption(SaTable(loaded(path / "keys", table() if keys is None else keys)), ports, sink)
    run.run(frames)
    return [packet for _, packet in sink.packets], run
