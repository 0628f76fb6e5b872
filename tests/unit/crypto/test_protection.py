"""The SK payload, AUTH, cookies and the NAT hash."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from ironswan.crypto import auth, cookie, natd, sk
from ironswan.crypto.keys import IkeSuite, derive_ike_keys
from ironswan.policy.proposals import parse_proposal
from ironswan.policy.transforms import Prf, Protocol

SUITES = [
    "aes128-sha256-x25519",
    "aes192-sha384-x25519",
    "aes256-sha512-x25519",
    "aes128gcm16-prfsha256-x25519",
    "aes256gcm8-prfsha256-x25519",
    "aes128gcm12-prfsha256-x25519",
    "chacha20poly1305-prfsha512-x25519",
]


def keyed(text):
    suite = IkeSuite.from_proposal(parse_proposal(text, Protocol.IKE))
    return suite, derive_ike_keys(suite, b"s" * 32, b"i" * 32, b"r" * 32, b"8 octets", b"8 Octets")


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
