"""Axes: from a value to a place on the paper, and where the ticks are. Knows nothing of SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_FEW = 10
_SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_SUFFIX_FROM = 10_000


@dataclass(frozen=True, slots=True)
class Scale:
    """One axis from `low` (at `start`, in pixels) to `high` (at `end`)."""

    low: float
    high: float
    start: float
    end: float
    log: bool
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Pixels of a value."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def label(value: float) -> str:
    """A value in a few digits: `0.25`, `2.35`, `8900`, `20k`, `1.5M`."""
    if abs(value) >= _SUFFIX_FROM:
        for factor, suffix in _SUFFIXES:
            if abs(value) >= factor:
                return f"{value / factor:.4g}{suffix}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.4g}"


def linear(values: Iterable[float], start: float, end: float, most_ticks: int = 7) -> Scale:
    """An axis that begins at zero (or at the lowest value, if that is negative) and ends at a round value."""
    known = [0.0, *values]
    low, high = min(known), max(known)
    step = _round_step((high - low) / most_ticks or 1.0)
    first, last = math.floor(low / step), math.ceil(high / step) or 1
    ticks = tuple(step * i for i in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], start, end, False, ticks)


def logarithmic(values: Iterable[float], start: float, end: float, *, at_values: bool = False) -> Scale:
    """An axis whose ticks stand at powers of two if all values are such, else at 1, 2, 5, 10 and so on.

    With `at_values` they stand at the values themselves if these are few.
    Raises ValueError for a value that is not positive.
    """
    known = sorted(set(values)) or [1.0]
    if known[0] <= 0:
        raise ValueError(f"a logarithmic axis has positive values only, not {known[0]:g}")
    if at_values and len(known) <= _FEW:
        ticks = _spaced(known, abs(end - start))
    elif all(math.frexp(value)[0] == 0.5 for value in known):
        ticks = _spaced(_powers_of_two(known[0], known[-1]), abs(end - start))
    else:
        ticks = _spaced(_decades(known[0], known[-1]), abs(end - start))
    low, high = min(known[0], ticks[0]), max(known[-1], ticks[-1])
    if low == high:
        low, high = low / 2, high * 2
    return Scale(low, high, start, end, True, tuple(ticks))


def _round_step(rough: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 times a power of ten that is at least `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10, 20) if power * factor >= rough)


def _powers_of_two(low: float, high: float) -> list[float]:
    return [2.0**exponent for exponent in range(math.floor(math.log2(low)), math.ceil(math.log2(high)) + 1)]


def _decades(low: float, high: float) -> list[float]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [factor * 10.0**exponent for exponent in exponents for factor in (1, 2, 5)]
    first = max(i for i, value in enumerate(every) if value <= low * (1 + 1e-9))
    last = min((i for i, value in enumerate(every) if value >= high * (1 - 1e-9)), default=len(every) - 1)
    return every[first : last + 1]


def _spaced(ticks: Sequence[float], pixels: float, apart: float = 34.0) -> list[float]:
    """The ticks whose labels do not touch on an axis of this length; the first and the last stay."""
    if len(ticks) < 2:
        return list(ticks)
    a_pixel = math.log(ticks[-1] / ticks[0]) / pixels
    kept = [ticks[0]]
    for tick in ticks[1:-1]:
        if min(math.log(tick / kept[-1]), math.log(ticks[-1] / tick)) >= apart * a_pixel:
            kept.append(tick)
    return [*kept, ticks[-1]]
