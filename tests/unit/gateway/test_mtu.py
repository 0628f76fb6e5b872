"""Packets leave in one piece, whichever suite was negotiated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ironswan import esp
from ironswan.gateway.mtu import fitting_mtu, iv_and_icv, tun_mtu
from ironswan.policy.connection import ChildPolicy, Configuration, Connection
from ironswan.policy.proposals import default_proposals, parse_proposal
from ironswan.policy.transforms import Protocol


def configured(*texts: str, sha256_96: bool = False) -> Configuration:
    proposals = tuple(parse_proposal(text, Protocol.ESP) for text in texts) or default_proposals(Protocol.ESP)
    child = ChildPolicy("c", (), (), proposals, sha256_96=sha256_96)
    return Configuration((Connection("a", (child,), ()),))


@pytest.mark.parametrize(
    ("texts", "octets"),
    [
        (("aes128gcm16",), 8 + 16),
        (("aes128gcm16-aes128gcm8", "aes128-sha1"), 16 + 12),
        (("chacha20poly1305iiv",), 16),
        ((), 16 + 32),
    ],
)
def test_the_suite_that_adds_most_counts(texts: tuple[str, ...], octets: int) -> None:
    assert iv_and_icv(configured(*texts)) == octets


def test_truncation_of_sha256_saves_its_octets() -> None:
    assert iv_and_icv(configured("aes128-sha256", sha256_96=True)) == 16 + 12


def test_without_connections_the_default_proposals_count() -> None:
    assert iv_and_icv(Configuration()) == iv_and_icv(configured())


@pytest.mark.parametrize("suite", [s for s in esp.suites() if s.protocol == "esp"], ids=lambda suite: suite.keyword)
@pytest.mark.parametrize(("outer", "version"), [(1500, 4), (1500, 6), (1492, 4), (1280, 4)])
def test_largest_packet_fits_the_outer_path_in_whole_blocks(suite: esp.SuiteInfo, outer: int, version: int) -> None:
    inner = tun_mtu(outer, version, suite.iv_len + suite.icv_len)
    header = 20 if version == 4 else 40
    length = header + 8 + 8 + suite.iv_len + inner + 2 + suite.icv_len
    assert (inner + 2) % 16 == 0
    assert outer - 16 < length <= outer


@pytest.mark.parametrize(
    ("link", "known", "mtu"),
    [
        (1500, 0, 1422),
        (9000, 0, 1422),
        (9000, 1500, 1422),
        (9000, 9000, 8926),
        (9000, 4000, 3934),
        (1500, 9000, 1438),
        (1400, 9000, 1326),
    ],
)
def test_only_a_path_that_the_configuration_knows_carries_more_than_the_internet(
    link: int, known: int, mtu: int
) -> None:
    plain = configured("aes128gcm16")
    one = replace(plain.connections[0], path_mtu=known)
    other = replace(one, name="b", path_mtu=0)
    assert fitting_mtu(replace(plain, connections=(other, one)), link) == mtu
