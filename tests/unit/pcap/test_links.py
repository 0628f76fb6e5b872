"""Link layers: where the IP packet begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pcap_samples import ETHERNET, V4, V6

from ironswan.pcap.links import LINK_LAYERS, NOT_IP

IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"
COOKED = b"\x00\x00\x00\x01\x00\x06" + bytes(8)


@pytest.mark.parametrize(
    ("link", "header"),
    [
        (1, ETHERNET + IPV4),
        (1, ETHERNET + IPV6),
        (1, ETHERNET + b"\x81\x00\x00\x05" + IPV4),
        (1, ETHERNET + b"\x88\xa8\x00\x05\x81\x00\x00\x06" + IPV4),
        (1, ETHERNET + b"\x91\x00\x00\x01\x92\x00\x00\x02\x81\x00\x00\x03" + IPV6),
        (12, b""),
        (14, b""),
        (101, b""),
        (228, b""),
        (229, b""),
        (113, COOKED + IPV4),
        (113, COOKED + b"\x81\x00\x00\x05" + IPV6),
        (276, IPV4 + bytes(18)),
        (276, b"\x81\x00" + bytes(18) + b"\x00\x05" + IPV6),
        (0, b"\x02\x00\x00\x00"),
        (0, b"\x00\x00\x00\x1e"),
        (0, b"\x18\x00\x00\x00"),
        (108, b"\x00\x00\x00\x02"),
        (108, b"\x00\x00\x00\x1c"),
    ],
)
def test_ip_begins_behind_the_link_layer(link: int, header: bytes) -> None:
    packet = V6 if header[-2:] == IPV6 else V4
    data = b"before" + header + packet
    assert LINK_LAYERS[link](data, 6, len(data)) == 6 + len(header)


@pytest.mark.parametrize(
    ("link", "frame"),
    [
        (1, ETHERNET + b"\x08\x06" + bytes(28)),
        (1, ETHERNET + b"\x00\x26\xaa\xaa\x03" + bytes(40)),
        (1, ETHERNET + b"\x81\x00\x00\x05\x08\x06" + bytes(28)),
        (1, ETHERNET),
        (1, ETHERNET + b"\x08\x00"),
        (1, ETHERNET + b"\x81\x00" * 1),
        (113, COOKED + b"\x00\x01" + bytes(20)),
        (113, COOKED),
        (276, b"\x08\x06" + bytes(40)),
        (276, b"\x08\x00" + bytes(18)),
        (0, b"\x07\x00\x00\x00" + V4),
        (0, b"\x02\x00\x00\x00"),
        (101, b""),
    ],
)
def test_frames_of_anything_else_have_none(link: int, frame: bytes) -> None:
    # What stands behind the frame in the buffer belongs to the next one.
    assert LINK_LAYERS[link](frame + V4, 0, len(frame)) == NOT_IP


@given(st.sampled_from(sorted(LINK_LAYERS)), st.binary(max_size=40))
def test_no_frame_leads_outside_of_itself(link: int, frame: bytes) -> None:
    at = LINK_LAYERS[link](frame, 0, len(frame))
    assert at == NOT_IP or 0 <= at < len(frame)
