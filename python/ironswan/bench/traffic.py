"""The packets that are measured: IPv4 with UDP inside, of one size or a mix of sizes. The same in every run."""

from __future__ import annotations

import math
import statistics
import struct
from collections.abc import Iterable, Sequence
from itertools import cycle, islice

IMIX = "imix"
IMIX_DEFINITION = "7 packets of 64 octets, 4 of 576 and 1 of 1420 in turn: 348 octets on average"
# Spread evenly, so that every batch has nearly the mix.
_IMIX_TURN = (64, 576, 64, 64, 576, 64, 1420, 64, 576, 64, 64, 576)
LEAST, MOST = 28, 65000
_HEADERS = struct.Struct(">BBHHHBBH4s4sHHHH")
_SRC, _DST = bytes((10, 1, 0, 1)), bytes((10, 2, 0, 1))


def size(word: str) -> int | str:
    """A size on the command line: octets of the whole inner packet, or `imix`. Raises ValueError."""
    if word.lower() == IMIX:
        return IMIX
    octets = int(word)
    if not LEAST <= octets <= MOST:
        raise ValueError(f"not from {LEAST} to {MOST}")
    return octets


def batches(of: int | str, count: int) -> list[list[bytes]]:
    """Batches of `count` inner packets of a size; of the mix as many as it takes to have it exactly."""
    sizes: Sequence[int] = _IMIX_TURN if isinstance(of, str) else (of,)
    whole = list(islice(cycle([packet(octets) for octets in sizes]), math.lcm(count, len(sizes))))
    return [whole[i : i + count] for i in range(0, len(whole), count)]


def mean(of: Iterable[Sequence[bytes]]) -> float:
    """Octets of a packet of these batches on average."""
    return statistics.mean(len(each) for batch in of for each in batch)


def packet(octets: int) -> bytes:
    """An IPv4 packet with UDP and a payload of counting octets, its header checksum right and none in UDP."""
    header = _header(octets, 0)
    total = sum(struct.unpack(">10H", header[:20]))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    payload = bytes(i & 0xFF for i in range(octets - _HEADERS.size))
    return _header(octets, checksum) + payload


def _header(octets: int, checksum: int) -> bytes:
    ports = (40000, 40001, octets - 20, 0)
    return _HEADERS.pack(0x45, 0, octets, 0, 0x4000, 64, 17, checksum, _SRC, _DST, *ports)
