"""Opening the packets of one SA, a batch at a time."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from ironswan import esp
from ironswan.pcap.keys import SaKeys
from ironswan.pcap.restore import restore
from ironswan.pcap.sas import MetSa, make

if TYPE_CHECKING:
    from ironswan.esp import Results

_REPLAYED, _DUMMY = int(esp.Status.REPLAYED), int(esp.Status.DUMMY)
_REASONS = {int(status): status.name.lower() for status in esp.Status}
_OTHER_MODE = "other_mode"
# How many upper halves of an extended sequence number are tried, on how many packets of how many batches.
_UPPER_HALVES, _SAMPLES, _SEARCHES = 64, 4, 4

# A timestamp and a packet; None where nothing could be opened.
Output = list[tuple[int, bytes | memoryview] | None]


def open_pending(sa: MetSa, out: Output) -> None:
    """Open what waits for this SA; each packet goes where its order says."""
    assert sa.keys is not None
    batch = esp.PacketBatch(sa.pending)
    if sa.keys.esn and not sa.decrypted and sa.searches < _SEARCHES:
        _find_upper_half(sa, sa.keys, batch)
    results = _decap(sa, batch)
    # A view of all packets at once: making one for each would cost more than opening them.
    plain, offsets = memoryview(results.packets), results.packets.offsets
    codes, next_headers = results.status_codes, results.next_headers
    mode, is_ah = sa.keys.mode, sa.protocol == "ah"
    opened = octets = 0
    for index, (order, (timestamp, data, ip, header, next_at)) in enumerate(sa.places):
        if codes[index]:
            _count(sa, codes[index])
            continue
        inside = plain[offsets[index] : offsets[index + 1]]
        if is_ah:
            inside = inside[header - ip :]
        packet = restore(mode, data[ip:header], next_at - ip, next_headers[index], inside)
        if packet is None:
            sa.failures[_OTHER_MODE] += 1
            continue
        out[order] = timestamp, packet
        opened += 1
        octets += len(packet)
    sa.decrypted += opened
    sa.octets += octets
    sa.pending, sa.places = [], []


def _decap(sa: MetSa, batch: esp.PacketBatch) -> Results:
    native = sa.native
    assert native is not None
    return native.decap(batch, framing="esp") if isinstance(native, esp.InboundSa) else native.decap(batch)


def _find_upper_half(sa: MetSa, keys: SaKeys, batch: esp.PacketBatch) -> None:
    """Begin with the right upper half of an extended sequence number, which no packet tells (RFC 4303 2.2.1).

    What the keys say is tried first. The trial SAs are thrown away, so that what they opened is no replay.
    """
    sa.searches += 1
    samples = [esp.PacketBatch([batch[index]]) for index in range(min(len(batch), _SAMPLES))]
    starts = [keys.sequence_number, *(upper << 32 for upper in range(_UPPER_HALVES))]
    for sample, start in product(samples, starts):
        sa.native = make(keys, sa.spi, start)
        if _decap(sa, sample).ok:
            sa.native = make(keys, sa.spi, start)
            return
    sa.native = make(keys, sa.spi)


def _count(sa: MetSa, code: int) -> None:
    if code == _REPLAYED:
        sa.replays += 1
    elif code == _DUMMY:
        sa.dummies += 1
    else:
        sa.failures[_REASONS[code]] += 1
