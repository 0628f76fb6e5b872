"""When a worker looks for more before it sleeps."""

import re
import statistics
from pathlib import Path

import pytest
from two_gateways import INNER, wait_for

ROUNDS = 500


def receiving(side):
    """The thread of a side that receives."""
    namespace = Path(f"/run/netns/{side.namespace}").stat().st_ino
    tasks = [task for task in Path("/proc/self/task").iterdir() if (task / "comm").read_text() == "ironswan-0-in\n"]
    (found,) = (task for task in tasks if (task / "ns/net").stat().st_ino == namespace)
    return found


def is_asleep(side):
    return (receiving(side) / "stat").read_text().rpartition(")")[2].split()[0] == "S"


def sleeps(side):
    """How often that thread has gone to sleep. Who lets others run first has not."""
    return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", (receiving(side) / "status").read_text(), re.M)[1])


def sleeps_meanwhile(pair):
    """How often it does so at b between so many questions, each asked when the one before it is answered."""
    before = sleeps(pair.b)
    assert " 0% packet loss" in pair.a.run("ping", "-q", "-W", "2", "-f", "-c", str(ROUNDS), INNER["b"])
    return sleeps(pair.b) - before


@pytest.mark.parametrize("real_time", [False, True])
def test_it_carries_everything_and_sleeps_when_nothing_comes(make_pair, real_time):
    pair = make_pair(busy_poll=True, real_time=real_time)
    pair.join()
    for options in (("-f", "-c", "2000"), ("-c", "20", "-i", "0.005")):
        assert " 0% packet loss" in pair.a.run("ping", "-q", "-W", "2", *options, INNER["b"])
    wait_for(lambda: is_asleep(pair.a) and is_asleep(pair.b))
    assert pair.a.plane.counters()["tun_packets"] >= 2020


def test_it_stays_awake_between_questions_that_come_soon_after_each_other(make_pair):
    pair = make_pair(b={"busy_poll": True})
    pair.join()
    # Again where others needed the processor, for whom it retreats.
    wait_for(lambda: sleeps_meanwhile(pair) < ROUNDS / 2, 60)


def test_it_sleeps_before_each_of_them_where_it_is_not_to_look(make_pair):
    pair = make_pair()
    pair.join()
    # Unless others keep it from going to sleep for so long that the next one is there.
    assert statistics.median(sleeps_meanwhile(pair) for _ in range(9)) > ROUNDS * 0.75
