"""The pcapng format (draft-ietf-opsawg-pcapng): sections of blocks, each section in a byte order of its own."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ironswan.pcap.stream import MAXIMUM_RECORD, Frame, Stream

SECTION_MAGIC = b"\x0a\x0d\x0d\x0a"
_SECTION, _INTERFACE, _PACKET, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
_PACKETS = frozenset({_PACKET, _ENHANCED})
_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_NO_SENSE = "the length of a block makes no sense: the file is damaged"
_OPTION_END, _IF_TSRESOL, _IF_TSOFFSET = 0, 9, 14
_SMALLEST = {_SECTION: 28, _INTERFACE: 20, _PACKET: 32, _SIMPLE: 16, _ENHANCED: 32}


@dataclass(frozen=True, slots=True)
class _Interface:
    """Nanoseconds are `ticks * numerator // denominator + offset`."""

    link: int
    snap_length: int
    numerator: int
    denominator: int
    offset: int


class _Layout:
    """The fixed parts of the blocks in one byte order."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.block = struct.Struct(order + "II").unpack_from
        self.enhanced = struct.Struct(order + "8xIIIII").unpack_from
        self.packet = struct.Struct(order + "8xHxxIIII").unpack_from
        self.word = struct.Struct(order + "I").unpack_from


def frames(stream: Stream) -> Iterator[Frame]:
    """Every frame. Raises CaptureError where the file is damaged, TruncatedCapture when it ends within a block."""
    layout = _Layout("<")
    interfaces: list[_Interface] = []
    while stream.fill(12):
        kind, total = layout.block(stream.data, stream.at)
        # The type of a section's header reads the same in both byte orders.
        if kind == _SECTION:
            layout, interfaces = _Layout(_order(stream)), []
            kind, total = layout.block(stream.data, stream.at)
        if len(stream.data) - stream.at < total:
            _fetch(stream, total)
        data, at = stream.data, stream.at
        if total % 4 or total < _SMALLEST.get(kind, 12) or layout.word(data, at + total - 4)[0] != total:
            raise stream.error(_NO_SENSE)
        if kind in _PACKETS:
            index, high, low, length, _ = (layout.enhanced if kind == _ENHANCED else layout.packet)(data, at)
            if length > total - 32 or index >= len(interfaces):
                raise stream.error("a packet is longer than its block, or of no known interface")
            interface = interfaces[index]
            ticks = (high << 32 | low) * interface.numerator // interface.denominator + interface.offset
            yield ticks, interface.link, data, at + 28, at + 28 + length
        elif kind == _INTERFACE:
            interfaces.append(_interface(stream, layout, total))
        elif kind == _SIMPLE:
            yield _simple(stream, layout, interfaces, total)
        stream.at = at + total
    if not stream.at_end:
        raise stream.truncated()


def _order(stream: Stream) -> str:
    order = _ORDERS.get(stream.data[stream.at + 8 : stream.at + 12])
    if order is None:
        raise stream.error("a section has no byte order: the file is damaged")
    return order


def _fetch(stream: Stream, total: int) -> None:
    if total > MAXIMUM_RECORD:
        raise stream.error(f"a block of {total} octets cannot be: the file is damaged")
    if total % 4:
        raise stream.error(_NO_SENSE)
    if not stream.fill(total):
        raise stream.truncated()


def _simple(stream: Stream, layout: _Layout, interfaces: list[_Interface], total: int) -> Frame:
    """A Simple Packet Block has no timestamp and belongs to the first interface."""
    if not interfaces:
        raise stream.error("a packet is of no known interface")
    first = interfaces[0]
    length = min(layout.word(stream.data, stream.at + 8)[0], total - 16, first.snap_length or total)
    return 0, first.link, stream.data, stream.at + 12, stream.at + 12 + length


def _interface(stream: Stream, layout: _Layout, total: int) -> _Interface:
    data, at = stream.data, stream.at
    link, snap_length = struct.unpack_from(layout.order + "HxxI", data, at + 8)
    resolution, offset = 6, 0
    for code, value in _options(stream, layout.order, at + 16, at + total - 4):
        if code == _IF_TSRESOL and len(value) == 1:
            resolution = value[0]
        elif code == _IF_TSOFFSET and len(value) == 8:
            offset = struct.unpack(layout.order + "q", value)[0]
    # The uppermost bit says whether the unit is a negative power of two or of ten.
    units = 1 << (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    return _Interface(link, snap_length, 1_000_000_000, units, offset * 1_000_000_000)


def _options(stream: Stream, order: str, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    while end - at >= 4:
        code, length = struct.unpack_from(order + "HH", stream.data, at)
        if code == _OPTION_END:
            return
        if length > end - at - 4:
            raise stream.error("an option is longer than its block: the file is damaged")
        yield code, stream.data[at + 4 : at + 4 + length]
        at += 4 + (length + 3) // 4 * 4
