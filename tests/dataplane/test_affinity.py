"""On which processors a worker's threads run."""

import os
import socket
import threading
from pathlib import Path

import pytest
from two_gateways import INNER, inside, wait_for

ALL = os.sched_getaffinity(0)


def processors(side):
    """Where the thread that receives and the one that sends may run."""
    namespace = Path(f"/run/netns/{side.namespace}").stat().st_ino
    found = {}
    for task in Path("/proc/self/task").iterdir():
        name = (task / "comm").read_text().strip()
        if name.startswith("ironswan-0-") and (task / "ns/net").stat().st_ino == namespace:
            found[name.removeprefix("ironswan-0-")] = os.sched_getaffinity(int(task.name))
    return found["in"], found["out"]


@pytest.fixture
def several(absent):
    if len(ALL) < 2:
        absent("there is one processor, and nothing to choose from")


class Stream:
    """A TCP stream from a to b that goes on until it is left."""

    def __init__(self, pair):
        with inside(pair.b.namespace):
            self._listener = socket.create_server((INNER["b"], 0))
        with inside(pair.a.namespace):
            self._client = socket.socket()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._send, self._drain)]
        self._over = threading.Event()

    def __enter__(self):
        self._client.bind((INNER["a"], 0))
        self._client.connect(self._listener.getsockname()[:2])
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(20)
        self._client.close()
        self._listener.close()

    def _send(self):
        octets = bytes(1 << 16)
        while not self._over.is_set():
            self._client.sendall(octets)
        self._client.shutdown(socket.SHUT_WR)

    def _drain(self):
        connection, _ = self._listener.accept()
        with connection:
            while connection.recv(1 << 18):
                pass


def keeps(side):
    """The receiving thread has one processor, and the sending one all others."""
    receiving, sending = processors(side)
    return len(receiving) == 1 and sending == ALL - receiving


def is_free(side):
    return processors(side) == (ALL, ALL)


def test_under_load_the_receiving_thread_keeps_to_one_and_the_other_leaves_it_that(make_pair, several):
    pair = make_pair(affinity=True)
    pair.join()
    assert pair.b.plane.offloads_asked()["affinity"]
    assert pair.b.plane.offloads()["affinity"]
    assert is_free(pair.a)
    assert is_free(pair.b)
    with Stream(pair):
        wait_for(lambda: keeps(pair.b), 20)
        wait_for(lambda: keeps(pair.a), 20)

    def at_rest():
        pair.a.run("ping", "-c", "3", "-i", "0.03", "-W", "2", INNER["b"])
        # A thread that sends sleeps at rest, and goes where it likes when it has something to send.
        return processors(pair.a)[0] == processors(pair.b)[0] == ALL

    wait_for(at_rest, 20)


@pytest.mark.parametrize("options", [{}, {"affinity": True, "workers": 2}], ids=["not wanted", "two workers"])
def test_threads_run_anywhere_where_that_is_not_wanted_and_with_several_workers(make_pair, options):
    pair = make_pair(**options)
    pair.join()
    before = pair.b.counter("opened_packets")
    with Stream(pair):
        wait_for(lambda: pair.b.counter("opened_packets") > before + 20_000, 20)
        assert is_free(pair.b)
    assert not pair.b.plane.offloads_asked()["affinity"]


def test_a_gateway_that_may_run_on_one_processor_keeps_to_it(make_pair, several):
    os.sched_setaffinity(0, {min(ALL)})
    try:
        pair = make_pair(affinity=True)
    finally:
        os.sched_setaffinity(0, ALL)
    pair.join()
    before = pair.b.counter("opened_packets")
    with Stream(pair):
        wait_for(lambda: pair.b.counter("opened_packets") > before + 5_000, 20)
        assert processors(pair.b) == ({min(ALL)}, {min(ALL)})
