"""Several workers: where SAs and packets go, SAs that a worker has of its own, and what is counted for each."""

import itertools
import os
import socket
import struct
from pathlib import Path

import pytest
from two_gateways import INNER, OUTER, inside, run, wait_for, whole

from ironswan import _native

SUITE = "aes128gcm16"
UDP_SEGMENT = 103


def add_sa(pair, number, *, worker=None, local_port=4500, window=1024):
    """One more SA from a to b, its inbound half for a worker of b; handle at a, SPI at b."""
    keymat = bytes([number]) * 20
    spi = pair.b.plane.allocate_spi(worker)
    pair.b.plane.install_inbound(
        spi,
        SUITE,
        keymat,
        esn=False,
        replay_window=window,
        remote_ts=[whole(INNER["a"])],
        local_ts=[whole(INNER["b"])],
        remote_addr=OUTER["a"],
        remote_port=4500,
    )
    handle = pair.a.plane.install_outbound(
        spi,
        SUITE,
        keymat,
        esn=False,
        local_addr=OUTER["a"],
        local_port=local_port,
        remote_addr=OUTER["b"],
        remote_port=4500,
    )
    return handle, spi


def send(pair, *, flows=64, each=5):
    """UDP of many flows from a to b, so that every queue of the TUN has some."""
    for _ in range(flows):
        with inside(pair.a.namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
            source.bind((INNER["a"], 0))
            for _ in range(each):
                source.sendto(b"of a flow", (INNER["b"], 9))
    return flows * each


def each_worker(side, name):
    return [counters[name] for counters in side.plane.worker_counters()]


def with_policy(make_pair, *arguments, **options):
    pair = make_pair(*arguments, **options)
    pair.a.plane.add_policy(1, [whole(INNER["a"])], [whole(INNER["b"])])
    return pair


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_spis_go_to_the_workers_they_were_asked_for_and_else_to_each_in_turn(make_pair, workers):
    pair = with_policy(make_pair, b={"workers": workers})
    assert pair.b.plane.workers() == workers
    assert pair.b.plane.offloads()["spi_steering"]
    named = [(worker, *add_sa(pair, 1 + worker, worker=worker)) for worker in range(workers)]
    unnamed = [(None, *add_sa(pair, 100 + number)) for number in range(workers)]
    homes = []
    for worker, handle, spi in named + unnamed:
        before = each_worker(pair.b, "opened_packets")
        pair.a.plane.bind_policy(1, handle)
        count = send(pair, flows=2)
        wait_for(lambda spi=spi, count=count: pair.b.plane.inbound_counters(spi)[0] == count)
        after = each_worker(pair.b, "opened_packets")
        [home] = [number for number in range(workers) if after[number] != before[number]]
        assert worker in (None, home)
        homes.append(home)
    assert sorted(homes[workers:]) == list(range(workers))
    assert pair.b.counter("strayed_runs") == 0
    assert sum(each_worker(pair.b, "opened_packets")) == pair.b.counter("opened_packets")


def test_workers_that_are_not_there_are_refused(make_pair):
    pair = with_policy(make_pair, workers=2)
    handle, _ = add_sa(pair, 1)
    for refused in (
        lambda: pair.a.plane.allocate_spi(2),
        lambda: pair.a.plane.bind_policy(1, handle, worker=2),
        lambda: pair.a.plane.invite(1, 2),
    ):
        with pytest.raises(ValueError, match="no worker 2"):
            refused()


def test_workers_auto_is_one_for_each_cpu_of_the_process(make_pair):
    allowed = os.sched_getaffinity(0)
    pair = make_pair(workers=0)
    assert 1 <= pair.a.plane.workers() <= len(allowed)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        with inside(pair.a.namespace):
            alone = _native.DataPlane(tun_name="ipsec1", workers=0, ike_port=501, nat_t_port=4501)
    finally:
        os.sched_setaffinity(0, allowed)
    assert alone.workers() == 1
    alone.close()


def test_kernel_that_refuses_to_steer_spreads_peers_instead_and_any_worker_opens_any_sa(make_pair):
    pair = with_policy(make_pair)
    # Where the kernel has no room for a filter it refuses it, as one without such filters does.
    limit = "/proc/sys/net/core/optmem_max"
    before = pair.b.run("cat", limit).strip()
    pair.b.plane.close()
    pair.b.run("sh", "-c", f"echo 0 > {limit}")
    try:
        with inside(pair.b.namespace):
            pair.b.plane = _native.DataPlane(tun_name="ipsec0", workers=2)
    finally:
        pair.b.run("sh", "-c", f"echo {before} > {limit}")
    run("ip", "-n", pair.b.namespace, "route", "add", "10.202.0.0/16", "dev", "ipsec0", "src", INNER["b"])
    assert not pair.b.plane.offloads()["spi_steering"]
    sas = [add_sa(pair, 1 + worker, worker=worker) for worker in range(2)]
    for handle, spi in sas:
        pair.a.plane.bind_policy(1, handle)
        count = send(pair, flows=4)
        wait_for(lambda spi=spi, count=count: pair.b.plane.inbound_counters(spi)[0] == count)
    assert pair.b.counter("strayed_runs") > 0


def inner_packet(length):
    source, destination = (socket.inet_aton(INNER[x]) for x in "ab")
    udp = struct.pack("!HHHH", 4000, 9, length - 20, 0) + bytes(length - 28)
    return struct.pack("!BBHHHBBH", 0x45, 0, length, 0, 0x4000, 64, 17, 0) + source + destination + udp


def test_runs_that_mix_sas_lose_nothing_to_the_smallest_window(make_pair):
    """A network card may join packets of several SAs to one run, whose first SPI says which worker gets all of them.

    So both workers open packets of both SAs at the same time; RFC 4303 3.4.3 lets a receiver have a larger window.
    """
    pair = make_pair(b={"workers": 2})
    sealed = []
    for worker in range(2):
        _, spi = add_sa(pair, 1 + worker, worker=worker, window=32)
        sa = _native.OutboundSa(spi, SUITE, bytes([1 + worker]) * 20, tunnel=(OUTER["a"], OUTER["b"]))
        packets = sa.encap(_native.PacketBatch([inner_packet(100)] * 3000)).packets
        sealed.append((spi, [bytes(packet) for packet in packets]))
    (first, some), (second, others) = sealed
    mixed = list(itertools.chain.from_iterable(zip(some, others, strict=True)))
    size = len(mixed[0])
    with inside(pair.a.namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
        source.bind((OUTER["a"], 0))
        for start in range(0, len(mixed), 31):
            control = [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("H", size))]
            source.sendmsg([b"".join(mixed[start : start + 31])], control, 0, (OUTER["b"], 4500))
    wait_for(lambda: pair.b.counter("opened_packets") == 6000)
    assert [pair.b.plane.inbound_counters(spi)[0] for spi in (first, second)] == [3000, 3000]
    assert pair.b.counter("drop_replayed") == 0
    assert pair.b.counter("strayed_runs") > 0
    assert all(each_worker(pair.b, "opened_packets"))


def test_every_worker_sends_on_its_own_sa_and_on_the_one_for_all_while_it_has_none(make_pair):
    pair = with_policy(make_pair, workers=2)
    handles = [add_sa(pair, 1 + number)[0] for number in range(3)]
    everyone, *own = handles

    def carried():
        return [pair.a.plane.outbound_counters(handle)[0] for handle in handles]

    pair.a.plane.bind_policy(1, everyone)
    for worker in range(2):
        pair.a.plane.bind_policy(1, own[worker], worker=worker)
    count = send(pair)
    wait_for(lambda: sum(carried()) == count)
    assert carried() == [0, *each_worker(pair.a, "sealed_packets")]
    assert all(carried()[1:])
    pair.a.plane.remove_outbound(own[0])
    handles.remove(own[0])
    before = carried()
    send(pair)
    wait_for(lambda: sum(carried()) == sum(before) + count)
    assert all(now > then for now, then in zip(carried(), before, strict=True))
    wait_for(lambda: pair.b.counter("opened_packets") == 2 * count)


def test_an_invited_worker_with_packets_asks_once_and_its_packets_go_on(make_pair):
    pair = with_policy(make_pair, workers=2)
    pair.a.plane.bind_policy(1, add_sa(pair, 1)[0])
    for worker in range(2):
        pair.a.plane.invite(1, worker)
    count = send(pair)
    asked = [pair.a.hear(_native.Acquire, worker=worker) for worker in range(2)]
    assert [(a.policy_id, a.src, a.dst, a.dport) for a in asked] == [(1, INNER["a"], INNER["b"], 9)] * 2
    wait_for(lambda: pair.b.counter("opened_packets") == count)
    send(pair)
    wait_for(lambda: pair.b.counter("opened_packets") == 2 * count)
    assert not [notice for notice in pair.a.plane.drain() if isinstance(notice, _native.Acquire)]
    assert pair.a.counter("held_frames") == 0


def test_source_port_zero_is_a_port_of_the_worker_that_sends(make_pair):
    pair = with_policy(make_pair, workers=2)
    sas = [add_sa(pair, 1 + worker, local_port=0) for worker in range(2)]
    pair.a.plane.bind_policy(1, sas[0][0])
    for worker, (handle, _) in enumerate(sas):
        pair.a.plane.bind_policy(1, handle, worker=worker)
    count = send(pair)
    wait_for(lambda: pair.b.counter("opened_packets") == count)
    ports = [pair.b.hear(_native.SaNotice, kind="peer_moved", spi=spi).remote_port for _, spi in sas]
    assert len({4500, *ports}) == 3
    assert all(port >= 1024 for port in ports)


def test_ike_goes_to_the_first_worker(make_pair):
    pair = make_pair(b={"workers": 3})
    for number in range(20):
        message = b"spi of i" + bytes([number]) * 16 + (28).to_bytes(4, "big")
        pair.a.plane.send(OUTER["a"], 4500, OUTER["b"], 4500, message)
        assert pair.b.hear(_native.IkeDatagram).data == message
    assert each_worker(pair.b, "ike_datagrams") == [20, 0, 0]


def test_only_the_threads_that_carry_packets_have_the_niceness_asked_for(make_pair):
    def niceness():
        tasks = list(Path("/proc/self/task").iterdir())
        names = {(task / "comm").read_text().strip(): os.getpriority(os.PRIO_PROCESS, int(task.name)) for task in tasks}
        return {name: nice for name, nice in names.items() if name.startswith("ironswan-")}

    own = os.getpriority(os.PRIO_PROCESS, 0)
    make_pair(nice=-7)
    wait_for(lambda: niceness() == {"ironswan-0-out": -7, "ironswan-0-in": -7})
    assert os.getpriority(os.PRIO_PROCESS, 0) == own
