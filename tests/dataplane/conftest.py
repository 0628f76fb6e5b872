"""Fixtures of the data plane's tests."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from two_gateways import Pair, supported


@pytest.fixture
def make_pair(absent: Callable[[str], None]) -> Iterator[Callable[..., Pair]]:
    """Build pairs of gateways, or of another kind, that are gone after the test."""
    if reason := supported():
        absent(reason)
    numbers = itertools.count()
    with contextlib.ExitStack() as stack:

        def make(kind: type[Pair] = Pair, **options: Any) -> Pair:
            pair = kind(str(next(numbers)), **options)
            stack.callback(pair.close)
            return pair

        yield make


@pytest.fixture
def joined(make_pair: Callable[..., Pair]) -> Pair:
    """Two gateways with an SA each way."""
    pair = make_pair()
    pair.join()
    return pair
