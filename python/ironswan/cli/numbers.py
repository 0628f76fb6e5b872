"""Numbers as arguments: read, checked, and refused in words. argparse by itself names the function that reads them."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T", int, float)


def whole(low: int, high: int) -> Callable[[str], int]:
    """Reads a whole number."""
    return _number(int, low, high, "a whole number")


def decimal(low: float, high: float) -> Callable[[str], float]:
    """Reads a number, maybe with a fraction."""
    return _number(float, low, high, "a number")


def listed(read: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Reads several, with commas between them."""

    def read_all(text: str) -> tuple[T, ...]:
        try:
            return tuple(read(word) for word in text.split(","))
        except ArgumentTypeError as error:
            raise ArgumentTypeError(f"each {error}") from None

    return read_all


def _number(kind: Callable[[str], T], low: T, high: T, what: str) -> Callable[[str], T]:
    def read(text: str) -> T:
        try:
            value = kind(text)
        except ValueError:
            value = None
        # Written so that it refuses nan as well.
        if value is None or not low <= value <= high:
            raise ArgumentTypeError(f"must be {what} from {low} to {high}")
        return value

    return read
