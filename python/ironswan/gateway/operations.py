"""Operations of the engine as futures the rest of the gateway can wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from ironswan.control.protocol import CommandError, ExitCode
from ironswan.ike.types import Outcome

_CODES = {"peer_refused": ExitCode.PEER_REFUSED, "timeout": ExitCode.TIMEOUT}


def exit_code(outcome: Outcome) -> ExitCode:
    """The exit code of an operation that ended so."""
    return ExitCode.OK if outcome.ok else _CODES.get(outcome.kind, ExitCode.FAILED)


class Operations:
    """Futures by operation number. Several may wait for one; that one of them gives up does not end it."""

    def __init__(self) -> None:
        """None yet."""
        self._open: dict[int, asyncio.Future[Outcome]] = {}

    def expect(self, operation: int) -> asyncio.Future[Outcome]:
        """The future of an operation just started, before its events are looked at."""
        if operation not in self._open:
            self._open[operation] = asyncio.get_running_loop().create_future()
        return self._open[operation]

    def done(self, operation: int, outcome: Outcome) -> None:
        """The engine says how it ended."""
        future = self._open.pop(operation, None)
        if future is not None and not future.done():
            future.set_result(outcome)


async def all_of(futures: Iterable[asyncio.Future[Outcome]], timeout: float, late: str) -> list[Outcome]:
    """Outcomes of all, in order. Raises CommandError for the first failure, or `late` after `timeout` seconds."""
    futures = list(futures)
    if futures:
        _, pending = await asyncio.wait(set(futures), timeout=timeout)
        if pending:
            raise CommandError(ExitCode.TIMEOUT, late)
    outcomes = [future.result() for future in futures]
    for outcome in outcomes:
        if not outcome.ok:
            raise CommandError(exit_code(outcome), outcome.message, kind=outcome.kind, notify=outcome.notify)
    return outcomes
