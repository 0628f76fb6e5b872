"""ESP and AH in an IP packet: bare, in UDP, behind options and extension headers. Only headers are looked at."""

from __future__ import annotations

from enum import IntEnum


class Found(IntEnum):
    """What an IP packet carries. The first three are opened; the others are counted."""

    ESP = 0
    ESP_IN_UDP = 1
    AH = 2
    IKE = 3
    KEEPALIVE = 4
    FRAGMENT = 5
    TRUNCATED = 6
    MALFORMED = 7
    OTHER = 8


# What was found, the offset of the ESP or AH header, the end of the packet, and the offset of the octet which says
# that ESP or AH (or UDP) follows.
Finding = tuple[Found, int, int, int]

# Each read once: an attribute of an enum costs as much as parsing a header.
_ESP, _ESP_IN_UDP, _AH, _OTHER = Found.ESP, Found.ESP_IN_UDP, Found.AH, Found.OTHER
_IKE, _KEEPALIVE, _FRAGMENT, _MALFORMED = Found.IKE, Found.KEEPALIVE, Found.FRAGMENT, Found.MALFORMED
_TRUNCATED = Found.TRUNCATED
_UDP_PROTOCOL, _ESP_PROTOCOL, _AH_PROTOCOL, _FRAGMENT_HEADER = 17, 50, 51, 44
_SOUGHT = frozenset({_UDP_PROTOCOL, _ESP_PROTOCOL, _AH_PROTOCOL})
# Hop-by-hop options, routing, destination options, HIP, shim6: extension headers of one shape (RFC 6564).
_EXTENSIONS = frozenset({0, 43, 60, 139, 140})
# SPI and sequence number; AH has a next header, a length and two reserved octets before them (RFC 4302 2).
_SHORTEST_ESP, _SHORTEST_AH = 8, 12


def find(data: bytes, ip: int, end: int, ports: frozenset[int]) -> Finding:
    """What the IP packet at `ip` carries; the frame ends at `end`. `ports` are those of UDP encapsulation."""
    first = data[ip] if ip < end else 0
    if first >> 4 == 6:
        return _ipv6(data, ip, end, ports)
    header = ip + (first & 15) * 4
    if not 0x45 <= first <= 0x4F or header > end:
        return _MALFORMED, ip, end, ip
    protocol = data[ip + 9]
    if protocol not in _SOUGHT:
        return _OTHER, header, end, ip
    total = data[ip + 2] << 8 | data[ip + 3]
    # Zero is the length of a packet captured before it was cut into segments.
    stop = ip + total if total else end
    # More fragments to come, or an offset.
    if data[ip + 6] & 0x3F or data[ip + 7]:
        return _fragment(data, header, end, protocol, (data[ip + 6] & 31) << 8 | data[ip + 7], ports)
    return _upper(data, protocol, header, stop, end, ip + 9, ports)


def segment_size(data: bytes, esp: int, stop: int) -> int:
    """The length of each ESP packet in a UDP payload that holds several; 0 when it holds one.

    A host with segmentation offload captures what is sent, or was received, as one datagram of many. The segments are
    of one length but for the last, and the second one continues the sequence numbers of the first.
    """
    if stop - esp < 2 * _SHORTEST_ESP:
        return 0
    spi = data[esp : esp + 4]
    following = (int.from_bytes(data[esp + 4 : esp + 8]) + 1 & 0xFFFF_FFFF).to_bytes(4)
    second = data.find(spi + following, esp + _SHORTEST_ESP, stop)
    if second < 0:
        return 0
    size = second - esp
    return size if all(data.startswith(spi, begin, stop) for begin in range(esp, stop, size)) else 0


def _ipv6(data: bytes, ip: int, end: int, ports: frozenset[int]) -> Finding:
    header = ip + 40
    if header > end:
        return _MALFORMED, ip, end, ip
    payload = data[ip + 4] << 8 | data[ip + 5]
    stop = header + payload if payload else end
    next_at = ip + 6
    while (protocol := data[next_at]) not in _SOUGHT:
        is_fragment = protocol == _FRAGMENT_HEADER
        if not is_fragment and protocol not in _EXTENSIONS:
            return _OTHER, header, end, next_at
        if header + 8 > end:
            return _TRUNCATED if stop > end else _MALFORMED, header, end, next_at
        if is_fragment:
            field = data[header + 2] << 8 | data[header + 3]
            # Neither an offset nor more to come: an atomic fragment, which is a whole packet (RFC 6946).
            if field & 0xFFF9:
                return _fragment(data, header + 8, end, data[header], field >> 3, ports)
            length = 8
        else:
            length = (data[header + 1] + 1) * 8
        next_at = header
        header += length
    return _upper(data, protocol, header, stop, end, next_at, ports)


def _upper(
    data: bytes, protocol: int, header: int, stop: int, end: int, next_at: int, ports: frozenset[int]
) -> Finding:
    """The sought protocol at `header`, in a packet that ends at `stop` by its own length."""
    kind = _ESP if protocol == _ESP_PROTOCOL else _AH
    if protocol == _UDP_PROTOCOL:
        if header + 8 > min(stop, end) or not _is_encapsulated(data, header, ports):
            return _OTHER, header, end, next_at
        length = data[header + 4] << 8 | data[header + 5]
        stop = min(stop, header + length) if length >= 8 else stop
        header += 8
        # RFC 3948 2.3 and 2.2: one octet 0xFF is a keepalive, four octets of zero come before IKE.
        if stop - header == 1 and header < end and data[header] == 0xFF:
            return _KEEPALIVE, header, end, next_at
        if data[header : min(header + 4, stop, end)] == b"\0\0\0\0":
            return _IKE, header, end, next_at
        kind = _ESP_IN_UDP
    if stop > end:
        return _TRUNCATED, header, end, next_at
    if stop - header < (_SHORTEST_AH if kind is _AH else _SHORTEST_ESP):
        return _MALFORMED, header, end, next_at
    return kind, header, stop, next_at


def _fragment(data: bytes, header: int, end: int, protocol: int, offset: int, ports: frozenset[int]) -> Finding:
    """A fragment of what is sought; of UDP only the first one tells its ports."""
    if protocol == _UDP_PROTOCOL:
        counts = not offset and header + 8 <= end and _is_encapsulated(data, header, ports)
    else:
        counts = protocol in _SOUGHT
    return _FRAGMENT if counts else _OTHER, header, end, header


def _is_encapsulated(data: bytes, udp: int, ports: frozenset[int]) -> bool:
    return (data[udp] << 8 | data[udp + 1]) in ports or (data[udp + 2] << 8 | data[udp + 3]) in ports
