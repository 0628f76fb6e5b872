"""Captures of packets: reading pcap and pcapng, finding ESP and AH in them, and writing what was decrypted."""

from __future__ import annotations

from ironswan.pcap.packets import ip_packets
from ironswan.pcap.stream import CaptureError, TruncatedCapture

__all__ = ["CaptureError", "TruncatedCapture", "ip_packets"]
