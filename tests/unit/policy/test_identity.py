"""Identities: syntax, and who matches whom."""

from __future__ import annotations

import pytest

from ironswan.policy.identity import Identity, IdType, matches


@pytest.mark.parametrize(
    ("text", "kind", "data"),
    [
        ("moon.example", IdType.FQDN, b"moon.example"),
        ("@moon.example", IdType.FQDN, b"moon.example"),
        ("fqdn:192.0.2.1", IdType.FQDN, b"192.0.2.1"),
        ("carol@example", IdType.RFC822_ADDR, b"carol@example"),
        ("email:carol@example", IdType.RFC822_ADDR, b"carol@example"),
        ("192.0.2.1", IdType.IPV4_ADDR, b"\xc0\0\2\1"),
        ("2001:db8::1", IdType.IPV6_ADDR, bytes.fromhex("20010db8000000000000000000000001")),
        ("keyid:moon", IdType.KEY_ID, b"moon"),
        ("keyid:#00ff", IdType.KEY_ID, b"\0\xff"),
        ("@#00ff", IdType.KEY_ID, b"\0\xff"),
    ],
)
def test_syntax_is_swanctls(text, kind, data):
    assert Identity.parse(text) == Identity(kind, data)


@pytest.mark.parametrize("text", ["", "fqdn:", "ipv4:moon", "ipv4:::1", "keyid:#0", "C=CH, CN=moon"])
def test_nonsense_is_refused(text):
    with pytest.raises(ValueError, match=".+"):
        Identity.parse(text)


@pytest.mark.parametrize(
    ("pattern", "actual", "same"),
    [
        ("moon.example", "MOON.example", True),
        ("moon.example", "sun.example", False),
        ("*.example", "moon.example", True),
        ("*.example", "moon.example.evil", False),
        ("*@example", "carol@example", True),
        ("*@example", "moon.example", False),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "fqdn:192.0.2.1", False),
        ("[m]oon", "moon", False),
    ],
)
def test_who_matches_whom(pattern, actual, same):
    """I60."""
    assert matches(Identity.parse(pattern), Identity.parse(actual)) is same


def test_anyone_matches_everybody():
    assert matches(None, Identity.parse("moon"))
    assert matches(Identity.parse("%any"), Identity.parse("10.0.0.1"))


def test_what_a_peer_calls_itself_is_shown_escaped():
    assert str(Identity(IdType.FQDN, b"moon\n\x1b[31m\xff")) == "moon\\x0a\\x1b[31m\\xff"
    assert str(Identity(99, b"\1\2")) == "{99}#0102"
