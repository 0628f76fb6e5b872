"""The IP packets of a capture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ironswan.pcap.links import LINK_LAYERS, NOT_IP
from ironswan.pcap.reader import Reader
from ironswan.pcap.stream import TruncatedCapture


def ip_packets(path: Path | str) -> Iterator[bytes]:
    """The IP packets of a pcap or pcapng file, without link layer and padding, in the order of the file.

    Frames that carry no IP and link types that are not known are left out; a packet that the capture cut is shorter
    than its header says. A file that ends within a packet gives all before it. Raises OSError when the file cannot be
    read and CaptureError when it is no capture, or where it is damaged.
    """
    with Reader(path) as reader:
        try:
            for _, link, data, start, end in reader:
                locate = LINK_LAYERS.get(link)
                at = NOT_IP if locate is None else locate(data, start, end)
                if at != NOT_IP:
                    yield data[at : at + length_of(data, at, end)]
        except TruncatedCapture:
            return


def length_of(data: bytes | memoryview, at: int, end: int) -> int:
    """The length of the IP packet at `at` by its own header, at most up to `end`.

    A length of zero is one that did not fit, of a packet captured before it was cut into segments, or a jumbogram.
    """
    available = end - at
    if available < 6:
        return available
    version, total = data[at] >> 4, 0
    if version == 4:
        total = data[at + 2] << 8 | data[at + 3]
    elif version == 6:
        payload = data[at + 4] << 8 | data[at + 5]
        total = payload + 40 if payload else 0
    return total if 0 < total < available else available
