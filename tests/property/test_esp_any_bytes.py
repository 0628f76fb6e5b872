"""Whatever is given to an SA, nothing is raised and nothing but authentic packets changes it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironswan.esp import AhInboundSa, AhOutboundSa, InboundSa, OutboundSa, PacketBatch, Status, suites

SPI = 0x1001
KEYWORDS = [suite.keyword for suite in suites() if suite.protocol == "esp"]
KEYMAT = {suite.keyword: bytes(range(suite.keymat_len)) for suite in suites() if suite.protocol == "esp"}
HEADER4 = bytes.fromhex("450000000000000040320000c0000201c0000202")
FRAMINGS = ("esp", "udp", "ip")
OUTER = ("192.0.2.1", "192.0.2.2")
MODES = (("tunnel", OUTER), ("transport", None))


def starts() -> st.SearchStrategy[bytes]:
    """Beginnings that get past the first checks."""
    return st.sampled_from(
        [b"", SPI.to_bytes(4), HEADER4, HEADER4 + SPI.to_bytes(4), bytes.fromhex("1194119400300000")]
    )


@given(
    st.sampled_from(KEYWORDS),
    st.sampled_from(("tunnel", "transport")),
    st.lists(st.tuples(starts(), st.binary(max_size=80)), max_size=6),
)
def test_no_octets_open_or_move_an_sa(keyword: str, mode: str, parts: list[tuple[bytes, bytes]]) -> None:
    """E04, E17."""
    packets = [start + rest for start, rest in parts]
    for framing in FRAMINGS:
        sa = InboundSa(SPI, keyword, KEYMAT[keyword], mode=mode)
        results = sa.decap(PacketBatch(packets), framing=framing)
        assert len(results.statuses) == len(packets)
        assert Status.OK not in results.statuses
        assert (sa.sequence_number, sa.window) == (0, 0)


@given(st.sampled_from(KEYWORDS), st.lists(st.tuples(starts(), st.binary(max_size=80)), max_size=6))
def test_any_octets_may_be_given_to_a_sender(keyword: str, parts: list[tuple[bytes, bytes]]) -> None:
    packets = [start + rest for start, rest in parts]
    for mode, tunnel in MODES:
        for framing in FRAMINGS:
            sa = OutboundSa(SPI, keyword, KEYMAT[keyword], mode=mode, tunnel=tunnel, udp_encap=(1, 2))
            results = sa.encap(PacketBatch(packets), framing=framing)
            sent = [status for status in results.statuses if status is Status.OK]
            assert sa.sequence_number == len(sent)


@given(st.lists(st.binary(max_size=120), max_size=6))
def test_ah_takes_any_octets(packets: list[bytes]) -> None:
    for mode, tunnel in MODES:
        inbound = AhInboundSa(SPI, "sha256", bytes(32), mode=mode)
        results = inbound.decap(PacketBatch([*packets, HEADER4[:9] + b"\x33" + HEADER4[10:]]))
        assert Status.OK not in results.statuses
        assert inbound.sequence_number == 0
        sa = AhOutboundSa(SPI, "sha256", bytes(32), mode=mode, tunnel=tunnel)
        assert sa.sequence_number == sa.encap(PacketBatch(packets)).statuses.count(Status.OK)


@pytest.mark.parametrize("keyword", ["aes128gcm16", "aes128-sha256", "null-sha1", "aes128ccm8iiv"])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_truncated_and_damaged_packets_never_open(keyword: str, framing: str) -> None:
    inner = HEADER4[:2] + (60).to_bytes(2) + HEADER4[4:] + bytes(40)
    sa = OutboundSa(SPI, keyword, KEYMAT[keyword], tunnel=OUTER, udp_encap=(4500, 4500))
    (sealed,) = sa.encap(PacketBatch([inner]), framing=framing).packets.tolist()
    chance = random.Random(7)
    damaged = [sealed[:length] for length in range(len(sealed))]
    front = {"esp": 0, "udp": 8, "ip": 28}[framing]
    for _ in range(300):
        octets = bytearray(sealed)
        octets[chance.randrange(front + 4, len(octets))] ^= chance.randrange(1, 256)
        damaged.append(bytes(octets))
    inbound = InboundSa(SPI, keyword, KEYMAT[keyword])
    assert Status.OK not in inbound.decap(PacketBatch(damaged), framing=framing).statuses
    assert inbound.decap(PacketBatch([sealed]), framing=framing).packets.tolist() == [inner]
