"""Capture files and headers, written octet by octet, apart from the code that is tested."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

SECOND = 1_000_000_000
V4 = bytes.fromhex("4500001c00000000401100000a0000010a000002") + b"\x10\x00\x10\x01\x00\x08\x00\x00"
V6 = bytes.fromhex("6000000000083b40") + bytes(15) + b"\x01" + bytes(15) + b"\x02" + b"payload!"
ETHERNET = bytes.fromhex("020000000002020000000001")


def pcap(
    packets: Sequence[tuple[int, bytes]],
    *,
    order: str = "<",
    nanoseconds: bool = False,
    link: int = 1,
    snap: int = 65535,
) -> bytes:
    """A pcap file; timestamps are nanoseconds."""
    unit = 1 if nanoseconds else 1000
    parts = [struct.pack(order + "IHHiIII", 0xA1B23C4D if nanoseconds else 0xA1B2C3D4, 2, 4, 0, 0, snap, link)]
    for timestamp, packet in packets:
        kept = packet[:snap]
        times = timestamp // SECOND, timestamp % SECOND // unit
        parts += struct.pack(order + "IIII", *times, len(kept), len(packet)), kept
    return b"".join(parts)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """One block of pcapng."""
    body += bytes(-len(body) % 4)
    total = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + total + body + total


def section(order: str = "<") -> bytes:
    """A Section Header Block."""
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int = 1, order: str = "<", snap: int = 0, options: Sequence[tuple[int, bytes]] = ()) -> bytes:
    """An Interface Description Block."""
    body = struct.pack(order + "HHI", link, 0, snap)
    for code, value in options:
        body += struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)
    return block(1, body + (bytes(4) if options else b""), order)


def enhanced(ticks: int, packet: bytes, order: str = "<", index: int = 0, original: int | None = None) -> bytes:
    """An Enhanced Packet Block."""
    fields = index, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet) if original is None else original
    return block(6, struct.pack(order + "IIIII", *fields) + packet, order)


def written(path: Path, content: bytes) -> Path:
    """The content as a file."""
    path.write_bytes(content)
    return path


def checksum(header: bytes) -> int:
    """The Internet checksum (RFC 1071); zero over a header that holds its own."""
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(protocol: int, payload: bytes, *, options: bytes = b"", flags: int = 0) -> bytes:
    """An IPv4 packet from 192.0.2.1 to 192.0.2.2."""
    head = bytes([0x45 + len(options) // 4, 0]) + (20 + len(options) + len(payload)).to_bytes(2) + bytes(2)
    head += flags.to_bytes(2) + bytes([64, protocol, 0, 0]) + bytes([192, 0, 2, 1, 192, 0, 2, 2]) + options
    return head[:10] + checksum(head).to_bytes(2) + head[12:] + payload


def ipv6(protocol: int, payload: bytes) -> bytes:
    """An IPv6 packet from 2001:db8::1 to 2001:db8::2."""
    prefix = bytes.fromhex("20010db8") + bytes(11)
    return (
        b"\x60\0\0\0" + len(payload).to_bytes(2) + bytes([protocol, 64]) + prefix + b"\x01" + prefix + b"\x02" + payload
    )


def udp(source: int, destination: int, payload: bytes) -> bytes:
    """A UDP header without checksum, and what it carries."""
    return struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload
