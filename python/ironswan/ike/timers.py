"""Deadlines: one heap for all IKE SAs, entries cancelled lazily. Knows no clock; `now` comes from the caller."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from enum import Enum


class TimerKind(Enum):
    """What a deadline is for."""

    RETRANSMIT = "retransmit"
    HALF_OPEN = "half-open"
    LIVENESS = "liveness"
    KEEPALIVE = "keepalive"
    IKE_SOFT = "ike-soft"
    IKE_HARD = "ike-hard"
    LINGER = "linger"
    REDUNDANT = "redundant"
    FRAGMENTS = "fragments"
    CHILD_SOFT = "child-soft"
    CHILD_HARD = "child-hard"
    CHILD_LINGER = "child-linger"
    CHILD_CONFIRM = "child-confirm"


# A rekey that was refused is tried again after so many seconds, and a random part of so many more.
RETRY_AFTER = 10.0
RETRY_JITTER = 10.0

TimerKey = tuple[TimerKind, int]
_Entry = tuple[float, int, bytes, TimerKey]


class TimerQueue:
    """A heap of (deadline, IKE SA, key); `is_current` tells whether an entry is still armed."""

    def __init__(self, is_current: Callable[[bytes, TimerKey, float], bool]) -> None:
        """`is_current` is asked before an entry counts."""
        self._heap: list[_Entry] = []
        self._order = 0
        self._is_current = is_current

    def push(self, deadline: float, ike_spi: bytes, key: TimerKey) -> None:
        """Add a deadline; a newer one for the same key makes this entry stale."""
        self._order += 1
        heapq.heappush(self._heap, (deadline, self._order, ike_spi, key))

    def next_deadline(self) -> float | None:
        """The earliest armed deadline."""
        while self._heap:
            deadline, _, spi, key = self._heap[0]
            if self._is_current(spi, key, deadline):
                return deadline
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: float) -> tuple[bytes, TimerKey] | None:
        """Take the earliest deadline that has come, if any."""
        deadline = self.next_deadline()
        if deadline is None or deadline > now:
            return None
        _, _, spi, key = heapq.heappop(self._heap)
        return spi, key
