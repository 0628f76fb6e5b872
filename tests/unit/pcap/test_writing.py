"""What is written can be read again, with its timestamps to the nanosecond."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironswan.pcap.reader import Reader
from ironswan.pcap.writer import Writer

RAW_IP = 101
PACKETS = st.lists(st.tuples(st.integers(0, (1 << 32) * 10**9 - 1), st.binary(max_size=90)), max_size=5)


@pytest.mark.parametrize("ending", [".pcap", ".pcapng"])
@given(PACKETS)
def test_packets_written_are_read_again(
    tmp_path_factory: pytest.TempPathFactory, ending: str, packets: list[tuple[int, bytes]]
) -> None:
    path = tmp_path_factory.getbasetemp() / f"written{ending}"
    with Writer(path) as writer:
        writer.write(packets[:2])
        writer.write(packets[2:])
    with Reader(path) as reader:
        found = [(timestamp, link, data[start:end]) for timestamp, link, data, start, end in reader]
    assert found == [(timestamp, RAW_IP, packet) for timestamp, packet in packets]


def test_ending_of_the_name_says_the_format(tmp_path: Path) -> None:
    for name, magic in (("a.pcap", "4d3cb2a1"), ("b", "4d3cb2a1"), ("c.pcapng", "0a0d0d0a")):
        Writer(tmp_path / name).close()
        assert (tmp_path / name).read_bytes()[:4] == bytes.fromhex(magic)


def test_file_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        Writer(tmp_path / "none" / "c.pcap")
