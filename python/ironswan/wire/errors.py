"""The one way in which a codec refuses octets."""

from __future__ import annotations

from ironswan.wire.numbers import NotifyType


class WireError(ValueError):
    """Octets that are not a message. `reason` is a sentence, `notify` and `data` what RFC 7296 2.21 would answer."""

    def __init__(self, reason: str, notify: int = NotifyType.INVALID_SYNTAX, data: bytes = b"") -> None:
        super().__init__(reason)
        self.reason = reason
        self.notify = notify
        self.data = data
