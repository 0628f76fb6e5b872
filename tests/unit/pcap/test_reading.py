"""Reading captures: each format, byte order and unit of time, and every way to be damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pcap_samples import ETHERNET, SECOND, V4, V6, block, enhanced, interface, pcap, section, written

from ironswan.pcap import CaptureError, TruncatedCapture, ip_packets
from ironswan.pcap.reader import Reader
from ironswan.pcap.stream import CHUNK

PACKETS = [(1_700_000_000 * SECOND + 123_456_000, b"first"), (1_700_000_001 * SECOND, b""), (5 * SECOND, bytes(3000))]
ORDERS = pytest.mark.parametrize("order", ["<", ">"])


def read(path: Path) -> list[tuple[int, int, bytes]]:
    with Reader(path) as reader:
        return [(timestamp, link, data[start:end]) for timestamp, link, data, start, end in reader]


@ORDERS
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_pcap_of_each_byte_order_and_unit(tmp_path: Path, order: str, nanoseconds: bool) -> None:
    path = written(tmp_path / "c", pcap(PACKETS, order=order, nanoseconds=nanoseconds, link=101))
    assert read(path) == [(timestamp, 101, packet) for timestamp, packet in PACKETS]


def test_length_of_the_frame_check_sequence_is_no_part_of_the_link_type(tmp_path: Path) -> None:
    assert read(written(tmp_path / "c", pcap(PACKETS[:1], link=0x2400_0001)))[0][1] == 1


def test_frames_cut_by_the_snap_length_are_as_long_as_what_was_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "c", pcap(PACKETS, snap=4))
    assert [len(packet) for _, _, packet in read(path)] == [4, 0, 4]


@ORDERS
def test_pcapng_of_each_byte_order(tmp_path: Path, order: str) -> None:
    blocks = [enhanced(timestamp // 1000, packet, order) for timestamp, packet in PACKETS]
    path = written(tmp_path / "c", section(order) + interface(101, order) + b"".join(blocks))
    assert read(path) == [(timestamp, 101, packet) for timestamp, packet in PACKETS]


@pytest.mark.parametrize(
    ("resolution", "ticks", "nanoseconds"),
    [(6, 7, 7000), (9, 7, 7), (3, 7, 7_000_000), (0, 7, 7 * SECOND), (12, 7000, 7), (0x8A, 512, SECOND // 2)],
)
def test_unit_of_time_of_an_interface(tmp_path: Path, resolution: int, ticks: int, nanoseconds: int) -> None:
    options = [(2, b"eth0"), (9, bytes([resolution]))]
    path = written(tmp_path / "c", section() + interface(options=options) + enhanced(ticks, b"x"))
    assert read(path) == [(nanoseconds, 1, b"x")]


def test_offset_of_the_time_of_an_interface(tmp_path: Path) -> None:
    options = [(14, struct.pack("<q", -2))]
    path = written(tmp_path / "c", section() + interface(options=options) + enhanced(5_000_000, b"x"))
    assert read(path) == [(3 * SECOND, 1, b"x")]


def test_sections_have_their_own_byte_order_and_interfaces(tmp_path: Path) -> None:
    content = section("<") + interface(1) + interface(101) + enhanced(1, b"a", index=1)
    content += section(">") + interface(113, ">") + enhanced(2, b"b", ">")
    assert read(written(tmp_path / "c", content)) == [(1000, 101, b"a"), (2000, 113, b"b")]


def test_simple_and_obsolete_packet_blocks(tmp_path: Path) -> None:
    simple = block(3, struct.pack("<I", 9) + b"abcd")
    obsolete = block(2, struct.pack("<HHIIII", 0, 0xFFFF, 0, 3, 5, 5) + b"vwxyz")
    path = written(tmp_path / "c", section() + interface(101, snap=4) + simple + obsolete)
    assert read(path) == [(0, 101, b"abcd"), (3000, 101, b"vwxyz")]


def test_other_blocks_are_passed_over(tmp_path: Path) -> None:
    content = (
        section() + block(0x0BAD, bytes(1000)) + interface() + block(5, bytes(8)) + enhanced(1, b"a") + block(4, b"")
    )
    assert [packet for *_, packet in read(written(tmp_path / "c", content))] == [b"a"]


@pytest.mark.parametrize("keep", range(1, 16 + 7))
def test_pcap_that_ends_within_a_record_gives_all_before_it(tmp_path: Path, keep: int) -> None:
    whole = pcap([(SECOND, b"first")])
    path = written(tmp_path / "c", whole + pcap([(SECOND, b"seventh")])[24:][:keep])
    found = []
    with Reader(path) as reader, pytest.raises(TruncatedCapture, match=f"octet {len(whole)}$"):
        found += [data[start:end] for _, _, data, start, end in reader]
    with Reader(path) as reader:
        assert next(iter(reader))[4] == len(whole)


def test_pcapng_that_ends_within_a_block_gives_all_before_it(tmp_path: Path) -> None:
    whole = section() + interface(101) + enhanced(1, V4)
    for keep in range(1, len(enhanced(2, V4))):
        path = written(tmp_path / "c", whole + enhanced(2, V4)[:keep])
        with pytest.raises(TruncatedCapture):
            read(path)
        assert [*ip_packets(path)] == [V4]


def test_header_cut_short_is_a_truncated_capture(tmp_path: Path) -> None:
    with pytest.raises(TruncatedCapture):
        read(written(tmp_path / "c", pcap([])[:20]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"#!/bin/sh\n", "neither pcap nor pcapng"),
        (b"\x1f\x8b\x08\x00", "gzip -d"),
        (b"\x28\xb5\x2f\xfd\x00", "zstd -d"),
        (b"\x34\xcd\xb2\xa1" + bytes(20), "editcap"),
        (b"snoop\x00\x00\x00", "editcap"),
        (pcap([]).replace(b"\x02\x00\x04\x00", b"\x01\x00\x04\x00"), "version 1.4"),
        (pcap([]) + struct.pack("<IIII", 0, 0, 1 << 30, 1 << 30), "at octet 24: a record of 1073741824 octets"),
        (section()[:8] + bytes(20), "no byte order"),
        (section() + enhanced(1, b"a"), "no known interface"),
        (section() + block(3, bytes(4) + b"a"), "no known interface"),
        (section() + interface() + enhanced(1, b"a", index=1), "no known interface"),
        (section() + struct.pack("<III", 5, 13, 13), "length of a block"),
        (section() + struct.pack("<III", 5, 8, 8), "length of a block"),
        (section() + struct.pack("<III", 5, 1 << 31, 0), "a block of 2147483648 octets"),
        (section() + block(5, b"")[:-4] + struct.pack("<I", 16), "length of a block"),
        (section() + interface() + block(6, struct.pack("<IIIII", 0, 0, 0, 9, 9)), "longer than its block"),
        (section() + block(1, struct.pack("<HHIHH", 1, 0, 0, 9, 200)), "an option is longer"),
        (section() + block(6, b""), "length of a block"),
    ],
)
def test_damaged_file_is_said_to_be_so(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(CaptureError, match=message) as error:
        read(written(tmp_path / "c", content))
    assert str(error.value).startswith(f"{tmp_path / 'c'}: ")


def test_file_that_does_not_exist_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        next(ip_packets(tmp_path / "none"))


def test_frames_larger_than_a_chunk_and_across_its_end(tmp_path: Path) -> None:
    lengths = [CHUNK - 40, 16, 0, 3 * CHUNK, 1, CHUNK]
    packets = [(index * SECOND, bytes([index]) * length) for index, length in enumerate(lengths)]
    assert [packet for *_, packet in read(written(tmp_path / "c", pcap(packets, snap=1 << 24)))] == [
        packet for _, packet in packets
    ]
    blocks = b"".join(enhanced(timestamp // 1000, packet) for timestamp, packet in packets)
    path = written(tmp_path / "n", section() + interface() + blocks)
    assert [packet for *_, packet in read(path)] == [packet for _, packet in packets]


def test_position_is_where_the_reader_has_come_to(tmp_path: Path) -> None:
    path = written(tmp_path / "c", pcap(PACKETS))
    with Reader(path) as reader:
        assert len([*reader]) == 3
        assert reader.position == reader.size == path.stat().st_size


@given(st.binary(max_size=300), st.sampled_from([b"", pcap(PACKETS)[:60], section() + interface() + enhanced(1, V4)]))
def test_no_content_makes_more_than_a_capture_error(tmp_path_factory: pytest.TempPathFactory, end: bytes, begin: bytes):
    path = written(tmp_path_factory.getbasetemp() / "generated", begin + end)
    try:
        read(path)
    except CaptureError as error:
        assert str(path) in str(error)


def test_ip_packets_come_without_link_layer_and_padding(tmp_path: Path) -> None:
    frames = [ETHERNET + b"\x08\x00" + V4 + bytes(18), ETHERNET + b"\x08\x06" + bytes(28), ETHERNET + b"\x86\xdd" + V6]
    path = written(tmp_path / "c", pcap([(0, frame) for frame in frames]))
    assert [*ip_packets(path)] == [V4, V6]


def test_ip_packets_leave_out_link_types_that_are_not_known(tmp_path: Path) -> None:
    assert [*ip_packets(written(tmp_path / "c", pcap([(0, V4)], link=147)))] == []


def test_ip_packet_captured_before_segmentation_is_as_long_as_its_frame(tmp_path: Path) -> None:
    packet = V4[:2] + b"\0\0" + V4[4:]
    assert [*ip_packets(written(tmp_path / "c", pcap([(0, packet)], link=101)))] == [packet]
