"""A capture through its SAs: frames in, the packets they protected out, in the order of the capture.

Frames are taken a chunk of the file at a time. The packets of one SA in a chunk are opened as one batch, and what all
of them held is written before the next chunk is read, so that memory does not grow with the capture.
"""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ironswan.pcap.finder import Found, find, segment_size
from ironswan.pcap.keys import Protocol
from ironswan.pcap.links import LINK_LAYERS, NOT_IP
from ironswan.pcap.opening import Output, open_pending
from ironswan.pcap.sas import MetSa, Place, SaTable
from ironswan.pcap.stream import CaptureError, Frame

_ESP, _ESP_IN_UDP, _AH = Found.ESP, Found.ESP_IN_UDP, Found.AH


class Sink(typing.Protocol):
    """Where decrypted packets go."""

    def write(self, packets: Iterable[tuple[int, bytes | memoryview]]) -> None:
        """Packets with their timestamps in nanoseconds."""


@dataclass(slots=True)
class Totals:
    """What the frames of a capture were."""

    frames: int = 0
    # Datagrams that held several ESP packets.
    coalesced: int = 0
    found: Counter[Found] = field(default_factory=Counter)
    # Frames whose link type is not known, by link type; and frames that carry no IP.
    unknown_links: Counter[int] = field(default_factory=Counter)
    not_ip: int = 0


class Decryption:
    """One run over a capture; afterwards `table` and `totals` say what was seen, and `damage` where it had to end."""

    def __init__(self, table: SaTable, ports: frozenset[int], sink: Sink) -> None:
        """`ports` are those of UDP encapsulation (RFC 3948)."""
        self.table = table
        self.totals = Totals()
        self.damage = ""
        self._ports = ports
        self._sink = sink
        self._find = table.find
        self._waiting: list[MetSa] = []
        # How many packets wait, in the order of the capture.
        self._order = 0

    def run(self, frames: Iterable[Frame], progress: Callable[[], None] = lambda: None) -> None:
        """Take every frame; `progress` is called once a chunk. A damaged capture ends the run, what came before counts.

        Raises what the sink raises.
        """
        try:
            self._take(frames, progress)
        except CaptureError as error:
            self.damage = str(error)
        self._flush()

    def _take(self, frames: Iterable[Frame], progress: Callable[[], None]) -> None:
        totals, ports, found_in = self.totals, self._ports, self.totals.found
        chunk, view = None, memoryview(b"")
        for timestamp, link, data, start, end in frames:
            if data is not chunk:
                self._flush()
                progress()
                chunk, view = data, memoryview(data)
            totals.frames += 1
            locate = LINK_LAYERS.get(link)
            if locate is None:
                totals.unknown_links[link] += 1
                continue
            ip = locate(data, start, end)
            if ip == NOT_IP:
                totals.not_ip += 1
                continue
            found, header, stop, next_at = find(data, ip, end, ports)
            found_in[found] += 1
            if found is _ESP:
                self._put(view[header:stop], (timestamp, data, ip, header, next_at), "esp", header)
            elif found is _ESP_IN_UDP:
                self._put_datagram(view[:stop], (timestamp, data, ip, header - 8, next_at), header)
            elif found is _AH:
                # AH protects the IP header too; before its SPI are the next header and a length.
                self._put(view[ip:stop], (timestamp, data, ip, header, next_at), "ah", header + 4)

    def _put_datagram(self, view: memoryview, place: Place, header: int) -> None:
        """ESP in UDP; where offloads were at work, one after the other in what looks like one datagram."""
        size = segment_size(place[1], header, len(view))
        self.totals.coalesced += size > 0
        size = size or len(view)
        for begin in range(header, len(view), size):
            self._put(view[begin : begin + size], place, "esp", begin)

    def _put(self, packet: memoryview, place: Place, protocol: Protocol, spi: int) -> None:
        """Give one packet to its SA."""
        data, ip = place[1], place[2]
        addresses = data[ip + 12 : ip + 20] if data[ip] < 0x60 else data[ip + 8 : ip + 40]
        sa = self._find(protocol, addresses, data[spi : spi + 4])
        sa.packets += 1
        if sa.native is None:
            return
        if not sa.pending:
            self._waiting.append(sa)
        sa.pending.append(packet)
        sa.places.append((self._order, place))
        self._order += 1

    def _flush(self) -> None:
        """Open what waits and write it."""
        if not self._order:
            return
        out: Output = [None] * self._order
        for sa in self._waiting:
            open_pending(sa, out)
        self._waiting.clear()
        self._order = 0
        self._sink.write(packet for packet in out if packet is not None)
