"""The replay window at its edges: RFC 4303 3.4.3 and A2, where one off would lose packets or take them twice."""

from __future__ import annotations

import pytest
from esp_packets import inbound, ipv4, outbound, receive, seal, status

from ironswan.esp import InboundSa, Status

BORDER = 1 << 32
PACKET = ipv4()


def numbered(number: int, *, esn: bool = False, suite: str = "aes128gcm16") -> bytes:
    """The packet with that sequence number."""
    return seal(outbound(suite, esn=esn, sequence_number=number - 1), PACKET)[0]


def accepted(sa: InboundSa, *numbers: int, esn: bool = False) -> list[bool]:
    return [status(sa, numbered(number, esn=esn)) is Status.OK for number in numbers]


def test_nothing_up_to_the_number_an_sa_begins_with_is_taken() -> None:
    """E05: an SA that is taken over may not open old packets again."""
    sa = inbound(sequence_number=1000)
    assert sa.sequence_number == 1000
    assert sa.window == (1 << 64) - 1
    assert accepted(sa, 1, 936, 937, 999, 1000) == [False] * 5
    assert accepted(sa, 1001, 1003, 1002, 1002) == [True, True, True, False]
    assert sa.window & 0b1111 == 0b1111


@pytest.mark.parametrize("size", [32, 33, 64, 65, 127, 128, 1000])
def test_a_jump_clears_the_window_and_no_more(size: int) -> None:
    """E10: of the numbers in between, those within the window are still good, each once."""
    sa = inbound(replay_window=size)
    assert accepted(sa, *range(1, 40)) == [True] * 39
    top = 40 + 10 * size
    assert accepted(sa, top) == [True]
    assert sa.window == 1
    assert accepted(sa, top - size, top - size + 1, top - 1, top - 1) == [False, True, True, False]
    assert sa.window == 1 | 1 << 1 | 1 << (size - 1)


@pytest.mark.parametrize("step", [1, 63, 64, 65, 128])
def test_a_window_that_moves_forgets_nothing_it_spans(step: int) -> None:
    """E05, E10: whatever the step, a number within the window is taken once."""
    sa = inbound(replay_window=128)
    seen: set[int] = set()
    for top in range(step, 12 * step + 1, step):
        for number in {top, max(1, top - 127), max(1, top - 64), max(1, top - 1)}:
            expected = number not in seen and number > max(seen, default=0) - 128
            assert accepted(sa, number) == [expected], (top, number)
            seen.add(number)
    assert accepted(sa, *sorted(seen)) == [False] * len(seen)


@pytest.mark.parametrize("low", [62, 63, 64])
def test_the_window_reaches_across_the_border_or_not(low: int) -> None:
    """E08: RFC 4303 A2.1, cases A and B; with a window of 64 the highest number's low half decides at 63."""
    top = 3 * BORDER + low
    sa = inbound(esn=True, sequence_number=top - 200)
    assert accepted(sa, top, esn=True) == [True]
    edge = top - 63
    assert accepted(sa, edge, edge, esn=True) == [True, False]
    assert sa.sequence_number == top
    left = numbered(edge - 1, esn=True)
    assert status(sa, left) in {Status.REPLAYED, Status.ICV_MISMATCH}, "it belongs to the next subspace, if anywhere"
    assert (sa.sequence_number, sa.window) == (top, 1 | 1 << 63)


def test_the_first_subspace_has_none_before_it() -> None:
    """E08: a high number at the start of an SA is not from 2^32 packets before its first."""
    sa = inbound(esn=True)
    assert accepted(sa, 5, esn=True) == [True]
    packet = seal(outbound(sequence_number=0xFFFF_FFFD), PACKET)[0]
    assert status(sa, packet) is Status.REPLAYED
    assert sa.sequence_number == 5


def test_a_jump_over_the_border_raises_the_high_half() -> None:
    """E06, E08: the receiver follows without being told."""
    sa = inbound(esn=True, sequence_number=BORDER - 1000)
    assert accepted(sa, BORDER - 999, BORDER + 77, BORDER + 14, BORDER - 1, esn=True) == [True, True, True, False]
    assert sa.sequence_number == BORDER + 77
    results = receive(sa, [numbered(BORDER + 78, esn=True)])
    assert results.sequence_numbers == [BORDER + 78]


@pytest.mark.parametrize(("esn", "last"), [(False, BORDER - 1), (True, (1 << 64) - 2)])
def test_the_highest_number_of_all_is_taken_and_the_window_stays(esn: bool, last: int) -> None:
    """E02, E05: nothing begins anew behind it."""
    sa = inbound(esn=esn, sequence_number=last - 10)
    assert accepted(sa, last, last - 1, last, last - 9, esn=esn) == [True, True, False, True]
    assert sa.sequence_number == last
    first = seal(outbound(), PACKET)[0]
    assert status(sa, first) is Status.REPLAYED


@pytest.mark.parametrize("suite", ["aes128gcm16", "aes128-sha256"])
def test_a_packet_left_behind_while_its_batch_moves_the_window_is_refused(suite: str) -> None:
    """E04: it was within the window when the batch came, and is checked again after the ICV."""
    sa = inbound(suite, replay_window=32)
    assert status(sa, numbered(10, suite=suite)) is Status.OK
    results = receive(sa, [numbered(100, suite=suite), numbered(11, suite=suite), numbered(99, suite=suite)])
    assert results.statuses == [Status.OK, Status.REPLAYED, Status.OK]
    assert results.packets.tolist() == [PACKET, b"", PACKET]


def test_a_forged_high_number_does_not_move_the_window() -> None:
    """E04, E17: with ESN the forger may choose the low half, and gains nothing."""
    for esn in (False, True):
        sa = inbound(esn=esn)
        assert accepted(sa, 1, esn=esn) == [True]
        forged = numbered(2, esn=esn)
        for low in (3, 1 << 31, 0xFFFF_FFFF):
            assert status(sa, forged[:4] + low.to_bytes(4) + forged[8:]) is not Status.OK
        assert (sa.sequence_number, sa.window) == (1, 1)
        assert status(sa, forged) is Status.OK
