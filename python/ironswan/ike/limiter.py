"""How often something may happen, and how often it happened lately, on virtual time (RFC 7296 2.4, 2.6)."""

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


class RecentCount:
    """How often something happened in the last `period` seconds, or a little longer: two counters, however often."""

    def __init__(self, period: float) -> None:
        """Nothing has happened yet."""
        self._period = period
        self._until = float("-inf")
        self._this = self._before = 0

    def add(self, now: float) -> None:
        """It happened."""
        self._turn(now)
        self._this += 1

    def at(self, now: float) -> int:
        """How often, seen from now."""
        self._turn(now)
        return self._before + self._this

    def _turn(self, now: float) -> None:
        if now < self._until:
            return
        self._before = self._this if now < self._until + self._period else 0
        self._this, self._until = 0, now + self._period
