"""ESP and AH over batches of packets, without a gateway: keys, packets and headers; no I/O, no threads, no clock.

    from ironswan.esp import InboundSa, OutboundSa, PacketBatch, Status

    outbound = OutboundSa(0x1001, "aes128gcm16", keymat, tunnel=("192.0.2.1", "192.0.2.2"))
    sealed = outbound.encap(PacketBatch(packets), framing="ip")
    opened = InboundSa(0x1001, "aes128gcm16", keymat).decap(sealed.packets, framing="ip")
    assert opened.ok and opened.packets.tolist() == packets

Work on a batch runs in native code that releases the GIL; SAs may be used by any number of threads. What is wrong with
a packet is a Status beside it, never an exception; what is wrong with a call is a ValueError that says what
is expected.
"""

from __future__ import annotations

from enum import IntEnum

from ironswan._native import (
    AhInboundSa,
    AhOutboundSa,
    InboundSa,
    OutboundSa,
    PacketBatch,
    Results,
    SuiteInfo,
    suites,
)

__all__ = [
    "AhInboundSa",
    "AhOutboundSa",
    "InboundSa",
    "OutboundSa",
    "PacketBatch",
    "Results",
    "Status",
    "SuiteInfo",
    "suites",
]


class Status(IntEnum):
    """What came of a packet (the auditable events of RFC 4303 4, and what may happen before them)."""

    OK = 0
    REPLAYED = 1
    """A sequence number that is zero, seen before, or left of the window."""
    ICV_MISMATCH = 2
    MALFORMED = 3
    """Too short, of an impossible length, or with headers that do not fit together."""
    BAD_PADDING = 4
    """Authentic, with padding that is not 1, 2, 3, ..., or too long."""
    DUMMY = 5
    """Authentic, and to be discarded (RFC 4303 2.6)."""
    SELECTOR_MISMATCH = 6
    """Authentic, and not what the SA is for (RFC 4301 5.2)."""
    SEQUENCE_EXHAUSTED = 7
    WRONG_SPI = 8
    FRAGMENT = 9
    """A fragment where only whole datagrams are taken (RFC 4303 3.4.1, 3.1.1)."""
    ECN_ILLEGAL = 10
    """The outer header reports congestion to an inner transport that does not understand it (RFC 6040 4.2)."""
    LIMIT_REACHED = 11
    TOO_LONG = 12
    NOT_ESP = 13
    """Another protocol, an IKE message, a NAT keepalive."""
