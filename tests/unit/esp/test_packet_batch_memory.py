"""PacketBatch as memory: who may see it, who keeps it, and what may be put in."""

from __future__ import annotations

import array
import struct
import sys
import threading
from collections.abc import Iterator

import pytest

from ironswan.esp import PacketBatch


def test_nobody_can_write_into_a_batch() -> None:
    batch = PacketBatch([b"ab", b"cd"])
    for target in (batch, memoryview(batch), batch[0]):
        with pytest.raises((TypeError, BufferError)):
            struct.pack_into("B", target, 0, 1)
    with pytest.raises(TypeError):
        batch[0] = b"xx"  # type: ignore[index]
    with pytest.raises(AttributeError):
        batch.nbytes = 3  # type: ignore[misc]
    assert batch.tolist() == [b"ab", b"cd"]


def test_a_batch_is_a_copy_of_what_it_was_made_of() -> None:
    source = bytearray(b"first")
    batch = PacketBatch([source, source])
    whole = PacketBatch.from_buffer(source, [5])
    source[:] = b"other, longer"
    assert batch.tolist() == [b"first", b"first"]
    assert whole.tolist() == [b"first"]


@pytest.mark.parametrize("source", [bytearray(b"abcde"), memoryview(bytearray(b"abcde")), array.array("B", b"abcde")])
def test_buffers_that_may_be_written_to_are_copied_octet_for_octet(source: bytearray) -> None:
    batch = PacketBatch([source, b"fg", source])
    whole = PacketBatch.from_buffer(source, [0, 2, 3])
    source[0] = 0
    assert batch.tolist() == [b"abcde", b"fg", b"abcde"]
    assert whole.tolist() == [b"", b"ab", b"cde"]


def test_other_threads_run_while_a_large_buffer_is_copied() -> None:
    """The interpreter hands over only where it is released: the switch interval is longer than the test."""
    source = bytes(8 << 20)
    gate, has_run = threading.Lock(), threading.Event()

    def other() -> None:
        with gate:
            has_run.set()

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=other)
    sys.setswitchinterval(60)
    try:
        with gate:
            thread.start()
        ran_meanwhile = any(PacketBatch.from_buffer(source, [len(source)]) and has_run.is_set() for _ in range(200))
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert ran_meanwhile


def test_views_are_slices_of_one_buffer() -> None:
    batch = PacketBatch([b"ab", b"", b"cde"])
    view = batch[2]
    assert (view.obj, view.readonly, view.format, view.nbytes) == (batch, True, "B", 3)
    assert [packet.nbytes for packet in batch] == [2, 0, 3]


def test_a_batch_can_be_made_of_a_batch() -> None:
    batch = PacketBatch([b"ab", b"", b"cde"])
    assert PacketBatch(batch) == batch
    assert PacketBatch.from_buffer(batch, batch.lengths) == batch
    assert PacketBatch(reversed([*batch])).tolist() == [b"cde", b"", b"ab"]


def test_only_octets_are_packets() -> None:
    for wrong in (array.array("H", [1]), array.array("d", [1.0]), memoryview(b"abcd").cast("I")):
        with pytest.raises((TypeError, BufferError)):
            PacketBatch([wrong])
    with pytest.raises(BufferError, match="contiguous"):
        PacketBatch.from_buffer(memoryview(b"abcdef")[::-1], [6])
    with pytest.raises(TypeError):
        PacketBatch(b"a packet is not a batch")


def test_what_an_iterable_raises_comes_through() -> None:
    def broken() -> Iterator[bytes]:
        yield b"one"
        raise LookupError("the source is gone")

    with pytest.raises(LookupError, match="the source is gone"):
        PacketBatch(broken())


def test_a_batch_is_like_a_list_that_stays() -> None:
    batch = PacketBatch([b"ab", b"cd"])
    assert (batch[-2], batch[1]) == (b"ab", b"cd")
    assert len(PacketBatch([b""])) == 1
    assert PacketBatch([b""]) != PacketBatch()
    assert batch.offsets is not batch.offsets, "a copy, which may be changed"
    assert repr(batch) == "<PacketBatch of 2 packets, 4 octets>"
    with pytest.raises(TypeError):
        hash(batch)
    with pytest.raises(IndexError):
        PacketBatch()[0]
    with pytest.raises(IndexError):
        batch[-3]


def test_lengths_must_add_up_exactly() -> None:
    """The message has both numbers."""
    with pytest.raises(ValueError, match="add up to 5 octets, the buffer has 6"):
        PacketBatch.from_buffer(b"abcdef", [2, 3])
    with pytest.raises((ValueError, OverflowError)):
        PacketBatch.from_buffer(b"abcdef", [7, -1])
    assert PacketBatch.from_buffer(b"", []).tolist() == []
    assert PacketBatch.from_buffer(b"", [0, 0]).tolist() == [b"", b""]
    assert PacketBatch.from_buffer(bytearray(b"ab"), [1, 1]) == PacketBatch([b"a", b"b"])


def test_numpy_reads_the_memory_itself() -> None:
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    batch = PacketBatch([b"ab", b"cd"])
    one, two = (numpy.frombuffer(batch, dtype=numpy.uint8) for _ in range(2))
    assert one.ctypes.data == two.ctypes.data
    assert not one.flags.writeable
    again = PacketBatch([one, two[1:]])
    assert again.tolist() == [b"abcd", b"bcd"]
    with pytest.raises(BufferError, match="contiguous"):
        PacketBatch([one[::2]])
    del batch
    assert one.tolist() == [97, 98, 99, 100], "the array keeps the memory"
