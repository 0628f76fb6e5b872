"""What an operator asked for and what became of it: numbers out, one OperationDone each."""

from __future__ import annotations

from dataclasses import dataclass

from ironswan.ike.events import Event, OperationDone
from ironswan.ike.types import Outcome


@dataclass(slots=True)
class _Pending:
    parts: int
    failed: Outcome | None = None


class Operations:
    """Open operations. An operation of several parts ends with its last part; its first failure is its outcome."""

    def __init__(self, events: list[Event]) -> None:
        """`events` is the engine's queue."""
        self._events = events
        self._pending: dict[int, _Pending] = {}
        self._last = 0

    def begin(self, parts: int = 1) -> int:
        """A new operation."""
        self._last += 1
        self._pending[self._last] = _Pending(parts)
        return self._last

    def finish(self, operation: int | None, outcome: Outcome) -> None:
        """One part of the operation ended; unknown and ended operations are ignored."""
        pending = self._pending.get(operation or 0)
        if operation is None or pending is None:
            return
        pending.parts -= 1
        if not outcome.ok and pending.failed is None:
            pending.failed = outcome
        if pending.parts <= 0:
            del self._pending[operation]
            final = pending.failed or outcome
            self._events.append(OperationDone(operation, final.ok, final))
