"""When the threads that carry packets run before all ordinary ones."""

import os
from pathlib import Path

import pytest
from two_gateways import INNER, wait_for


def urgent():
    """The threads that do, and how many threads this process has."""
    tasks = list(Path("/proc/self/task").iterdir())
    real_time = [task for task in tasks if os.sched_getscheduler(int(task.name)) == os.SCHED_RR]
    return {(task / "comm").read_text().strip() for task in real_time}, len(tasks)


@pytest.fixture
def pair(make_pair, absent):
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        absent("threads may not be real-time here: it takes CAP_SYS_NICE")
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    pair = make_pair(real_time=True)
    pair.join()
    ping(pair, "-c", "1")
    return pair


def ping(pair, *options):
    assert " 0% packet loss" in pair.a.run("ping", "-q", "-W", "2", *options, INNER["b"])
    return urgent()[0]


def test_only_those_are_urgent_that_have_something_to_carry_all_the_time(pair):
    assert pair.a.plane.offloads_asked()["real_time"]
    assert pair.a.plane.offloads()["real_time"]
    assert not urgent()[0]
    wait_for(lambda: "ironswan-0-in" in ping(pair, "-f", "-c", "500"))
    carrying, threads = urgent()
    assert carrying <= {"ironswan-0-in", "ironswan-0-out"}
    assert threads > 4


def test_a_packet_now_and_then_makes_them_ordinary_again(pair):
    wait_for(lambda: "ironswan-0-in" in ping(pair, "-f", "-c", "500"))
    # Those that send sleep at rest, and are as they were until they have something to carry.
    wait_for(lambda: "ironswan-0-in" not in ping(pair, "-c", "2", "-i", "0.03"))


def test_they_stay_what_somebody_started_them_as(make_pair):
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        pair = make_pair(real_time=True)
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    pair.join()
    ping(pair, "-f", "-c", "500")
    assert not urgent()[0]
    assert not pair.a.plane.offloads()["real_time"]
    tasks = [task for task in Path("/proc/self/task").iterdir() if (task / "comm").read_text().startswith("ironswan-")]
    assert {os.sched_getscheduler(int(task.name)) for task in tasks} == {os.SCHED_BATCH}


def test_they_are_ordinary_where_that_is_not_wanted(make_pair):
    pair = make_pair()
    pair.join()
    ping(pair, "-f", "-c", "500")
    assert not urgent()[0]
    assert not pair.a.plane.offloads()["real_time"]
    assert not pair.a.plane.offloads_asked()["real_time"]
