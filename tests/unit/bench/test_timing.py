"""Timing, with a clock that the work itself moves on."""

from __future__ import annotations

import pytest

from ironswan.bench.timing import Effort, MeasurementError, Spread, Work, timed


class Clock:
    """Nanoseconds; `pass_` lets them pass."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now

    def pass_(self, nanoseconds):
        self.now += nanoseconds


def work(clock, *, cost=1000, preparation=0, packets=10, inputs=4, check=lambda result: None):
    def prepare():
        clock.pass_(preparation)
        return range(inputs)

    return Work(prepare, lambda _: clock.pass_(cost), check, packets)


def test_figure_is_the_time_of_a_packet():
    clock = Clock()
    assert timed([work(clock, cost=1000, packets=10)], Effort(3, 1e-4), clock) == Spread(100.0, 100.0, 100.0)


def test_preparing_and_checking_are_not_timed():
    clock = Clock()
    slow = work(clock, preparation=10**9, check=lambda _: clock.pass_(10**9))
    assert timed([slow], Effort(3, 1e-4), clock).most == 100.0


def test_repetition_lasts_as_long_as_asked_and_the_first_is_not_counted():
    clock, calls = Clock(), []
    counted = Work(lambda: range(1), lambda _: (calls.append(1), clock.pass_(1000)), lambda _: None, 1)
    timed([counted], Effort(3, 1e-4), clock)
    assert len(calls) == 20 + 3 * 100


def test_median_least_and_most_of_the_repetitions():
    clock, costs = Clock(), iter([5, 100, 300, 200])
    varied = Work(lambda: range(1), lambda _: clock.pass_(next(costs) * 1000), lambda _: None, 1000)
    assert timed([varied], Effort(3, 1e-9), clock) == Spread(200.0, 100.0, 300.0)


def test_wrong_result_has_no_figure():
    def refuse(result):
        raise MeasurementError("wrong")

    with pytest.raises(MeasurementError, match="wrong"):
        timed([work(Clock(), check=refuse)], Effort(1, 1e-6), Clock())


@pytest.mark.parametrize("where", ["prepare", "run", "check"])
def test_error_in_a_thread_is_raised(where):
    def fail(*_):
        raise MeasurementError(where)

    parts = {"prepare": lambda: range(1), "run": lambda _: None, "check": lambda _: None} | {where: fail}
    with pytest.raises(MeasurementError, match=where):
        timed([Work(**parts, packets=1)] * 2, Effort(1, 1e-6))


def test_threads_are_measured_together():
    ran = []
    works = [Work(lambda: range(2), lambda _, i=i: ran.append(i), lambda _: None, 5) for i in range(3)]
    spread = timed(works, Effort(2, 1e-9))
    assert 0 < spread.least <= spread.median <= spread.most
    assert [ran.count(i) for i in range(3)] == [len(ran) // 3] * 3
