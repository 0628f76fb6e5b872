"""How long something takes: repetitions of timed work on inputs prepared outside the timed part. Knows no packets.

The clock is an argument: a function that returns nanoseconds.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

Clock = Callable[[], int]
# Turns of threads are so many times longer, so that they start and end nearly together.
_LONGER = 8


class MeasurementError(Exception):
    """The work that was timed did not do what it should; its figure would mean nothing."""


@dataclass(frozen=True, slots=True)
class Work:
    """Something to time: `run` is called with each of the inputs that `prepare`, not timed, has made.

    `check`, not timed, sees the last result of each turn and raises MeasurementError if it is wrong.
    """

    prepare: Callable[[], Sequence[Any]]
    run: Callable[[Any], Any]
    check: Callable[[Any], None]
    packets: int
    """Packets of one input."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: `repetitions` of at least `seconds` of timed work each."""

    repetitions: int = 5
    seconds: float = 0.05


@dataclass(frozen=True, slots=True)
class Spread:
    """Nanoseconds a packet of all repetitions."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one repetition."""
        return cls(statistics.median(values), min(values), max(values))


def timed(works: Sequence[Work], effort: Effort, clock: Clock = time.perf_counter_ns) -> Spread:
    """Nanoseconds a packet, all works together: each runs in a thread of its own when there are several.

    One short repetition before the first is not counted. Raises MeasurementError.
    """
    with ThreadPoolExecutor(len(works)) as pool:
        turn = partial(_together, works, pool, clock) if len(works) > 1 else partial(_alone, works[0], clock)
        _repetition(turn, effort.seconds / 5)
        return Spread.of([_repetition(turn, effort.seconds) for _ in range(effort.repetitions)])


def _repetition(turn: Callable[[], tuple[int, int]], seconds: float) -> float:
    """Nanoseconds a packet over at least `seconds` of timed work; a turn says its nanoseconds and packets."""
    elapsed = packets = 0
    while elapsed < seconds * 1e9:
        took, done = turn()
        elapsed, packets = elapsed + took, packets + done
    return elapsed / packets


def _alone(work: Work, clock: Clock) -> tuple[int, int]:
    """One turn of one work."""
    inputs = work.prepare()
    begin, end, result = _run(work.run, inputs, clock)
    work.check(result)
    return end - begin, len(inputs) * work.packets


def _together(works: Sequence[Work], pool: Executor, clock: Clock) -> tuple[int, int]:
    """One turn of all, in threads that begin together: from the first to begin until the last has ended."""
    inputs = [[each for _ in range(_LONGER) for each in work.prepare()] for work in works]
    start = threading.Barrier(len(works))

    def run(work: Work, own: Sequence[Any]) -> tuple[int, int, Any]:
        start.wait()
        return _run(work.run, own, clock)

    ran = [turn.result() for turn in [pool.submit(run, *each) for each in zip(works, inputs, strict=True)]]
    for work, (_, _, result) in zip(works, ran, strict=True):
        work.check(result)
    packets = sum(len(own) * work.packets for work, own in zip(works, inputs, strict=True))
    return max(end for _, end, _ in ran) - min(begin for begin, _, _ in ran), packets


def _run(run: Callable[[Any], Any], inputs: Sequence[Any], clock: Clock) -> tuple[int, int, Any]:
    """The timed part."""
    result = None
    begin = clock()
    for each in inputs:
        result = run(each)
    return begin, clock(), result
