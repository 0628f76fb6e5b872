"""Writing packets as pcap or pcapng: link type raw IP, timestamps in nanoseconds."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from io import RawIOBase
from pathlib import Path
from types import TracebackType

_RAW_IP = 101
_SNAP_LENGTH = 262_144
_SECOND = 1_000_000_000
_PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, _SNAP_LENGTH, _RAW_IP)
# A section of unknown length, and one interface whose unit of time is 10^-9 s (option if_tsresol).
_PCAPNG_HEADER = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28) + struct.pack(
    "<IIHHIHHB3xHHI", 1, 32, _RAW_IP, 0, _SNAP_LENGTH, 9, 1, 9, 0, 0, 32
)
_PCAP_RECORD = struct.Struct("<IIII").pack
_PCAPNG_BLOCK = struct.Struct("<IIIIIII").pack
_WORD = struct.Struct("<I").pack
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


class Writer:
    """An open output file; its name's ending says which format. Raises OSError."""

    def __init__(self, path: Path) -> None:
        """Open and write the header."""
        self._is_pcapng = path.suffix == ".pcapng"
        self._file: RawIOBase = path.open("wb", buffering=0)
        self._write([_PCAPNG_HEADER if self._is_pcapng else _PCAP_HEADER])

    def write(self, packets: Iterable[tuple[int, bytes | memoryview]]) -> None:
        """Append packets, each with its timestamp in nanoseconds."""
        pieces: list[bytes | memoryview] = []
        add = pieces.append
        if self._is_pcapng:
            for timestamp, packet in packets:
                length = len(packet)
                padding = _PADDING[length & 3]
                total = 32 + length + len(padding)
                ticks = timestamp & 0xFFFF_FFFF_FFFF_FFFF
                add(_PCAPNG_BLOCK(6, total, 0, ticks >> 32, ticks & 0xFFFF_FFFF, length, length))
                pieces += packet, padding, _WORD(total)
        else:
            for timestamp, packet in packets:
                length = len(packet)
                add(_PCAP_RECORD(timestamp // _SECOND & 0xFFFF_FFFF, timestamp % _SECOND, length, length))
                add(packet)
        self._write(pieces)

    def _write(self, pieces: list[bytes | memoryview]) -> None:
        rest = memoryview(b"".join(pieces))
        while rest:
            rest = rest[self._file.write(rest) or 0 :]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Writer:
        """This writer, closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()
