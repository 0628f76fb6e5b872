"""What was inside: the inner packet of tunnel mode, or the packet of transport mode with its own header again."""

from __future__ import annotations

import struct

from ironswan.pcap.keys import Mode
from ironswan.pcap.packets import length_of

_IPV4, _IPV6 = 4, 41
_VERSIONS = {_IPV4: 4, _IPV6: 6}
_CHECKSUM = struct.Struct("!10H").unpack_from


def restore(mode: Mode, head: bytes, next_at: int, next_header: int, payload: memoryview) -> bytes | memoryview | None:
    """The packet that was protected; None when what is inside is not what `mode` says.

    `head` is the outer IP header up to ESP, or up to UDP, with all options and extension headers, and `next_at` the
    place in it that says what follows. `auto` takes an IP packet inside for tunnel mode.
    """
    version = _VERSIONS.get(next_header)
    if mode == "transport" or (mode == "auto" and version is None):
        return _transport(head, next_at, next_header, payload)
    if version is None or len(payload) < 20 or payload[0] >> 4 != version:
        return None
    # What is behind the packet's own length is TFC padding (RFC 4303 2.7).
    length = length_of(payload, 0, len(payload))
    return payload if length == len(payload) else payload[:length]


def _transport(head: bytes, next_at: int, next_header: int, payload: memoryview) -> bytes:
    """RFC 4303 3.1.1: the IP header, with the protocol, the lengths and the checksum as they were before."""
    header = bytearray(head)
    header[next_at] = next_header
    if header[0] >> 4 == 6:
        header[4:6] = (len(head) - 40 + len(payload)).to_bytes(2)
        return bytes(header + payload)
    header[2:4] = (len(head) + len(payload)).to_bytes(2)
    header[10:12] = b"\0\0"
    total = sum(_CHECKSUM(header)) + sum(struct.unpack_from(f"!{(len(header) - 20) // 2}H", header, 20))
    total = (total & 0xFFFF) + (total >> 16)
    header[10:12] = (~(total + (total >> 16)) & 0xFFFF).to_bytes(2)
    return bytes(header + payload)
