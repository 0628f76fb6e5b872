"""Sequence numbers, the replay window, limits, and what is checked of a received packet."""

from __future__ import annotations

import hashlib
import hmac
import random
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from esp_packets import GCM, KEYMAT, inbound, ipv4, outbound, receive, seal, status

from ironswan.esp import InboundSa, PacketBatch, Status, suites

ESP = [suite for suite in suites() if suite.protocol == "esp"]


def test_numbers_begin_at_one_and_never_repeat() -> None:
    """E02."""
    sa = outbound()
    results = sa.encap(PacketBatch([ipv4()] * 300))
    assert results.sequence_numbers == list(range(1, 301))
    assert [int.from_bytes(packet[4:8]) for packet in results.packets] == results.sequence_numbers
    assert sa.sequence_number == 300


@pytest.mark.parametrize(("esn", "last"), [(False, (1 << 32) - 1), (True, (1 << 64) - 2)])
def test_the_last_number_is_never_passed(esn: bool, last: int) -> None:
    """E02: in the middle of a batch too, and ever after."""
    sa = outbound(esn=esn, sequence_number=last - 2)
    results = sa.encap(PacketBatch([ipv4()] * 4))
    assert results.statuses == [Status.OK, Status.OK, Status.SEQUENCE_EXHAUSTED, Status.SEQUENCE_EXHAUSTED]
    assert results.sequence_numbers == [last - 1, last, 0, 0]
    assert results.packets.lengths[2:] == [0, 0]
    assert sa.encap(PacketBatch([ipv4()])).statuses == [Status.SEQUENCE_EXHAUSTED]
    assert sa.counters["sequence_exhausted"] == 3


@pytest.mark.parametrize("limits", [(5, 1 << 40), (1 << 40, 5 * len(ipv4()))])
def test_no_more_leaves_under_a_key_than_its_limits_say(limits: tuple[int, int]) -> None:
    """E21: packets or octets, whichever is first."""
    sa = outbound(limits=limits)
    assert sa.encap(PacketBatch([ipv4()] * 3)).ok
    assert sa.encap(PacketBatch([ipv4()] * 3)).statuses == [Status.OK, Status.OK, Status.LIMIT_REACHED]
    assert sa.counters["limit_reached"] == 1


@pytest.mark.parametrize("size", [32, 64, 100, 1024, 65_536])
def test_the_window_is_as_wide_as_asked(size: int) -> None:
    """E03, E05, E10: exact; what is left of it is refused, what is within is taken once."""
    sealed = seal(outbound(sequence_number=99_999), *[ipv4()] * (size + 1))
    sa = inbound(replay_window=size, sequence_number=99_999)
    assert status(sa, sealed[size]) is Status.OK
    assert status(sa, sealed[0]) is Status.REPLAYED, "just left of the window"
    assert status(sa, sealed[1]) is Status.OK, "its last place"
    assert status(sa, sealed[1]) is Status.REPLAYED
    assert sa.replay_window == size
    assert sa.window == 1 | 1 << (size - 1)
    assert sa.counters["replayed"] == 2


def test_the_default_window_is_64() -> None:
    """E03."""
    assert inbound().replay_window == 64
    for size in (0, 31, 65_537):
        with pytest.raises(ValueError, match=r"32\.\.65536"):
            inbound(replay_window=size)


def test_a_wide_window_takes_packets_of_several_classes_out_of_order() -> None:
    """A11: classes overtake each other by up to 3,000 packets, and none is lost."""
    sealed = seal(outbound(), *[ipv4(tos=0), ipv4(tos=184)] * 4000)
    fast, slow = sealed[1::2], sealed[0::2]
    order = fast[:1500] + [packet for pair in zip(fast[1500:], slow, strict=False) for packet in pair] + slow[2500:]
    assert len(order) == len(sealed)
    assert receive(inbound(replay_window=4096), order).ok
    assert not receive(inbound(replay_window=64), order).ok


def test_a_duplicate_within_one_batch_is_taken_once() -> None:
    """E04, E05: checked before and again after the ICV."""
    for suite in (GCM, "aes128-sha256"):
        first, second = seal(outbound(suite), ipv4(b"1"), ipv4(b"22"))
        sa = inbound(suite)
        results = receive(sa, [first, first, second, first, second])
        expected = [Status.OK, Status.REPLAYED, Status.OK, Status.REPLAYED, Status.REPLAYED]
        assert results.statuses == expected
        assert results.packets.tolist() == [ipv4(b"1"), b"", ipv4(b"22"), b"", b""]
        assert sa.sequence_number == 2


@pytest.mark.parametrize("suite", ESP, ids=lambda suite: suite.keyword)
def test_nothing_forged_moves_the_window(suite: object) -> None:
    """E04, E17: every octet that is changed spoils the ICV, and the SA stays as it was."""
    keyword = suite.keyword  # type: ignore[attr-defined]
    (sealed,) = seal(outbound(keyword), ipv4())
    sa = inbound(keyword)
    for at in range(4, len(sealed)):
        forged = bytearray(sealed)
        forged[at] ^= 0x80
        assert status(sa, bytes(forged)) is Status.ICV_MISMATCH
    assert (sa.sequence_number, sa.window, sa.counters["packets"]) == (0, 0, 0)
    assert status(sa, sealed) is Status.OK


def test_zero_is_no_sequence_number() -> None:
    """E05."""
    (sealed,) = seal(outbound(), ipv4())
    assert status(inbound(), sealed[:4] + bytes(4) + sealed[8:]) is Status.REPLAYED


def test_the_high_half_is_inferred_across_the_border() -> None:
    """E06, E08: with ESN only; without it the other end's 33rd bit spoils the ICV."""
    border = 1 << 32
    sealed = seal(outbound(esn=True, sequence_number=border - 100), *[ipv4()] * 200)
    sa = inbound(esn=True, sequence_number=border - 100)
    order = sealed[:]
    for start in range(0, 200, 40):
        order[start : start + 40] = random.Random(start).sample(sealed[start : start + 40], 40)
    assert receive(sa, order).ok
    assert sa.sequence_number == border + 100
    without = inbound(sequence_number=border - 100)
    assert receive(without, sealed[:1]).statuses == [Status.ICV_MISMATCH]


@pytest.mark.parametrize("suite", [GCM, "aes128-sha256", "null-sha256", "aes128gmac"])
def test_the_high_half_is_authenticated_and_not_sent(suite: str) -> None:
    """E07."""
    (low,) = seal(outbound(suite, esn=True, sequence_number=5), ipv4())
    assert len(low) == len(seal(outbound(suite, sequence_number=5), ipv4())[0])
    assert status(inbound(suite, esn=True, sequence_number=(1 << 32) + 1), low) is Status.ICV_MISMATCH


def test_a_sender_far_ahead_is_found_again() -> None:
    """E09: after 2^32 lost packets, within a bounded number of tries."""
    sealed = seal(outbound(esn=True, sequence_number=3 << 32), *[ipv4()] * 400)
    sa = inbound(esn=True)
    statuses = receive(sa, sealed).statuses
    assert set(statuses[:100]) == {Status.ICV_MISMATCH}
    assert statuses[-1] is Status.OK
    assert sa.sequence_number == (3 << 32) + 400


def test_a_pad_length_beyond_the_payload_is_discarded() -> None:
    """E12: shown with NULL, whose packets can be made by hand, by an HMAC from outside."""

    def packet(number: int, body: bytes) -> bytes:
        header = (0x1001).to_bytes(4) + number.to_bytes(4)
        return header + body + hmac.digest(KEYMAT["null-sha256"], header + body, hashlib.sha256)[:16]

    sa = inbound("null-sha256", mode="transport")
    bodies = [b"\1\2\2\6", b"\1\2\3\6", b"\xff\xff\xff\6", b"\2\1\2\6", b"ab\0\6"]
    expected = [Status.OK, Status.BAD_PADDING, Status.BAD_PADDING, Status.BAD_PADDING, Status.OK]
    assert [status(sa, packet(number, body)) for number, body in enumerate(bodies, 1)] == expected
    assert sa.counters["bad_padding"] == 3


@pytest.mark.parametrize("suite", ["aes128-sha256", "aes256-sha512", "3des-sha1"])
def test_cbc_ivs_cannot_be_foreseen(suite: str) -> None:
    """E25: neither counted, nor the end of the packet before, nor the same in another SA with the same key."""
    size = next(info.iv_len for info in ESP if info.keyword == suite)
    one, other = ([packet[8 : 8 + size] for packet in seal(outbound(suite), *[ipv4()] * 100)] for _ in range(2))
    assert len({*one, *other}) == 200
    assert all(int.from_bytes(later) - int.from_bytes(earlier) != 1 for earlier, later in pairwise(one))


def test_implicit_ivs_are_the_sequence_number() -> None:
    """E26: the packet is eight octets shorter, and says the same under the same nonce."""
    (explicit,) = seal(outbound("aes128gcm16"), ipv4())
    (implicit,) = seal(outbound("aes128gcm16iiv"), ipv4())
    assert explicit[:8] == implicit[:8]
    assert explicit[16:] == implicit[8:]


def test_truncations_are_those_of_the_rfcs() -> None:
    """E28: 128, 192 and 256 bits, and 96 only where it is asked for by name."""
    overhead = {
        code: len(seal(outbound(f"null-{code}"), ipv4())[0]) for code in ("sha256", "sha384", "sha512", "sha256_96")
    }
    assert [overhead[code] - overhead["sha256"] for code in overhead] == [0, 8, 16, -4]
    (short,) = seal(outbound("null-sha256_96"), ipv4())
    assert status(inbound("null-sha256"), short) in {Status.ICV_MISMATCH, Status.MALFORMED}


def test_counter_mode_counts_from_one() -> None:
    """E27: RFC 3686 4; the key stream is AES of nonce, IV and a counter, and there is always an integrity algorithm."""
    keymat = KEYMAT["aes128ctr-sha256"]
    sa = outbound("aes128ctr-sha256", mode="transport", sequence_number=8)
    (sealed,) = seal(sa, b"counter mode" * 3)
    block = keymat[16:20] + (9).to_bytes(8) + (1).to_bytes(4)
    stream = Cipher(algorithms.AES(keymat[:16]), modes.CTR(block)).encryptor()
    assert stream.update(sealed[16:52]) == b"counter mode" * 3
    with pytest.raises(ValueError, match="does not authenticate"):
        InboundSa(1, "aes128ctr", bytes(20))
