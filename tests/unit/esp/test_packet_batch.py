"""PacketBatch: packets in one buffer, and what came of them."""

from __future__ import annotations

import array

import pytest
from esp_packets import inbound, ipv4, outbound

from ironswan.esp import PacketBatch, Status


def test_any_contiguous_buffers_make_a_batch() -> None:
    batch = PacketBatch([b"one", bytearray(b"two2"), memoryview(b"three"), b"", array.array("B", b"5")])
    assert batch.tolist() == [b"one", b"two2", b"three", b"", b"5"]
    assert batch.offsets == [0, 3, 7, 12, 12, 13]
    assert batch.lengths == [3, 4, 5, 0, 1]
    assert (len(batch), batch.nbytes) == (5, 13)
    assert PacketBatch(packet for packet in (b"a", b"b")).tolist() == [b"a", b"b"]
    assert len(PacketBatch()) == 0


@pytest.mark.parametrize("wrong", [["text"], [1], [None], 5])
def test_anything_else_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError):
        PacketBatch(wrong)  # type: ignore[arg-type]


def test_buffers_with_gaps_are_refused() -> None:
    with pytest.raises(BufferError):
        PacketBatch([memoryview(b"abcdef")[::2]])


def test_a_buffer_is_cut_by_lengths() -> None:
    assert PacketBatch.from_buffer(b"abcdef", [1, 0, 5]).tolist() == [b"a", b"", b"bcdef"]
    for lengths in ([1, 2], [7], [1 << 62, 1 << 62, 1 << 62, 1 << 62]):
        with pytest.raises(ValueError, match="add up to"):
            PacketBatch.from_buffer(b"abcdef", lengths)


def test_packets_are_seen_by_index_and_in_order() -> None:
    batch = PacketBatch([b"a", b"bb", b"ccc"])
    assert bytes(batch[0]) == b"a"
    assert bytes(batch[-1]) == b"ccc"
    assert [bytes(packet) for packet in batch] == batch.tolist()
    for index in (3, -4, 1 << 40):
        with pytest.raises(IndexError):
            batch[index]


def test_views_outlive_the_batch() -> None:
    view = PacketBatch([b"a", b"kept"])[1]
    PacketBatch([b"something else"])
    assert bytes(view) == b"kept"


def test_the_buffer_is_seen_without_a_copy_and_cannot_be_written() -> None:
    batch = PacketBatch([b"ab", b"cd"])
    view = memoryview(batch)
    assert (view.readonly, view.format, view.ndim, view.nbytes, bytes(view)) == (True, "B", 1, 4, b"abcd")
    with pytest.raises(TypeError):
        view[0] = 1


def test_numpy_sees_the_buffer_without_a_copy() -> None:
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    batch = PacketBatch([b"ab", b"cd"])
    seen = numpy.frombuffer(batch, dtype=numpy.uint8)
    assert seen.tolist() == [97, 98, 99, 100]
    assert not seen.flags.owndata


def test_batches_are_equal_by_their_packets() -> None:
    assert PacketBatch([b"a", b"b"]) == PacketBatch([b"a", b"b"])
    assert PacketBatch([b"ab"]) != PacketBatch([b"a", b"b"])
    assert PacketBatch([b"ab"]) != [b"ab"]


def test_results_are_as_long_as_the_batch() -> None:
    results = outbound().encap(PacketBatch([ipv4(), b"junk", ipv4()]))
    assert results.statuses == [Status.OK, Status.MALFORMED, Status.OK]
    assert results.status_codes == bytes([0, 3, 0])
    assert results.next_headers == bytes([4, 0, 4])
    assert results.sequence_numbers == [1, 0, 2]
    assert results.packets.lengths[1] == 0
    assert (len(results), results.ok) == (3, False)
    opened = inbound().decap(results.packets)
    assert opened.statuses == [Status.OK, Status.MALFORMED, Status.OK]
    assert len(outbound().encap(PacketBatch())) == 0


@pytest.mark.parametrize("count", [31, 32, 33, 64, 65])
@pytest.mark.parametrize("suite", ["aes128gcm16", "aes128-sha256"])
def test_batches_of_any_length_keep_their_order(count: int, suite: str) -> None:
    packets = [ipv4(bytes([index % 256]) * (index % 50)) for index in range(count)]
    packets[::7] = [b"junk"] * len(packets[::7])
    sealed = outbound(suite).encap(PacketBatch(packets))
    opened = inbound(suite).decap(sealed.packets)
    assert opened.packets.tolist() == [packet if packet != b"junk" else b"" for packet in packets]
