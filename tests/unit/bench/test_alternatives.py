"""The other libraries really do the same: each opens what the other has sealed."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from cryptography.exceptions import InvalidTag

from ironswan.bench import traffic
from ironswan.bench.alternatives import CryptographyLoop, NoSuchSuite, ScapyLoop, scapy_algorithms

PACKETS = [traffic.packet(octets) for octets in (64, 65, 66, 67, 576, 1420)]


@dataclass
class Suite:
    keyword: str
    key_len: int
    salt_len: int
    icv_len: int
    integrity_key_len: int = 0

    @property
    def keymat(self):
        return bytes(range(self.key_len + self.salt_len + self.integrity_key_len))


AEADS = [
    Suite("aes128gcm16", 16, 4, 16),
    Suite("aes256gcm16", 32, 4, 16),
    Suite("chacha20poly1305", 32, 4, 16),
    Suite("aes128ccm16", 16, 3, 16),
    Suite("aes256ccm8", 32, 3, 8),
]
OTHERS = [
    Suite("aes128-sha256", 16, 0, 16, 32),
    Suite("aes256ctr-sha1", 32, 4, 12, 20),
    Suite("null-sha512", 0, 0, 32, 64),
    Suite("aes128gmac", 16, 4, 16),
]


@pytest.mark.parametrize("suite", AEADS, ids=lambda suite: suite.keyword)
def test_loop_and_scapy_understand_each_other(suite):
    loop, scapy = CryptographyLoop(suite, suite.keymat), ScapyLoop(suite, suite.keymat)
    assert scapy.decap(loop.encap(PACKETS)) == PACKETS
    assert CryptographyLoop(suite, suite.keymat).decap(scapy.encap(PACKETS)) == PACKETS


@pytest.mark.parametrize("suite", OTHERS, ids=lambda suite: suite.keyword)
def test_scapy_opens_what_it_has_sealed(suite):
    sealed = ScapyLoop(suite, suite.keymat).encap(PACKETS)
    assert ScapyLoop(suite, suite.keymat).decap(sealed) == PACKETS
    assert all((len(packet) - suite.icv_len) % 4 == 0 for packet in sealed)


def test_loop_refuses_what_is_not_new_or_forged():
    suite = AEADS[0]
    sealed = CryptographyLoop(suite, suite.keymat).encap(PACKETS)
    opener = CryptographyLoop(suite, suite.keymat)
    opener.decap(sealed[:1])
    with pytest.raises(ValueError, match="not new"):
        opener.decap(sealed[:1])
    with pytest.raises(InvalidTag):
        opener.decap([sealed[1][:-1] + bytes([sealed[1][-1] ^ 1])])


@pytest.mark.parametrize("keyword", ["aes128-sha256", "aes128gcm8", "aes128gcm16iiv", "aes128gmac", "null-sha256"])
def test_loop_is_for_aeads_with_an_explicit_iv(keyword):
    with pytest.raises(NoSuchSuite, match=keyword):
        CryptographyLoop(Suite(keyword, 16, 4, 16), bytes(20))


@pytest.mark.parametrize("keyword", ["aes128gcm8", "aes128gcm16iiv", "aes128-aesxcbc", "aes128-sha256_96", "x"])
def test_suites_that_scapy_lacks(keyword):
    with pytest.raises(NoSuchSuite, match=keyword):
        scapy_algorithms(keyword)
