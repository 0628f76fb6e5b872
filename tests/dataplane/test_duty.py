"""Which of a worker's two threads reads the TUN: under load the one that sends, at rest the one that receives."""

import re
import socket
import struct
from pathlib import Path

from two_gateways import INNER, inside, wait_for

UDP_SEGMENT = 103


def wakeups_of_sending_threads():
    """How often each has gone to sleep."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        if re.fullmatch(r"ironswan-\d+-out", (task / "comm").read_text().strip()):
            status = (task / "status").read_text()
            found[task.name] = int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status, re.M)[1])
    return found


def ping(pair, count):
    assert " 0% packet loss" in pair.a.run("ping", "-c", str(count), "-i", "0.002", "-W", "2", INNER["b"])


def pings_leave_them_asleep(pair, count=1):
    before = wakeups_of_sending_threads()
    assert len(before) == 2
    ping(pair, count)
    return wakeups_of_sending_threads() == before


def burst(pair, packets=32):
    """A super-packet of the TUN, which is many packets at once."""
    with inside(pair.a.namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
        source.bind((INNER["a"], 0))
        control = [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("H", 100))]
        source.sendmsg([bytes(100 * packets)], control, 0, (INNER["b"], 9))
    return packets


def test_at_rest_one_thread_carries_a_packet_and_its_answer(joined):
    # Each thread has seen the policies when the first answer is there.
    ping(joined, 1)
    # Again where a busy host let so many gather that they were a load.
    wait_for(lambda: pings_leave_them_asleep(joined, 50))


def test_under_load_the_sending_thread_takes_over_and_afterwards_rests_again(joined):
    ping(joined, 1)
    wait_for(lambda: pings_leave_them_asleep(joined))
    before = wakeups_of_sending_threads()
    sent = burst(joined) + burst(joined)
    wait_for(lambda: joined.b.counter("udp_datagrams") >= sent)
    wait_for(lambda: wakeups_of_sending_threads() != before)
    wait_for(lambda: pings_leave_them_asleep(joined, 5))


def test_nothing_is_lost_or_left_behind_when_the_queue_changes_hands(joined):
    sent = 0
    for _ in range(300):
        # A large round, and small ones while the other thread takes over.
        sent += burst(joined, 16) + burst(joined, 1) + burst(joined, 1)
    ping(joined, 1)
    wait_for(lambda: joined.a.counter("sealed_packets") == joined.b.counter("opened_packets"))
    dropped = {name: count for name, count in joined.a.plane.counters().items() if name.startswith("drop_") and count}
    assert not dropped
    assert joined.a.counter("tun_packets") >= sent
