"""Why a request is not granted, as a value: what to answer, what to log."""

from __future__ import annotations

from dataclasses import dataclass

from ironswan.ike.types import Because
from ironswan.wire.notify import NotifyPayload


@dataclass(frozen=True, slots=True)
class Refusal:
    """`notify` and `data` go to the peer; `fatal` closes the IKE SA after the answer (RFC 7296 2.21)."""

    notify: int
    because: Because
    detail: str
    data: bytes = b""
    protocol: int = 0
    spi: bytes = b""
    fatal: bool = False

    def payload(self) -> NotifyPayload:
        """The notification to send."""
        return NotifyPayload(self.notify, self.data, protocol=self.protocol, spi=self.spi)
