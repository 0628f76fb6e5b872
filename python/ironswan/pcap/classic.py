"""The pcap format (draft-ietf-opsawg-pcap): a header, then records."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ironswan.pcap.stream import MAXIMUM_RECORD, Frame, Stream

# The first four octets: byte order for `struct`, and nanoseconds in a unit of the timestamps' fraction.
MAGICS = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
_HEADER, _RECORD = 24, 16
# The upper bits of the link type say how long a frame check sequence is.
_LINK_TYPE = 0x03FF_FFFF


def frames(stream: Stream) -> Iterator[Frame]:
    """Every frame. Raises CaptureError where the file is damaged, TruncatedCapture when it ends within a record."""
    if not stream.fill(_HEADER):
        raise stream.truncated()
    order, scale = MAGICS[stream.data[stream.at : stream.at + 4]]
    major, minor, _, _, _, network = struct.unpack_from(order + "HHiIII", stream.data, stream.at + 4)
    if major != 2:
        raise stream.error(f"version {major}.{minor} of the pcap format is not known, only 2.4")
    stream.at += _HEADER
    yield from _records(stream, struct.Struct(order + "IIII"), scale, network & _LINK_TYPE)


def _records(stream: Stream, record: struct.Struct, scale: int, link: int) -> Iterator[Frame]:
    unpack = record.unpack_from
    while stream.fill(_RECORD):
        data, at = stream.data, stream.at
        size = len(data)
        length = 0
        while size - at >= _RECORD:
            seconds, fraction, length, _ = unpack(data, at)
            end = at + _RECORD + length
            if end > size:
                break
            yield seconds * 1_000_000_000 + fraction * scale, link, data, at + _RECORD, end
            at = end
        stream.at = at
        if size - at < _RECORD:
            continue
        if length > MAXIMUM_RECORD:
            raise stream.error(f"a record of {length} octets cannot be: the file is damaged")
        if not stream.fill(_RECORD + length):
            raise stream.truncated()
    if not stream.at_end:
        raise stream.truncated()
