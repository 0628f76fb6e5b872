"""When a worker looks for more before it sleeps."""

from pathlib import Path

import pytest
from two_gateways import INNER, wait_for


def states():
    """In what state each thread is that receives: R running, S asleep."""
    tasks = [task for task in Path("/proc/self/task").iterdir() if (task / "comm").read_text() == "ironswan-0-in\n"]
    return [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks]


@pytest.mark.parametrize("real_time", [False, True])
def test_it_carries_everything_and_sleeps_when_nothing_comes(make_pair, real_time):
    pair = make_pair(busy_poll=True, real_time=real_time)
    pair.join()
    for options in (("-f", "-c", "2000"), ("-c", "20", "-i", "0.005")):
        assert " 0% packet loss" in pair.a.run("ping", "-q", "-W", "2", *options, INNER["b"])
    wait_for(lambda: states() == ["S", "S"])
    assert pair.a.plane.counters()["tun_packets"] >= 2020
