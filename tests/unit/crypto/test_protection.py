"""The SK payload, AUTH, cookies and the NAT hash."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path

import pytest

from ironswan.crypto import auth, cookie, natd, sk
from ironswan.crypto.keys import IkeSuite, derive_ike_keys
from ironswan.policy.proposals import parse_proposal
from ironswan.policy.transforms import Prf, Protocol
from ironswan.wire.message import read_message
from ironswan.wire.notify import NotifyPayload
from ironswan.wire.numbers import NotifyType

CAPTURES = json.loads((Path(__file__).parents[2] / "vectors" / "ike_messages.json").read_text())["messages"]

SUITES = [
    "aes128-sha256-x25519",
    "aes192-sha384-x25519",
    "aes256-sha512-x25519",
    "aes128gcm16-prfsha256-x25519",
    "aes256gcm8-prfsha256-x25519",
    "aes128gcm12-prfsha256-x25519",
    "chacha20poly1305-prfsha512-x25519",
    "aes128ctr-sha256-x25519",
    "aes256ctr-sha1-x25519",
    "aes128ccm16-prfsha256-x25519",
    "aes192ccm12-prfsha384-x25519",
    "aes256ccm8-prfsha256-x25519",
]


def keyed(text):
    suite = IkeSuite.from_proposal(parse_proposal(text, Protocol.IKE))
    return suite, derive_ike_keys(suite, b"s" * 32, b"i" * 32, b"r" * 32, b"8 octets", b"8 Octets")


LENGTHS = list(zip(SUITES, [16] * 3 + [8] * 9, [16, 24, 32, 16, 8, 12, 16, 16, 12, 16, 12, 8], strict=True))


@pytest.mark.parametrize(("text", "iv", "icv"), LENGTHS)
def test_lengths_of_iv_and_icv_are_the_standards(text, iv, icv):
    """RFC 4868 2.6, RFC 5282 3.1 and 3.2, RFC 5930 2, RFC 7634 2."""
    suite, keys = keyed(text)
    assert (sk.iv_length(suite), sk.icv_length(suite)) == (iv, icv)
    block = 1 if sk.iv_is_counter(suite) else 16
    sealed = sk.seal(suite, keys.sk_ei, keys.sk_ai, b"header", b"p" * 20, bytes(iv))
    assert len(sealed) == iv + -(-21 // block) * block + icv


@pytest.mark.parametrize("text", SUITES)
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 500])
def test_what_was_sealed_opens(text, size):
    suite, keys = keyed(text)
    sealed = sk.seal(suite, keys.sk_ei, keys.sk_ai, b"header", b"p" * size, bytes(sk.iv_length(suite)))
    assert len(sealed) == sk.sealed_length(suite, size)
    assert sk.open(suite, keys.sk_ei, keys.sk_ai, b"header", sealed) == b"p" * size


@pytest.mark.parametrize("text", SUITES)
def test_any_changed_octet_is_an_integrity_error(text):
    suite, keys = keyed(text)
    sealed = sk.seal(suite, keys.sk_ei, keys.sk_ai, b"header", b"payloads", bytes(sk.iv_length(suite)))
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :]
        with pytest.raises(sk.IntegrityError):
            sk.open(suite, keys.sk_ei, keys.sk_ai, b"header", changed)
    with pytest.raises(sk.IntegrityError):
        sk.open(suite, keys.sk_ei, keys.sk_ai, b"Header", sealed)
    for length in range(len(sealed)):
        with pytest.raises(sk.IntegrityError):
            sk.open(suite, keys.sk_ei, keys.sk_ai, b"header", sealed[:length])


def test_chacha20_poly1305_message_is_the_published_one():
    """RFC 7634 appendix B: an INFORMATIONAL with one Notify, pad length included, keys of appendix A."""
    suite = IkeSuite.from_proposal(parse_proposal("chacha20poly1305-prfsha256-x25519", Protocol.IKE))
    sk_e = bytes(range(0x80, 0xA0)) + bytes.fromhex("a0a1a2a3")
    associated = bytes.fromhex("c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d72e202500000000090000004529000029")
    notify, iv = bytes.fromhex("0000000c000040010000000a"), bytes.fromhex("1011121314151617")
    sealed = iv + bytes.fromhex("610394701f8d017f7c129248896b71bfe25236efd7cdc67066906315b2")
    assert sk.seal(suite, sk_e, b"", associated, notify, iv) == sealed
    assert sk.open(suite, sk_e, b"", associated, sealed) == notify


def test_aes_ctr_is_the_published_one():
    """RFC 3686 6, vector 2: nonce, IV and a counter from 1, here behind the HMAC of IKE."""
    suite = IkeSuite.from_proposal(parse_proposal("aes128ctr-sha256-x25519", Protocol.IKE))
    sk_e = bytes.fromhex("7e24067817fae0d743d6ce1f32539163006cb6db")
    iv, stream = bytes.fromhex("c0543b59da48d90b"), bytes.fromhex("5104a106168a72d9790d41ee8edad388")
    sealed = sk.seal(suite, sk_e, b"a" * 32, b"header", bytes(range(15)), iv)
    # The vector's plaintext is 00 01 .. 1f; ours has the pad length 0 for its sixteenth octet.
    assert sealed[:8] == iv
    assert sealed[8:23] == stream[:15]
    assert sealed[23] == stream[15] ^ 15


def test_signed_octets_are_message_nonce_and_the_mac_of_the_identity():
    """I58, I59: checked against the definition, computed here with the standard library."""
    import hashlib
    import hmac

    octets = auth.signed_octets(Prf.HMAC_SHA2_256, b"message", b"nonce", b"sk_p", b"id")
    assert octets == b"messagenonce" + hmac.digest(b"sk_p", b"id", hashlib.sha256)
    inner = hmac.digest(b"secret", b"Key Pad for IKEv2", hashlib.sha256)
    assert auth.psk_auth(Prf.HMAC_SHA2_256, b"secret", octets) == hmac.digest(inner, octets, hashlib.sha256)


def test_cookie_is_of_one_request_and_one_secret():
    """I29 to I31."""
    arguments = (b"nonce", ip_address("192.0.2.1"), b"8 octets")
    made = cookie.make(b"secret", 3, *arguments)
    assert 1 <= len(made) <= 64
    assert cookie.verify(b"secret", 3, made, *arguments)
    assert not cookie.verify(b"secret", 4, made, *arguments)
    assert not cookie.verify(b"Secret", 3, made, *arguments)
    for at, other in enumerate((b"Nonce", ip_address("192.0.2.2"), b"8 Octets")):
        changed = (*arguments[:at], other, *arguments[at + 1 :])
        assert not cookie.verify(b"secret", 3, made, *changed)
    assert not cookie.verify(b"secret", 3, b"", *arguments)


@pytest.mark.parametrize(
    ("name", "kind", "address"),
    [
        ("zeek-ipsec_client-0", NotifyType.NAT_DETECTION_SOURCE_IP, "192.168.0.10"),
        ("zeek-ipsec_client-0", NotifyType.NAT_DETECTION_DESTINATION_IP, "144.76.154.114"),
        ("zeek-ipsec_client-1", NotifyType.NAT_DETECTION_SOURCE_IP, "144.76.154.114"),
    ],
)
def test_nat_hash_is_the_one_of_a_captured_peer(name, kind, address):
    """I93: the request's with SPIr zero, the answer's with both SPIs."""
    message = read_message(next(bytes.fromhex(m["octets"]) for m in CAPTURES if m["id"] == name))
    [sent] = [p.data for p in message.payloads if isinstance(p, NotifyPayload) and p.type == kind]
    assert natd.nat_detection_hash(message.header.spi_i, message.header.spi_r, ip_address(address), 500) == sent


def test_nat_hash_depends_on_everything_that_a_nat_may_change():
    """I93."""
    base = natd.nat_detection_hash(b"8 octets", bytes(8), ip_address("192.0.2.1"), 500)
    assert len(base) == 20
    others = {
        natd.nat_detection_hash(b"8 octets", bytes(8), ip_address("192.0.2.1"), 4500),
        natd.nat_detection_hash(b"8 octets", bytes(8), ip_address("192.0.2.2"), 500),
        natd.nat_detection_hash(b"8 octets", b"8 Octets", ip_address("192.0.2.1"), 500),
    }
    assert base not in others
    assert len(others) == 3
