"""A token bucket on virtual time: replies to unprotected input are rate limited (RFC 7296 2.4)."""

from __future__ import annotations


class RateLimiter:
    """At most `rate` actions a second, `burst` at once."""

    def __init__(self, rate: float, burst: float) -> None:
        """The bucket starts full."""
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._last: float | None = None

    def allow(self, now: float) -> bool:
        """Take one token if there is one."""
        elapsed = 0.0 if self._last is None else max(0.0, now - self._last)
        self._last = now
        self._tokens = min(self._burst, self._tokens + elapsed * self._rate)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
