"""Fixtures of the data plane's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from two_gateways import Pair, supported


@pytest.fixture
def make_pair() -> Iterator[Callable[..., Pair]]:
    """Build pairs of gateways that are gone after the test."""
    if reason := supported():
        pytest.skip(reason)
    pairs: list[Pair] = []

    def make(**options: Any) -> Pair:
        pairs.append(Pair(str(len(pairs)), **options))
        return pairs[-1]

    yield make
    for pair in pairs:
        pair.close()


@pytest.fixture
def joined(make_pair: Callable[..., Pair]) -> Pair:
    """Two gateways with an SA each way."""
    pair = make_pair()
    pair.join()
    return pair
