"""What must stay exact when threads share an SA or a batch: limits, the end of the sequence, the memory of results."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from esp_packets import KEYMAT, inbound, ipv4, outbound, seal

from ironswan.esp import InboundSa, OutboundSa, PacketBatch, Results, Status, suites

PACKET = ipv4()
BATCH = PacketBatch([PACKET] * 37)
KEYWORDS = [suite.keyword for suite in suites() if suite.protocol == "esp"]


def in_threads(work: Callable[[int], Results], times: int) -> list[Results]:
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(work, range(times)))


def numbers(results: list[Results]) -> list[int]:
    return sorted(number for result in results for number in result.sequence_numbers if number)


@pytest.mark.parametrize("limits", [(1000, 1 << 40), (1 << 40, 1000 * len(PACKET))], ids=["packets", "octets"])
def test_limits_are_exact(limits: tuple[int, int]) -> None:
    """E21: not one packet more, whoever sends it."""
    sa = outbound(limits=limits)
    results = in_threads(lambda _: sa.encap(BATCH), 60)
    assert numbers(results) == list(range(1, 1001))
    assert sa.counters["packets"] == 1000
    assert sa.counters["limit_reached"] == 60 * 37 - 1000


@pytest.mark.parametrize(("esn", "last"), [(False, (1 << 32) - 1), (True, (1 << 64) - 2)])
def test_the_end_of_the_sequence_is_exact(esn: bool, last: int) -> None:
    """E02, E26: batches and dummies race for the last numbers; each goes once and none begins anew."""
    sa = outbound("aes128gcm16iiv", esn=esn, sequence_number=last - 1000)
    results = in_threads(lambda turn: sa.encap(BATCH) if turn % 2 else sa.dummies(37, 40), 60)
    assert numbers(results) == list(range(last - 999, last + 1))
    assert sa.counters["sequence_exhausted"] == 60 * 37 - 1000
    assert sa.sequence_number == last


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_threads_that_share_both_ends_lose_and_confuse_nothing(keyword: str) -> None:
    """E02, E04: eight threads send, then eight receive, in any order."""
    packets = [ipv4(bytes([size]) * size) for size in range(20)]
    sender, receiver = outbound(keyword), inbound(keyword, replay_window=1024)
    sealed = in_threads(lambda _: sender.encap(PacketBatch(packets)), 16)
    opened = in_threads(lambda turn: receiver.decap(sealed[15 - turn].packets), 16)
    assert all(result.packets.tolist() == packets for result in opened)
    assert numbers(opened) == list(range(1, 321))
    assert receiver.counters["packets"] == 320
    assert receiver.window == (1 << 320) - 1


@pytest.mark.parametrize("keyword", ["aes128gcm16", "aes256-sha512", "null-sha256"])
def test_one_batch_may_be_read_by_many(keyword: str) -> None:
    """A batch is not changed by what is made of it."""
    sealed = PacketBatch(seal(outbound(keyword), *[ipv4(bytes(size)) for size in range(64)]))
    before = bytes(sealed)

    def another(_: int) -> Results:
        return InboundSa(0x1001, keyword, KEYMAT[keyword]).decap(sealed)

    results = in_threads(another, 32)
    assert all(result.ok and result.packets == results[0].packets for result in results)
    assert bytes(sealed) == before


def test_results_keep_their_memory_while_others_come_and_go() -> None:
    """Buffers are used again, but not while anybody looks at them."""
    sender, receiver = outbound(), inbound(replay_window=4096)
    first = receiver.decap(sender.encap(BATCH).packets)
    view, offsets = memoryview(first.packets)[:], first.packets.offsets
    del first
    for size in range(50):
        other = receiver.decap(sender.encap(PacketBatch([ipv4(b"\xff" * size)] * 37)).packets)
        assert other.ok
    assert [bytes(view[begin:end]) for begin, end in pairwise(offsets)] == [PACKET] * 37


def test_sas_with_one_key_in_eight_threads_do_not_share_anything_else() -> None:
    def alone(turn: int) -> Results:
        sa = OutboundSa(turn + 1, "aes128-sha256", KEYMAT["aes128-sha256"])
        assert sa.encap(BATCH).sequence_numbers == list(range(1, 38))
        assert sa.counters["packets"] == 37
        return sa.encap(BATCH)

    results = in_threads(alone, 64)
    ivs = [bytes(packet[8:24]) for result in results for packet in result.packets]
    assert len(set(ivs)) == len(ivs), "E25: not even the key makes the IV"
    assert all(result.statuses == [Status.OK] * 37 for result in results)
