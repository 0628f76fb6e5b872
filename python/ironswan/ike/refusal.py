"""Why a request is not granted, as a value: what to answer, what to log."""

from __future__ import annotations

from dataclasses import dataclass

from ironswan.ike.types import Because
from ironswan.policy.proposals import Mismatch
from ironswan.wire.notify import NotifyPayload


@dataclass(frozen=True, slots=True)
class Refusal:
    """`notify` and `data` go to the peer; `fatal` closes the IKE SA after the answer (RFC 7296 2.21).

    `why` is for the log: a sentence, or a mismatch, whose sentence takes some work and is made when it is told.
    """

    notify: int
    because: Because
    why: str | Mismatch
    data: bytes = b""
    protocol: int = 0
    spi: bytes = b""
    fatal: bool = False

    @property
    def detail(self) -> str:
        """The sentence."""
        return str(self.why)

    def payload(self) -> NotifyPayload:
        """The notification to send."""
        return NotifyPayload(self.notify, self.data, protocol=self.protocol, spi=self.spi)
