"""Axes: ticks are round, cover the values and do not touch."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironswan.bench.scales import label, linear, logarithmic


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.25, "0.25"), (2.3456, "2.35"), (99.96, "100"), (1420, "1420"), (8900, "8900"), (20_000, "20k"),
        (1.5e6, "1.5M"), (2e9, "2G"), (-0.5, "-0.5"), (0.00123, "0.00123"),
    ],
)  # fmt: skip
def test_label_is_short(value, text):
    assert label(value) == text


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([3.2, 9.5], (0, 2, 4, 6, 8, 10)),
        ([0.03], (0, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03)),
        ([-1, 1], (-1, -0.5, 0, 0.5, 1)),
        ([], (0, 1)),
        ([0], (0, 1)),
    ],
)
def test_linear_ticks_are_round_and_begin_at_zero(values, ticks):
    assert linear(values, 0, 100).ticks == pytest.approx(ticks)


def test_few_values_are_the_ticks_themselves():
    assert logarithmic([64, 256, 576, 1420, 8900], 0, 700, at_values=True).ticks == (64, 256, 576, 1420, 8900)


def test_powers_of_two_have_powers_of_two_as_ticks():
    ticks = logarithmic([2**i for i in range(21)], 0, 700).ticks
    assert set(ticks) <= {2.0**i for i in range(21)}
    assert (ticks[0], ticks[-1]) == (1, 2**20)
    assert len(ticks) > 9


def test_other_values_have_decades_as_ticks():
    assert logarithmic([3, 700], 0, 700).ticks == (2, 5, 10, 20, 50, 100, 200, 500, 1000)


@given(st.lists(st.floats(1e-6, 1e12), min_size=1, max_size=30), st.booleans())
def test_logarithmic_axis_covers_its_values_and_its_labels_do_not_touch(values, at_values):
    scale = logarithmic(values, 0, 600, at_values=at_values)
    assert scale.low <= min(values)
    assert scale.high >= max(values)
    inner = [scale.place(tick) for tick in scale.ticks]
    assert all(b - a >= 33.9 for a, b in itertools.pairwise(inner)) or len(inner) == 2
    assert all(-0.01 <= scale.place(value) <= 600.01 for value in values)


@given(st.lists(st.floats(-1e12, 1e12), max_size=30))
def test_linear_axis_covers_its_values_with_few_ticks(values):
    scale = linear(values, 600, 0)
    assert 2 <= len(scale.ticks) <= 9
    assert all(-0.01 <= scale.place(value) <= 600.01 for value in values)
