"""The packets that are measured."""

from __future__ import annotations

import struct

import pytest

from ironswan.bench import traffic


@pytest.mark.parametrize("octets", [traffic.LEAST, 64, 1420, 8900, traffic.MOST])
def test_packet_is_valid_ipv4_of_that_size(octets):
    packet = traffic.packet(octets)
    assert len(packet) == octets == int.from_bytes(packet[2:4], "big")
    total = sum(struct.unpack(">10H", packet[:20]))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF
    assert int.from_bytes(packet[24:26], "big") == octets - 20


@pytest.mark.parametrize("count", [1, 8, 12, 64])
def test_mix_is_7_4_1_whatever_the_batch_length(count):
    batches = traffic.batches("imix", count)
    sizes = [len(packet) for batch in batches for packet in batch]
    assert {len(batch) for batch in batches} == {count}
    assert (sizes.count(64), sizes.count(576), sizes.count(1420)) == tuple(len(sizes) * n // 12 for n in (7, 4, 1))
    assert f"{traffic.mean(batches):.0f} octets" in traffic.IMIX_DEFINITION


def test_one_size_is_one_batch():
    assert traffic.batches(64, 5) == [[traffic.packet(64)] * 5]


@pytest.mark.parametrize(("word", "size"), [("64", 64), ("imix", "imix"), ("IMIX", "imix")])
def test_sizes_of_the_command_line(word, size):
    assert traffic.size(word) == size


@pytest.mark.parametrize("word", ["", "x", "27", "65001", "-1"])
def test_sizes_that_are_none(word):
    with pytest.raises(ValueError):  # noqa: PT011
        traffic.size(word)
