"""Many SAs and policies between two data planes: each packet takes its own, and all of them work side by side."""

import socket

import pytest
from two_gateways import ANY, INNER, OUTER, inside, wait_for, whole

from ironswan import _native

SUITE = "aes128gcm16"
EVERYTHING = (0, "0.0.0.0", "255.255.255.255", *ANY)


def address(number):
    return f"10.202.{64 + number // 250}.{1 + number % 250}"


def join_for_each(pair, count):
    """An SA from a to b, with a policy, for each of `count` addresses behind b; pairs of handle and inbound SPI."""
    pair.b.run("ip", "route", "add", "local", "10.202.64.0/18", "dev", "lo", "table", "local")
    for side in (pair.a, pair.b):
        side.plane.add_policy(1 << 32, [EVERYTHING], [EVERYTHING], priority=1)
    sas = []
    for number in range(count):
        keymat, remote = number.to_bytes(20), [whole(address(number))]
        spi = pair.b.plane.allocate_spi()
        pair.b.plane.install_inbound(
            spi,
            SUITE,
            keymat,
            esn=False,
            replay_window=64,
            remote_ts=[whole(INNER["a"])],
            local_ts=remote,
            remote_addr=OUTER["a"],
            remote_port=4500,
        )
        handle = pair.a.plane.install_outbound(
            spi,
            SUITE,
            keymat,
            esn=False,
            local_addr=OUTER["a"],
            local_port=4500,
            remote_addr=OUTER["b"],
            remote_port=4500,
        )
        pair.a.plane.add_policy(number, [whole(INNER["a"])], remote)
        pair.a.plane.bind_policy(number, handle)
        sas.append((handle, spi))
    return sas


def send_to_all(pair, count, seconds=0.3):
    with inside(pair.a.namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
        source.bind((INNER["a"], 0))
        first = address(0)
        _native.udp_send_spread(source.fileno(), 64, seconds, first=first, addresses=count, in_a_row=1, port=9)


# Each is opened by its own SA, within a window of 64 (RFC 4303 3.4.3), whether or not several share a run.
@pytest.mark.parametrize("workers", [1, 2])
def test_packets_of_many_sas_arrive_each_on_its_own_and_one_worker_sends_them_in_common_runs(make_pair, workers):
    pair = make_pair(workers=workers)
    sas = join_for_each(pair, 200)
    send_to_all(pair, 200)
    wait_for(lambda: pair.a.counter("sealed_packets") == sum(pair.a.plane.outbound_counters(sa)[0] for sa, _ in sas))
    wait_for(lambda: all(pair.b.plane.inbound_counters(spi)[0] > 0 for _, spi in sas))
    dropped = ("drop_replayed", "drop_selector_mismatch", "drop_icv_mismatch", "drop_unknown_spi")
    assert [pair.b.counter(name) for name in dropped] == [0] * len(dropped)
    if workers == 1:
        assert pair.a.counter("udp_send_runs") < pair.a.counter("sealed_packets")


# A01, A06: the first match in order, and no memory of another order.
def test_each_of_many_policies_carries_its_own_packets_until_its_sa_is_gone(make_pair):
    pair = make_pair()
    sas = join_for_each(pair, 2000)
    with inside(pair.a.namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
        source.bind((INNER["a"], 0))
        for number in (0, 777, 1999):
            source.sendto(b"first", (address(number), 9))
            handle, _ = sas[number]
            wait_for(lambda handle=handle: pair.a.plane.outbound_counters(handle)[0] == 1)
            pair.a.plane.remove_outbound(handle)
            source.sendto(b"second", (address(number), 9))
            assert pair.a.hear(_native.Acquire).policy_id == number
            pair.a.plane.remove_policy(number)
            source.sendto(b"third", (address(number), 9))
            assert pair.a.hear(_native.Acquire).policy_id == 1 << 32
            pair.a.plane.remove_policy(1 << 32)
            pair.a.plane.add_policy(1 << 32, [EVERYTHING], [EVERYTHING], priority=1)
