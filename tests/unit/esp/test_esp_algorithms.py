"""What the RFC of each algorithm says of keys, IVs and ICVs, and what may not be combined."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from esp_packets import GCM, KEYMAT, SPI, inbound, outbound, seal, status

from ironswan.esp import InboundSa, OutboundSa, PacketBatch, Status, suites

INFO = {suite.keyword: suite for suite in suites() if suite.protocol == "esp"}

# Octets of key, salt, integrity key, IV and ICV.
LENGTHS = {
    "aes128gcm8": (16, 4, 0, 8, 8), "aes192gcm12": (24, 4, 0, 8, 12), "aes256gcm16": (32, 4, 0, 8, 16),  # RFC 4106
    "aes128ccm8": (16, 3, 0, 8, 8), "aes192ccm12": (24, 3, 0, 8, 12), "aes256ccm16": (32, 3, 0, 8, 16),  # RFC 4309
    "aes128gmac": (16, 4, 0, 8, 16), "aes192gmac": (24, 4, 0, 8, 16), "aes256gmac": (32, 4, 0, 8, 16),  # RFC 4543
    "chacha20poly1305": (32, 4, 0, 8, 16),  # RFC 7634
    "aes128gcm16iiv": (16, 4, 0, 0, 16), "aes256ccm8iiv": (32, 3, 0, 0, 8),  # RFC 8750
    "chacha20poly1305iiv": (32, 4, 0, 0, 16),
    "aes128-sha1": (16, 0, 20, 16, 12), "3des-sha1": (24, 0, 20, 8, 12), "null-sha1": (0, 0, 20, 0, 12),  # RFC 2404
    "aes192ctr-sha256": (24, 4, 32, 8, 16), "aes256-sha384": (32, 0, 48, 16, 24),  # RFC 3686, RFC 4868
    "aes256-sha512": (32, 0, 64, 16, 32), "null-sha256_96": (0, 0, 32, 0, 12),
    "aes128-aesxcbc": (16, 0, 16, 16, 12), "aes256-aescmac": (32, 0, 16, 16, 12),  # RFC 3566, RFC 4494
}  # fmt: skip


@pytest.mark.parametrize("keyword", LENGTHS)
def test_lengths_are_those_of_the_rfcs(keyword: str) -> None:
    """E19, E22, E23, E24, E25, E26, E28."""
    info = INFO[keyword]
    key, salt, integrity_key, iv, icv = LENGTHS[keyword]
    assert (info.key_len, info.salt_len, info.integrity_key_len, info.iv_len, info.icv_len) == LENGTHS[keyword]
    sa = outbound(keyword, mode="transport")
    payload = bytes(4 * 16 - 2)
    (sealed,) = seal(sa, payload)
    assert len(sealed) == 8 + iv + len(payload) + 2 + icv
    assert len(KEYMAT[keyword]) == key + salt + integrity_key


@pytest.mark.parametrize("keyword", [
    "aes128gcm", "aes128gcm4", "aes128gcm10", "aes128gcm15", "aes128ccm4", "aes128ccm10", "aes128ccm16iiv",
    "aes128gcm8iiv", "aes512gcm16", "aes64", "des-sha1", "blowfish-sha1", "idea-sha1", "aes128-md5", "null-null",
    "aes128-none", "", "aes128gcm16 ", "AES128GCM16!", "aes128-sha256-sha256", "-sha256", "sha256",
])  # fmt: skip
def test_no_other_suites_can_be_made(keyword: str) -> None:
    """E18, E19, E29: other ICV lengths, single DES and its kind, MD5, nothing at all."""
    with pytest.raises(ValueError, match=r"there is no suite .*suites\(\) lists"):
        OutboundSa(SPI, keyword, bytes(64))


@pytest.mark.parametrize("cipher", ["aes128", "aes256", "aes128ctr", "3des", "null"])
def test_nothing_is_sent_that_nobody_can_authenticate(cipher: str) -> None:
    """E18, E27: RFC 8221 4; the refusal says what to write instead."""
    for make in (OutboundSa, InboundSa):
        with pytest.raises(ValueError, match=f"{cipher} does not authenticate.*{cipher}-sha256"):
            make(SPI, cipher, bytes(24))


@pytest.mark.parametrize("keyword", ["aes128gmac-sha256", "aes128gcm16-sha256", "chacha20poly1305-sha256"])
def test_what_authenticates_takes_no_integrity_algorithm_besides(keyword: str) -> None:
    """E23: RFC 4543 2; RFC 8221 4."""
    with pytest.raises(ValueError, match=r"there is no suite"):
        OutboundSa(SPI, keyword, bytes(52))


PAYLOAD = b"forty octets of payload, no more no less"


@pytest.mark.parametrize(
    ("keyword", "make"),
    [("aes128gcm16", AESGCM), ("aes256ccm16", AESCCM), ("chacha20poly1305", ChaCha20Poly1305)],
)
@pytest.mark.parametrize("esn", [False, True])
def test_the_nonce_is_the_salt_and_the_iv(keyword: str, make: type[AESGCM], esn: bool) -> None:
    """E07, E19, E22, E24: as another library computes it."""
    info, keymat = INFO[keyword], KEYMAT[keyword]
    sa = outbound(keyword, mode="transport", esn=esn, sequence_number=(9 << 32) + 4 if esn else 4)
    (sealed,) = seal(sa, PAYLOAD, next_header=6)
    nonce = keymat[info.key_len :] + sealed[8:16]
    aad = sealed[:4] + ((9 << 32) + 5).to_bytes(8) if esn else sealed[:8]
    plain = make(keymat[: info.key_len]).decrypt(nonce, sealed[16:], aad)
    pad_len = len(plain) - len(PAYLOAD) - 2
    assert plain == PAYLOAD + bytes(range(1, pad_len + 1)) + bytes([pad_len, 6])


@pytest.mark.parametrize("keyword", ["aes128gcm16", "aes128gcm16iiv", "aes256ccm8", "aes128gmac", "chacha20poly1305"])
def test_another_salt_is_another_key(keyword: str) -> None:
    """E19, E22 to E24."""
    (sealed,) = seal(outbound(keyword, mode="transport"), PAYLOAD)
    other = KEYMAT[keyword][:-1] + b"\xff"
    assert status(InboundSa(SPI, keyword, other, mode="transport"), sealed) is Status.ICV_MISMATCH


@pytest.mark.parametrize("esn", [False, True])
def test_gmac_shows_everything_and_protects_it(esn: bool) -> None:
    """E23: SPI, sequence number, IV, payload and trailer are authenticated, none is hidden (RFC 4543 3.3)."""
    keymat = KEYMAT["aes128gmac"]
    (sealed,) = seal(outbound("aes128gmac", mode="transport", esn=esn), PAYLOAD, next_header=6)
    assert sealed[16:56] == PAYLOAD
    number = (1).to_bytes(8 if esn else 4)
    tag = AESGCM(keymat[:16]).encrypt(keymat[16:] + sealed[8:16], b"", sealed[:4] + number + sealed[8:-16])
    assert sealed[-16:] == tag


@pytest.mark.parametrize("keyword", ["aes128gcm8", "aes128gcm12"])
def test_a_shorter_icv_is_the_same_one_cut(keyword: str) -> None:
    """E19."""
    # With its trailer whole blocks, so that all of them pad alike.
    payload = bytes(62)
    (whole,) = seal(OutboundSa(SPI, GCM, KEYMAT[GCM], mode="transport"), payload)
    (cut,) = seal(OutboundSa(SPI, keyword, KEYMAT[GCM], mode="transport"), payload)
    assert whole.startswith(cut)
    assert status(inbound(keyword, mode="transport"), whole) in {Status.MALFORMED, Status.ICV_MISMATCH}


@pytest.mark.parametrize("keyword", sorted(keyword for keyword, info in INFO.items() if info.iv_len == 8))
def test_ivs_of_one_key_are_all_different(keyword: str) -> None:
    """E19, E24, E25: in one batch and over several."""
    sa = outbound(keyword, mode="transport")
    ivs = [packet[8:16] for _ in range(3) for packet in seal(sa, *[b""] * 70)]
    assert len(set(ivs)) == len(ivs) == 210


@pytest.mark.parametrize("keyword", ["aes128gcm16iiv", "chacha20poly1305iiv", "aes128ccm8iiv"])
def test_implicit_ivs_are_never_used_twice(keyword: str) -> None:
    """E26: RFC 8750 5; where the sequence numbers end the SA ends, and with ESN all 64 bits are the IV."""
    sa = outbound(keyword, mode="transport", sequence_number=0xFFFF_FFFE)
    assert status(inbound(keyword, mode="transport", sequence_number=0xFFFF_FFFE), seal(sa, PAYLOAD)[0]) is Status.OK
    for _ in range(2):
        assert sa.encap(PacketBatch([PAYLOAD])).statuses == [Status.SEQUENCE_EXHAUSTED]
    low, high = (
        seal(outbound(keyword, mode="transport", esn=True, sequence_number=number), PAYLOAD)[0]
        for number in (4, (1 << 32) + 4)
    )
    assert low[:8] == high[:8]
    assert low[8:48] != high[8:48]
